"""Two registries, and the command that copies from one to the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line.command import Command, Images
from registry.distribution import running
from registry.hostile import HostileServer


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine uses is none of these tests' business."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def source_host(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(distribution_binary, tmp_path_factory.mktemp("source")) as host:
        yield host


@pytest.fixture(scope="session")
def destination_host(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(distribution_binary, tmp_path_factory.mktemp("destination")) as host:
        yield host


@pytest.fixture
def source(source_host: str) -> Images:
    return Images(source_host)


@pytest.fixture
def destination(destination_host: str) -> Images:
    return Images(destination_host)


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture
def transship(tmp_path: Path, source_host: str, destination_host: str) -> Command:
    """The command; it may speak plain http to both registries."""
    return Command(tmp_path, options=("--plain-http", source_host, "--plain-http", destination_host))
