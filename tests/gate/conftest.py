"""The gate in force at the API server, a running operator that keeps the lists, and a namespace for each test."""

import json
from collections.abc import Iterator, Mapping

import pytest

from endtoend.waiting import eventually
from gate.scene import COMPONENT, LABEL, GatedScene
from localworld.cluster import Cluster
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.world import World

FILES = [f"--filename={COMPONENT / name}" for name in ("promotedimages.yaml", "rbac.yaml", "policy.yaml")]
SETTINGS = {"TRANSSHIP_GATE": "true", "TRANSSHIP_GATE_GRACE": "3", "TRANSSHIP_STALLED_RECHECK": "3"}
PROBE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "probe"},
    "spec": {
        "selector": {"matchLabels": {"app": "probe"}},
        "template": {
            "metadata": {"labels": {"app": "probe"}},
            "spec": {"containers": [{"name": "probe", "image": "probe.example/probe:v1"}]},
        },
    },
}


@pytest.fixture(scope="package")
def gate(world: World) -> Iterator[Cluster]:
    """The gate, installed as its component has it and in force; it is removed at the end, as others install without."""
    cluster = world.cluster
    install(world)
    cluster.kubectl("apply", "--server-side", *FILES)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/promotedimages.transship.dev")
    namespace = {"metadata": {"name": "gate-probe", "labels": {LABEL: "enforce"}}}
    cluster.admin.create("/api/v1/namespaces", namespace)
    eventually(lambda: _is_in_force(cluster), "the gate is in force")
    yield cluster
    cluster.admin.delete("/api/v1/namespaces/gate-probe")
    cluster.kubectl("delete", "--wait", *reversed(FILES))
    cluster.kubectl("api-resources", "--output=name")  # or kubectl would go on asking for what it remembers is served


def _is_in_force(cluster: Cluster) -> bool:
    """No list has been written yet, and that is judged even for a dry run."""
    try:
        cluster.kubectl("create", "--dry-run=server", "-n=gate-probe", "-f=-", stdin=json.dumps(PROBE))
    except WorldError as error:
        return "no params found for policy binding" in str(error)
    return False


@pytest.fixture(scope="package")
def operator(world: World, gate: Cluster) -> Iterator[Controller]:
    """The operator; a test may kill it, if it starts it again."""
    with Controller(world, SETTINGS) as controller:
        yield controller


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[GatedScene]:
    """A namespace of this test with a policy, not labelled yet; and the operator has to be alive at the end."""
    scene = GatedScene(world, digests)
    scene.policy()
    yield scene
    scene.close()
    assert operator.child.process.poll() is None, f"the operator ended: {operator.child.said()}"
