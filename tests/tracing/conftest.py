"""One traced operator for the folder, a collector that it sends to, and a namespace for each test."""

from collections.abc import Iterator, Mapping

import pytest

from ecr_twin.canary import spellings
from endtoend.scene import Scene
from localworld.accounts import canary
from localworld.controller import Controller, install
from localworld.world import World
from tracing.collector import Collector

HEADER = "canary-of-the-collector-5d1a"


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """A running collector; at the end what it was sent is searched for secrets."""
    with Collector() as running:
        yield running
    words = [*spellings(canary()), HEADER]
    assert running.bodies, "the search means something"
    assert not any(word.encode() in body for word in words for body in running.bodies)


@pytest.fixture(scope="package")
def operator(world: World, collector: Collector) -> Iterator[Controller]:
    """The operator, traced."""
    install(world)
    settings = {
        "TRANSSHIP_TRACES": "true",
        "TRANSSHIP_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{HEADER}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production",
    }
    with Controller(world, settings) as controller:
        yield controller
    words = [*spellings(canary()), HEADER]
    assert not any(word in controller.said for word in words)


@pytest.fixture
def scene(world: World, operator: Controller, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test with a policy."""
    scene = Scene(world, digests)
    scene.policy()
    yield scene
    scene.close()
