"""CNCF distribution behind an honest token server, and behind a password file."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest

from oci.images import blob_descriptor, image
from oci.store_contract import TAG, push
from registry.conftest import HASTE, HTPASSWD, SECRET
from registry.distribution import running
from registry.hostile import HostileServer
from registry.token_server import ISSUER, SERVICE, TokenServer
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.reference import Registry, Repository
from transship.registry.auth import Login
from transship.registry.bearer import TokenCredentials
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

WRITER, READER = Login("writer", SECRET), Login("reader", SECRET)
IMAGE = image([b"layer"])


@dataclass
class Logins:
    """Who a test is."""

    who: Login | None
    forgotten: int = 0

    def login(self, registry: Registry) -> Login | None:
        return self.who

    def forget(self, registry: Registry) -> None:
        self.forgotten += 1


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guarded:
    """A registry that wants tokens, and the server that gives them."""

    host: str
    server: HostileServer
    tokens: TokenServer

    def credentials(self, login: Login | None, clock: Clock | None = None) -> TokenCredentials:
        rules = HostRules.of(plain_http=[self.host, self.server.host])
        return TokenCredentials(Transport(Network(rules)), Logins(login), patience=HASTE, clock=clock or time.monotonic)

    def open(self, credentials: TokenCredentials, path: str) -> HttpRepository:
        transport = Transport(Network(HostRules.of(plain_http=[self.host])))
        repository = Repository.of(Registry.parse(self.host), path)
        return HttpRepository(repository, Side.DESTINATION, transport, credentials, patience=HASTE)


@pytest.fixture(scope="module")
def behind_tokens(
    distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, HostileServer, TokenServer]]:
    directory = tmp_path_factory.mktemp("tokens")
    tokens = TokenServer()
    (directory / "jwks.json").write_text(tokens.jwks)
    with HostileServer() as server:
        options = {"realm": f"{server.url}/token", "service": SERVICE, "issuer": ISSUER}
        with running(
            distribution_binary, directory, {"token": {**options, "jwks": str(directory / "jwks.json")}}
        ) as host:
            yield host, server, tokens


@pytest.fixture
def guarded(behind_tokens: tuple[str, HostileServer, TokenServer]) -> Guarded:
    host, server, trusted = behind_tokens
    tokens = TokenServer(
        passwords={"writer": SECRET, "reader": SECRET},
        rights={"writer": {"pull", "push", "delete"}, "reader": {"pull"}},
        identity_tokens={f"{SECRET}-identity": "writer"},
        key=trusted.key,
    )
    server.reply = tokens.reply
    return Guarded(host, server, tokens)


@pytest.fixture
def path() -> str:
    return f"shop/checkout-{uuid.uuid4().hex[:12]}"


def test_an_image_is_pushed_and_pulled_with_tokens_for_what_is_done_and_no_more(guarded: Guarded, path: str) -> None:
    push(guarded.open(guarded.credentials(WRITER), path), IMAGE, TAG)
    assert {scope for _, scopes in guarded.tokens.asked for scope in scopes} <= {
        f"repository:{path}:pull",
        f"repository:{path}:pull,push",
    }
    guarded.tokens.asked.clear()
    reader = guarded.open(guarded.credentials(READER), path)
    assert reader.resolve(TAG) == IMAGE.root.descriptor
    assert reader.fetch_manifest(IMAGE.root.descriptor.digest)
    assert guarded.tokens.asked == [("reader", [f"repository:{path}:pull"])]


def test_after_one_challenge_every_repository_is_asked_with_a_token_at_once(guarded: Guarded, path: str) -> None:
    credentials = guarded.credentials(READER)
    guarded.open(credentials, path).resolve(TAG)
    other = Registry.parse(guarded.host)
    assert credentials.authorization(other, "repository:another/one:pull")
    assert [scopes for _, scopes in guarded.tokens.asked] == [
        [f"repository:{path}:pull"],
        ["repository:another/one:pull"],
    ]


def test_anybody_may_read_where_the_registry_lets_them(guarded: Guarded, path: str) -> None:
    push(guarded.open(guarded.credentials(WRITER), path), IMAGE, TAG)
    guarded.tokens.rights[""] = {"pull"}
    anybody = guarded.open(guarded.credentials(None), path)
    assert anybody.resolve(TAG) == IMAGE.root.descriptor
    assert guarded.tokens.asked[-1] == ("", [f"repository:{path}:pull"])
    with pytest.raises(NeedsHuman) as caught:
        push(anybody, image([b"other"]), TAG)
    assert caught.value.reason is Reason.DENIED


def test_an_identity_token_is_exchanged(guarded: Guarded, path: str) -> None:
    push(guarded.open(guarded.credentials(Login(identity_token=f"{SECRET}-identity")), path), IMAGE, TAG)
    assert {user for user, _ in guarded.tokens.asked} == {"writer"}
    assert {seen.method for seen in guarded.server.seen[-len(guarded.tokens.asked) :]} == {"POST"}
    assert all(SECRET not in seen.path for seen in guarded.server.seen)


def test_many_who_come_at_once_cause_one_fetch(guarded: Guarded, path: str) -> None:
    credentials, together = guarded.credentials(READER), Barrier(8)

    def look(_: int) -> object:
        together.wait()
        return guarded.open(credentials, path).resolve(TAG)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(8))) == {None}
    assert len(guarded.tokens.asked) == 1


def test_a_token_is_fetched_again_shortly_before_its_end(guarded: Guarded, path: str) -> None:
    clock = Clock()
    reader = guarded.open(guarded.credentials(READER, clock), path)
    reader.resolve(TAG)
    clock.now = 269.0
    reader.resolve(TAG)
    assert len(guarded.tokens.asked) == 1
    clock.now = 271.0
    reader.resolve(TAG)
    assert len(guarded.tokens.asked) == 2


def test_a_token_that_is_refused_is_renewed_once(guarded: Guarded, path: str) -> None:
    writer = guarded.open(guarded.credentials(WRITER), path)
    rights = guarded.tokens.rights["writer"]
    guarded.tokens.rights["writer"] = set()
    with pytest.raises(NeedsHuman) as caught:
        writer.push_manifest(IMAGE.root, TAG)
    assert caught.value.reason is Reason.DENIED
    assert len(guarded.tokens.asked) == 1  # the first request had none to be renewed
    guarded.tokens.rights["writer"] = rights
    push(writer, IMAGE, TAG)
    assert len(guarded.tokens.asked) == 2


def test_a_wrong_password_is_one_sentence(guarded: Guarded, path: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        guarded.open(guarded.credentials(Login("writer", f"{SECRET}-wrong")), path).resolve(TAG)
    error = caught.value
    assert (error.reason, error.side, error.step) == (Reason.DENIED, Side.DESTINATION, "resolve")
    assert guarded.server.host in error.message
    assert "check the user and password" in error.message
    assert SECRET not in str(error)
    assert "words of the server" not in str(error)


def test_a_cancelled_upload_is_gone(guarded: Guarded, path: str) -> None:
    repository = guarded.open(guarded.credentials(WRITER), path)
    content = bytes(1_000_000)

    def broken() -> Iterator[bytes]:
        yield content[:500_000]
        raise RetryLater(Reason.CONTENT_MISMATCH, "the bytes are wrong")

    with pytest.raises(RetryLater, match="the bytes are wrong"):
        repository.push_blob(blob_descriptor(content), broken())
    assert guarded.tokens.asked[-1] == ("writer", [f"repository:{path}:pull,push,delete"])


def test_a_blob_is_mounted_with_a_token_for_both_repositories(guarded: Guarded, path: str) -> None:
    credentials = guarded.credentials(WRITER)
    there, here = guarded.open(credentials, path), guarded.open(credentials, f"{path}-copy")
    blob = blob_descriptor(b"layer")
    there.push_blob(blob, iter([b"layer"]))
    assert here.push_blob(blob, iter([b"never sent"]), Repository.of(Registry.parse(guarded.host), path))
    assert guarded.tokens.asked[-1] == ("writer", [f"repository:{path}-copy:pull,push", f"repository:{path}:pull"])


def test_a_password_is_shown_where_the_registry_asks_for_one(
    distribution_binary: Path, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(HTPASSWD)
    with running(distribution_binary, tmp_path, {"htpasswd": {"realm": "here", "path": str(file)}}) as host:
        transport = Transport(Network(HostRules.of(plain_http=[host])))
        repository = Repository.of(Registry.parse(host), path)

        def open_as(login: Login | None) -> tuple[HttpRepository, Logins]:
            logins = Logins(login)
            credentials = TokenCredentials(transport, logins)
            return HttpRepository(repository, Side.DESTINATION, transport, credentials), logins

        writer, _ = open_as(WRITER)
        push(writer, IMAGE, TAG)
        assert writer.resolve(TAG) == IMAGE.root.descriptor
        wrong, logins = open_as(Login("writer", "wrong"))
        for refused in (wrong, open_as(None)[0], open_as(Login(identity_token=SECRET))[0]):
            with pytest.raises(NeedsHuman) as caught:
                refused.resolve(TAG)
            assert caught.value.reason is Reason.DENIED
            assert SECRET not in str(caught.value)
        assert logins.forgotten
