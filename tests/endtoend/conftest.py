"""One running operator for the whole folder, a scene for each test, and the search for secrets in all that was said."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from ecr_twin.canary import spellings
from endtoend import bulk
from endtoend.scene import OURS, POLICIES, Scene
from localworld.accounts import canary
from localworld.controller import Controller, install
from localworld.world import World

SETTINGS = {
    # The loudest: what is said then is searched for secrets, too.
    "TRANSSHIP_LOG_LEVEL": "debug",
    "TRANSSHIP_HISTORY_LIMIT": "2",
    # What stalled is looked at again soon enough for a test to see it heal.
    "TRANSSHIP_STALLED_RECHECK": "3",
}


Hear = Callable[[str, str], None]
LISTS = ("/apis/events.k8s.io/v1/events", POLICIES, f"{OURS}/promotionrequests")


@pytest.fixture(scope="session", autouse=True)
def hear(world: World) -> Iterator[Hear]:
    """Takes a place and what was said there; at the end all of it is searched for the canary in the twin's secrets."""
    said: list[tuple[str, str]] = []
    yield lambda place, text: said.append((place, text))
    said += [(path, json.dumps(world.cluster.admin.get(path))) for path in LISTS]
    words = spellings(canary())
    # Places only: a report shall not repeat what it found.
    assert [place for place, text in said if any(word in text for word in words)] == []


@pytest.fixture(scope="package")
def bulk_digests(world: World) -> Mapping[str, str]:
    """The tags of the large images at the source, with their digests."""
    return bulk.push(world)


@contextmanager
def running(world: World, hear: Hear, settings: Mapping[str, str] = SETTINGS) -> Iterator[Controller]:
    """An operator whose logs and metrics are searched for secrets at the end."""
    install(world)
    with Controller(world, settings) as controller:
        yield controller
        hear("the metrics", controller.get("/metrics")[1])
    assert '"operator started"' in controller.said
    hear("the operator's logs", controller.said)


@pytest.fixture(scope="package")
def operator(world: World, hear: Hear) -> Iterator[Controller]:
    """The operator; a test may kill it, if it starts it again."""
    with running(world, hear) as controller:
        yield controller


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str], hear: Hear) -> Iterator[Scene]:
    """A namespace of this test, judged by the running operator; and the operator has to be alive at the end."""
    scene = Scene(world, digests)
    yield scene
    for place, text in scene.written():
        hear(place, text)
    scene.close()
    assert operator.child.process.poll() is None, f"the operator ended: {operator.child.said()}"
