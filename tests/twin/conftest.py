"""Running twins: one for all tests that leave its clock and its profile alone, and one for each that does not."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecr_twin import Twin
from ecr_twin.profile import DEFAULT, PROFILES
from localworld import tools as pinned
from localworld.errors import WorldError
from twin import contract, stock
from twin.clients import Clock, Launch, World, configuration
from twin.contract import Site

FAILURES = pytest.StashKey[dict[str, str]]()
OBSERVED = pytest.StashKey[dict[str, Any]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the contract on the twin under every profile, and on two real accounts when they are named."""
    if "site" in metafunc.fixturenames:
        real = ["real"] if os.environ.get(contract.VARIABLE) else []
        metafunc.parametrize("site", [*PROFILES, *real], indirect=True, scope="module")


@pytest.fixture(scope="module")
def contracted(launch: Launch) -> Iterator[World]:
    """The twin that the contract is tested on, under one profile after the other."""
    with launch() as running:
        yield running


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Two accounts that the contract is tested on."""
    with ExitStack() as stack:
        if request.param == "real":
            try:
                place = contract.of_real_accounts()
            except LookupError as error:
                pytest.fail(str(error), pytrace=False)
            request.config.stash[OBSERVED] = place.observed
        else:
            own = request.getfixturevalue("contracted")
            own.twin.answer(request.param)
            users: dict[contract.Side, str] = {"source": "ci", "destination": "promoter"}
            place = contract.of_twin(own, users, PROFILES[request.param])
        stack.callback(place.close)
        yield place


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what real accounts answered to the open questions."""
    if OBSERVED in config.stash:
        terminalreporter.section("real accounts")
        for line in contract.differences(config.stash[OBSERVED], DEFAULT):
            terminalreporter.line(line)


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
    # Twins that other folders keep for the whole session are older than this and end later.
    before = set(threading.enumerate())
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "ecr-twin" and thread not in before]
