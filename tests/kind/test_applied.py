"""What `make kind` applies is taken by a real API server, by the commands that would do it; nodes are missing."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kind import materials, plan, programs, story
from kind.programs import Programs
from localworld import cluster, network
from localworld.cluster import Cluster
from localworld.errors import WorldError

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
WAITS = {"rollout", "wait"}
"""What only pods can end."""
OURS = ("ecr-twin", "git", "transship-system")
RANGE, RANGE_HERE = "10.96.77.", "10.0.0."
"""Where kind has addresses of Services, and where the control plane of the tests has them."""


@pytest.fixture(scope="module")
def own_cluster(control_plane: Cluster) -> Iterator[Cluster]:
    """A control plane in which nothing is installed."""
    with cluster.choose(own_network=network.is_own()) as chosen:
        yield chosen


@pytest.fixture(scope="module")
def commands(
    own_cluster: Cluster, helms: dict[str, Path], argocd_manifests: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[plan.Command]:
    """Those commands of the plan that are for the cluster, told to go to that one."""
    here = tmp_path_factory.mktemp("files") / "kind"
    shutil.copytree(materials.HERE, here)
    services = here / "registries" / "services.yaml"
    services.write_text(services.read_text().replace(RANGE, RANGE_HERE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "HERE", here)
        patch.setattr(plan, "KUBECONFIG", own_cluster.kubeconfig)
        found = Programs(kubectl=str(own_cluster.kubectl_binary), helm=str(helms["helm4"]))
        everything = list(plan.up(found, materials.make_authority(), argocd_manifests))
    return [each for each in everything if each.arguments[0] in {found.kubectl, found.helm}]


@pytest.fixture(scope="module")
def applied(own_cluster: Cluster, commands: list[plan.Command]) -> Cluster:
    """The cluster after all of them but those that wait for pods."""
    for command in commands:
        arguments = tuple(each for each in command.arguments if each != "--wait")
        if not WAITS & set(arguments):
            story.run(replace(command, arguments=arguments))
    return own_cluster


def workloads(applied: Cluster, namespace: str) -> list[dict[str, Any]]:
    return list(json.loads(applied.kubectl("get", "deployments", "-o=json", f"-n={namespace}"))["items"])


def test_every_object_is_taken(applied: Cluster) -> None:
    assert [each["metadata"]["name"] for each in workloads(applied, "ecr-twin")] == ["ecr-twin"]
    assert [each["metadata"]["name"] for each in workloads(applied, "git")] == ["git"]
    assert [each["metadata"]["name"] for each in workloads(applied, "transship-system")] == ["transship"]
    assert "argocd-server" in {each["metadata"]["name"] for each in workloads(applied, "argocd")}
    assert applied.kubectl("get", "promotionpolicies.transship.dev", "-o=name").strip().endswith("/shop-to-production")


def test_what_is_waited_for_is_what_was_applied(applied: Cluster, commands: list[plan.Command]) -> None:
    waited = [each.arguments for each in commands if each.arguments[2:4] == ("rollout", "status")]

    assert len(waited) == 5
    for arguments in waited:
        applied.kubectl("get", arguments[4], arguments[5])


@pytest.mark.parametrize("namespace", OURS)
def test_pods_are_admitted_under_the_restricted_standard(applied: Cluster, namespace: str) -> None:
    for workload in workloads(applied, namespace):
        pod = {"apiVersion": "v1", "kind": "Pod", **workload["spec"]["template"]}
        pod["metadata"] = {"name": "trial", "labels": pod["metadata"]["labels"]}
        command = ("create", "--dry-run=server", f"-n={namespace}", "-f=-", "-o=name")
        assert applied.kubectl(*command, stdin=json.dumps(pod)).strip() == "pod/trial"


def test_a_pod_that_is_not_restricted_would_be_refused(applied: Cluster) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}}
    pod["spec"] = {"containers": [{"name": "trial", "image": "trial", "securityContext": {"privileged": True}}]}  # type: ignore[assignment]
    for namespace in (*OURS, "shop"):
        with pytest.raises(WorldError, match="violates PodSecurity"):
            applied.kubectl("create", "--dry-run=server", f"-n={namespace}", "-f=-", stdin=json.dumps(pod))


def test_the_application_and_the_pull_secret_are_taken(applied: Cluster) -> None:
    options = ("apply", "--server-side", "--dry-run=server", "-o=name")
    said = applied.kubectl(*options, f"-f={materials.HERE / 'application.yaml'}")
    assert said.strip() == "application.argoproj.io/shop"
    auths = json.dumps({"auths": {}})
    assert applied.kubectl(*options, "-f=-", stdin=materials.as_text(materials.pull_secret(auths))).strip()


def test_a_second_run_changes_nothing_by_itself(applied: Cluster, commands: list[plan.Command]) -> None:
    """A `make kind` that was cut off can be gone on with by hand, command by command."""
    for command in commands:
        if command.arguments[2] == "apply" and "install.yaml" not in command.arguments[-1]:
            subprocess.run(command.arguments, input=command.stdin.encode(), check=True, capture_output=True)


def test_the_manifests_of_argo_cd_are_of_the_pinned_release(argocd_manifests: Path) -> None:
    install = (argocd_manifests / "install.yaml").read_text()

    assert f"image: quay.io/argoproj/argocd:{programs.argocd_version()}" in install
