"""The control plane is a real one, and leaves nothing behind."""

from pathlib import Path

import pytest

from localworld.apiserver import ApiError, ApiServer
from localworld.cluster import ASSETS_VARIABLE, KUBECONFIG_VARIABLE, Cluster, LocalCluster, choose
from localworld.errors import WorldError
from localworld.ports import is_listening

from .test_processes import is_running, wait_until


def test_the_api_server_answers_and_its_controllers_work(control_plane: Cluster, namespace: str) -> None:
    def default_account_is_there() -> bool:
        accounts = control_plane.admin.get(f"/api/v1/namespaces/{namespace}/serviceaccounts")
        return [account["metadata"]["name"] for account in accounts["items"]] == ["default"]

    wait_until(default_account_is_there)


def test_an_issued_identity_has_no_rights_but_those_it_is_given(control_plane: Cluster, namespace: str) -> None:
    nobody = ApiServer(control_plane.issue_kubeconfig("nobody", "nobody"))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    try:
        with pytest.raises(ApiError, match='403 Forbidden: pods is forbidden: User "nobody"'):
            nobody.get(pods)

        control_plane.kubectl("create", "rolebinding", "look", f"-n={namespace}", "--clusterrole=view", "--user=nobody")
        wait_until(lambda: _is_allowed(nobody, pods))
    finally:
        nobody.close()


def _is_allowed(api: ApiServer, path: str) -> bool:
    try:
        api.get(path)
    except ApiError:
        return False
    return True


def test_kubectl_writes_nothing_to_the_home_directory(
    control_plane: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    control_plane.kubectl("get", "namespaces")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.cluster
@pytest.mark.needs_tools
def test_nothing_is_left_after_the_stop() -> None:
    chosen = choose()
    if not isinstance(chosen, LocalCluster):
        pytest.skip("the environment names a cluster that is not ours to stop")
    with chosen:
        control_plane = chosen.control_plane
        pids = [child.pid for child in control_plane.processes]
        assert len(pids) == 3
        assert all(is_running(pid) for pid in pids)
        assert all(is_listening(port) for port in control_plane.ports)

    assert not any(is_running(pid) for pid in pids)
    assert not any(is_listening(port) for port in control_plane.ports)
    assert not control_plane.directory.exists()


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        (KUBECONFIG_VARIABLE, "TRANSSHIP_KUBECONFIG names .*, which is not a file"),
        (ASSETS_VARIABLE, "KUBEBUILDER_ASSETS .* lacks etcd, kube-apiserver, kube-controller-manager, kubectl"),
    ],
)
def test_a_named_cluster_that_is_not_there_is_said_so(
    variable: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KUBECONFIG_VARIABLE, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))

    with pytest.raises(WorldError, match=sentence):
        choose().start()
