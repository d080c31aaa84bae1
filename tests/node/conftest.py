"""One node for the folder, with a control plane of its own: a scheduler would let the pods of other tests run, too.

Where no node can run, starting one has to say so, and the tests that need it are left out with that sentence.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from admission import hook as hooks
from admission.hook import Hook
from endtoend.scene import Scene
from localworld import cluster, paths
from localworld import node as one_node
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.node import Node
from localworld.node_init import CGROUPS
from localworld.registries import Registries
from localworld.world import World

TAGS = ("v1.4.1", "v1.4.2", "v1.5.0")


@pytest.fixture(scope="package")
def node_world(twin: Registries) -> Iterator[World]:
    """A control plane of our own, the shared registries, and the operator's custom resources and rights."""
    world = World(cluster.choose(own_network=True), twin)
    if reason := one_node.why_not():
        with pytest.raises(WorldError, match=re.escape(reason)):
            Node(world).start()
        pytest.skip(reason)
    with world.cluster as running:
        install(world)
        hooks.install(running)
        running.kubectl("apply", "--server-side", f"--kustomize={paths.REPOSITORY / 'manifests' / 'waiting-pods'}")
        yield world


@pytest.fixture(scope="package")
def node(node_world: World) -> Iterator[Node]:
    """The node; a test may stop it, if it starts it again."""
    with Node(node_world) as running:
        yield running
        name = running._directory.name
        assert left_behind(name)
    assert left_behind(name) == []


def left_behind(name: str) -> list[Path]:
    """The cgroups of a node: whatever else it has ends with what is in them. Other runs may have nodes of their own."""
    return list(CGROUPS.glob(f"**/{name}"))


@pytest.fixture(scope="package")
def operator(node_world: World) -> Iterator[Controller]:
    """The operator."""
    with Controller(node_world, {"TRANSSHIP_ADMISSION": "true"}) as running:
        yield running


@pytest.fixture
def hook(node_world: World) -> Iterator[Hook]:
    """The admission webhook, for namespaces that have its label."""
    running = Hook(node_world)
    hooks.configure(node_world.cluster, hooks.configuration(running.port))
    try:
        running.start()
        yield running
    finally:
        hooks.forget(node_world.cluster)
        running.stop()


@pytest.fixture(scope="package")
def digests(node_world: World) -> Mapping[str, str]:
    """The tags of a sample that runs, with their digests."""
    return node_world.push_sample(TAGS, "shop/runnable", one_node.program())


@pytest.fixture
def scene(node_world: World, node: Node, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test, whose pods run."""
    scene = Scene(node_world, digests)
    yield scene
    scene.close()
    assert operator.child.process.poll() is None, f"the operator ended: {operator.child.said()}"
