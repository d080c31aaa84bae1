"""An operator, a webhook, and a Prometheus that scrapes both."""

from collections.abc import Iterator, Mapping

import pytest

from admission import hook as hooks
from admission.hook import Hook
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
    with Controller(world, {"TRANSSHIP_STALLED_RECHECK": "3"}) as controller:
        yield controller


@pytest.fixture(scope="package")
def hook(world: World, operator: Controller) -> Iterator[Hook]:
    """The webhook, and the API server asks it."""
    hooks.install(world.cluster)
    running = Hook(world)
    hooks.configure(world.cluster, hooks.configuration(running.port))
    try:
        running.start()
        yield running
    finally:
        hooks.forget(world.cluster)
        running.stop()
        hooks.uninstall(world.cluster)


@pytest.fixture(scope="package")
def prometheus(operator: Controller, hook: Hook) -> Iterator[Prometheus]:
    """A Prometheus with our rules, which scrapes operator and webhook."""
    targets = {"transship": [operator.address], "transship-admission": [hook.address]}
    try:
        running = Prometheus(targets, RULES)
        with running:
            yield running
    except WorldError as error:
        pytest.fail(f"No Prometheus: {error}", pytrace=False)


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test with a policy."""
    scene = Scene(world, digests)
    scene.policy()
    yield scene
    scene.close()
