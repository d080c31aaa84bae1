"""An operator, and a Prometheus that scrapes it."""

from collections.abc import Iterator, Mapping

import pytest

from endtoend.scene import Scene
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.prometheus import Prometheus
from localworld.world import World
from monitoring.queries import RULES


@pytest.fixture(scope="package")
def operator(world: World) -> Iterator[Controller]:
    """The operator."""
    install(world)
    try:
        controller = Controller(world, {"TRANSSHIP_STALLED_RECHECK": "3"})
        controller.start()
    except WorldError as error:
        pytest.fail(f"The operator did not start: {error}", pytrace=False)
    yield controller
    controller.stop()


@pytest.fixture(scope="package")
def prometheus(operator: Controller) -> Iterator[Prometheus]:
    """A Prometheus with our rules, which scrapes the operator."""
    try:
        running = Prometheus({"transship": [operator.address]}, RULES)
        with running:
            yield running
    except WorldError as error:
        pytest.fail(f"No Prometheus: {error}", pytrace=False)


@pytest.fixture(scope="package")
def digests(world: World) -> Mapping[str, str]:
    """The sample's tags at the source, with their digests."""
    return world.push_sample()


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test with a policy."""
    scene = Scene(world, digests)
    scene.policy()
    yield scene
    scene.close()
