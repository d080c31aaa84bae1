"""The commands of docs/how-to/install.md, typed from the page into a control plane of its own, leave what it says."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from charts.shell import Shell, commands
from localworld import cluster, network
from localworld.cluster import Cluster
from localworld.paths import REPOSITORY

PAGE = (REPOSITORY / "docs/how-to/install.md").read_text()
DEFINITIONS = {f"{each}.transship.dev" for each in ("promotionrequests", "promotionpolicies", "promotedimages")}


@pytest.fixture(scope="module")
def own_cluster(control_plane: Cluster) -> Iterator[Cluster]:
    """A control plane in which nothing of ours is installed."""
    with cluster.choose(own_network=network.is_own()) as chosen:
        yield chosen


@pytest.fixture
def programs(request: pytest.FixtureRequest, kustomize: Path, tmp_path: Path) -> Path:
    """A directory with kustomize, and with helm under the name that people type."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "kustomize").symlink_to(kustomize)
    helms: Mapping[str, Path] = request.getfixturevalue("helms")
    (directory / "helm").symlink_to(helms[request.param])
    return directory


@pytest.fixture
def shell(own_cluster: Cluster, tmp_path: Path, programs: Path) -> Shell:
    """A shell for that control plane."""
    return Shell(own_cluster, PAGE, tmp_path, programs)


def definitions(shell: Shell) -> set[str]:
    """Our definitions that the API server has."""
    names = shell.run("kubectl get crd -o name").split()
    return {name.partition("/")[2] for name in names if name.endswith(".transship.dev")}


def parts(shell: Shell) -> set[str]:
    """Everything else of ours that the API server has, namespace or not."""
    kinds = "deployments,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies"
    found = shell.run(f"kubectl get {kinds} -A --no-headers -o custom-columns=K:.kind,N:.metadata.name")
    return {line for line in found.splitlines() if "transship" in line}


@pytest.mark.parametrize("programs", ["helm3", "helm4"], indirect=True)
def test_by_helm_it_is_installed_upgraded_put_back_and_uninstalled(shell: Shell) -> None:
    shell.type("With Helm")
    shell.type("Say what may be promoted")
    assert "registry.example/transship" in shell.run("kubectl -n transship-system get deployment transship -o yaml")

    shell.type("Upgrade")
    shell.run("helm upgrade transship charts/transship -n transship-system --reset-then-reuse-values --set replicas=2")
    shell.run("helm rollback transship -n transship-system")
    assert "replicas: 1" in shell.run("kubectl -n transship-system get deployment transship -o yaml")

    shell.run(next(each for each in commands(PAGE, "Uninstall") if each.startswith("helm")))
    assert parts(shell) == set()
    assert definitions(shell)
    for removing in re.findall(r"`(kubectl [^`]*delete (?:crd|namespace)[^`]*)`", PAGE):
        shell.run(f"{removing} --ignore-not-found --timeout=60s")
    assert definitions(shell) == set()
    assert "transship" not in shell.run("kubectl get namespaces -o name")


@pytest.mark.parametrize("programs", ["helm4"], indirect=True)
def test_by_kustomize_it_is_installed_and_goes_with_or_without_the_definitions(shell: Shell) -> None:
    shell.type("With kustomize")
    shell.type("Say what may be promoted")
    for command in (each for each in commands(PAGE, "Uninstall") if each.startswith("kubectl")):
        shell.run(command)
    assert parts(shell) == set()
    assert definitions(shell)
    assert "shop" in shell.run("kubectl get promotionpolicies.transship.dev -o name")

    shell.type("With kustomize")
    everything = re.search(r"`(kubectl delete -k manifests/default)`", PAGE)
    assert everything is not None
    shell.run(f"{everything.group(1)} --timeout=60s")
    assert parts(shell) == set()
    assert definitions(shell) == set()
    assert "transship" not in shell.run("kubectl get namespaces -o name")


def test_no_command_of_the_page_is_overlooked() -> None:
    typed = {
        "Before",
        "With Helm",
        "With kustomize",
        "AWS identity",
        "Say what may be promoted",
        "Upgrade",
        "Uninstall",
    }
    assert set(re.findall(r"^## (.*)", PAGE, re.MULTILINE)) == typed
