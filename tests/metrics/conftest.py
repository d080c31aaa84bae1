"""One operator for the folder, and a namespace for each test."""

from collections.abc import Iterator, Mapping

import pytest

from endtoend.scene import Scene
from localworld.controller import Controller, install
from localworld.world import World


@pytest.fixture(scope="package")
def operator(world: World) -> Iterator[Controller]:
    """The operator."""
    install(world)
    with Controller(world, {"TRANSSHIP_STALLED_RECHECK": "3"}) as controller:
        yield controller


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test with a policy."""
    scene = Scene(world, digests)
    scene.policy()
    yield scene
    scene.close()
