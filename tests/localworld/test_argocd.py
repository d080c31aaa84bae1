"""What the local world promises around Argo CD, without starting it: tests/argocd does that."""

from pathlib import Path

import pytest

from localworld import network
from localworld.application import parse_operation
from localworld.argocd import ArgoCD
from localworld.cluster import ExistingCluster
from localworld.errors import WorldError
from localworld.gitrepository import GitRepository


def test_argo_cd_does_not_start_in_a_network_that_others_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(network, "_entered", False)
    argocd = ArgoCD(ExistingCluster(tmp_path / "kubeconfig"))

    with pytest.raises(WorldError, match=r"on all addresses: call localworld\.network\.enter_own"):
        argocd.start()

    argocd.stop()


def test_no_network_of_our_own_is_entered_while_threads_would_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_entered", False)
    monkeypatch.setattr("threading.active_count", lambda: 2)

    with pytest.raises(WorldError, match="Threads would stay outside"):
        network.enter_own()


def test_a_repository_does_not_depend_on_the_users_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configuration = tmp_path / "gitconfig"
    configuration.write_text(
        "[commit]\n\tgpgsign = true\n[gpg]\n\tprogram = /nowhere\n[init]\n\tdefaultBranch = other\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    with GitRepository() as repository:
        first = repository.commit({"production/kustomization.yaml": "newTag: v1"})
        second = repository.edit("production/kustomization.yaml", "v1", "v2")

        assert repository.head == second != first
        assert (repository.directory / "production/kustomization.yaml").read_text() == "newTag: v2"
        with pytest.raises(WorldError, match=r"kustomization\.yaml does not have 'v3'"):
            repository.edit("production/kustomization.yaml", "v3", "v4")

    assert not repository.directory.exists()


def test_an_operation_that_has_just_begun_has_no_lines_and_has_not_ended() -> None:
    operation = parse_operation({"phase": "Running", "operation": {"sync": {"revision": "abc"}}})

    assert (operation.revision, operation.lines, operation.has_ended) == ("abc", (), False)
    with pytest.raises(WorldError, match="says nothing about Job"):
        operation.line("Job")
