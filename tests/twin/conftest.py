"""Running twins: one for all tests that leave its clock and its profile alone, and one for each that does not."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecr_twin import Twin
from localworld import tools as pinned
from localworld.errors import WorldError
from twin import stock
from twin.clients import Clock, Launch, World, configuration

FAILURES = pytest.StashKey[dict[str, str]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the stock clients that the chosen tests need, outside of any test's time limit; a failure is kept."""
    failures = session.config.stash.setdefault(FAILURES, {})
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        if "regctl_binary" in asked:
            try:
                pinned.ensure(["regctl"])
            except WorldError as error:
                failures["regctl"] = str(error)
        if "aws_binary" in asked:
            try:
                stock.aws_cli()
            except LookupError as error:
                failures["aws"] = str(error)


@pytest.fixture(scope="session")
def regctl_binary(request: pytest.FixtureRequest) -> Path:
    """The regctl binary: a stock client of registries that knows referrers."""
    if "regctl" in request.config.stash[FAILURES]:
        pytest.fail(request.config.stash[FAILURES]["regctl"], pytrace=False)
    return pinned.TOOLS["regctl"].path("regctl")


@pytest.fixture(scope="session")
def aws_binary(request: pytest.FixtureRequest) -> Path:
    """The AWS CLI."""
    if "aws" in request.config.stash[FAILURES]:
        pytest.fail(request.config.stash[FAILURES]["aws"], pytrace=False)
    return stock.aws_cli()


@pytest.fixture(scope="session")
def skopeo_binary() -> Path:
    """The skopeo of the machine."""
    try:
        return stock.skopeo()
    except LookupError as error:
        pytest.fail(str(error), pytrace=False)


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
