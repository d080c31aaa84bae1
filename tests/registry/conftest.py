"""Registries to test against: CNCF distribution, and one that lies."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from registry.distribution import running
from registry.hostile import HostileServer
from transship.errors import Side
from transship.oci import backoff
from transship.oci.reference import Registry, Repository
from transship.registry.auth import Basic, Credentials
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.patience import Patience
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

HASTE = Patience(sleep=lambda _: None)
SECRET = "canary-of-a-password"  # noqa: S105 - what must never be seen again
HTPASSWD = "writer:$2b$05$abcdefghijklmnopqrstuuUUeXwVNSz4yQW3PK7SxUVCL7UROAiT6\n"
"""One user, `writer`, with that password."""


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine uses is none of these tests' business."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody: what is tried again is tried at once, and who asks to be left alone is."""
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.002)
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.01)
    monkeypatch.setattr(backoff, "MAX_ASKED_SECONDS", 0.0)


@pytest.fixture(scope="session")
def distribution(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a distribution registry that serves plain http from an empty directory."""
    with running(distribution_binary, tmp_path_factory.mktemp("distribution")) as host:
        yield host


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[HostileServer]:
    """A second host, which nobody configured."""
    with HostileServer() as server:
        yield server


def open_repository(
    host: str, *, plain_http: Iterable[str] | None = None, credentials: Credentials | None = None
) -> HttpRepository:
    """The repository `shop/checkout` of a host, which may be spoken to in plain http unless something else is said."""
    rules = HostRules.of(plain_http=(host,) if plain_http is None else plain_http)
    repository = Repository.of(Registry.parse(host), "shop/checkout")
    transport = Transport(Network(rules, idle_seconds=5.0))
    return HttpRepository(repository, Side.SOURCE, transport, credentials or Basic("AWS", SECRET), patience=HASTE)


@pytest.fixture
def victim(hostile: HostileServer) -> HttpRepository:
    """Our client, sent to the hostile registry."""
    return open_repository(hostile.host)
