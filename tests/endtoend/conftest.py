"""One running operator for the whole folder, and a scene for each test."""

from collections.abc import Iterator, Mapping

import pytest

from endtoend import bulk
from endtoend.scene import Scene
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.world import World

SETTINGS = {
    "TRANSSHIP_HISTORY_LIMIT": "2",
    # What stalled is looked at again soon enough for a test to see it heal.
    "TRANSSHIP_STALLED_RECHECK": "3",
}


@pytest.fixture(scope="package")
def digests(world: World) -> Mapping[str, str]:
    """The sample's tags at the source, with their digests."""
    return world.push_sample()


@pytest.fixture(scope="package")
def bulk_digests(world: World) -> Mapping[str, str]:
    """The tags of the large images at the source, with their digests."""
    return bulk.push(world)


@pytest.fixture(scope="package")
def operator(world: World) -> Iterator[Controller]:
    """The operator; a test may kill it, if it starts it again."""
    install(world)
    try:
        controller = Controller(world, SETTINGS)
        controller.start()
    except WorldError as error:
        pytest.fail(f"The operator did not start: {error}", pytrace=False)
    yield controller
    controller.stop()


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test, judged by the running operator; and the operator has to be alive at the end."""
    scene = Scene(world, digests)
    yield scene
    scene.close()
    assert operator.child.process.poll() is None, f"the operator ended: {operator.child.said()}"
