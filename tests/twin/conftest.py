"""Running twins: one for all tests that leave its clock and its profile alone, and one for each that does not."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecr_twin import Twin
from twin.clients import Clock, Launch, World, configuration


@pytest.fixture(scope="session")
def launch(distribution_binary: Path, crane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Start a twin of one's own: ``with launch(expiredBody="text") as world``."""

    @contextmanager
    def start(config: dict[str, Any] | None = None, **profile: Any) -> Iterator[World]:
        folder, clock = tmp_path_factory.mktemp("twin"), Clock()
        source = config or configuration(**profile)
        with ExitStack() as stack, Twin(source, folder / "state", distribution_binary, clock) as twin:
            yield World(twin, clock, crane_binary, folder, stack)
            stack.close()

    return start


@pytest.fixture(scope="session")
def world(launch: Launch) -> Iterator[World]:
    """One twin for all tests that leave its clock and its profile alone."""
    with launch() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "ecr-twin"]
