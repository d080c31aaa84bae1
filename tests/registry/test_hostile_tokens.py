"""Registries and token servers that lie: one clear error each, and our password goes nowhere it should not."""

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.conftest import HASTE, SECRET
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.reference import Registry, Repository, Tag
from transship.registry import bearer
from transship.registry.auth import Login
from transship.registry.bearer import TokenCredentials
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.realms import Realms
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

LOGIN = Login("canary-user", SECRET)
TAG = Tag("v1")
WORDS = "canary-words-of-the-server"


class Me:
    def __init__(self, login: Login | None = LOGIN) -> None:
        self.who = login

    def login(self, registry: Registry) -> Login | None:
        return self.who

    def forget(self, registry: Registry) -> None:
        """Nothing changes."""


def victim(*plain_http: HostileServer, login: Login | None = LOGIN) -> HttpRepository:
    hosts = [server.host for server in plain_http]
    transport = Transport(Network(HostRules.of(plain_http=hosts), idle_seconds=5.0))
    credentials = TokenCredentials(transport, Me(login), patience=HASTE)
    repository = Repository.of(Registry.parse(hosts[0]), "shop/checkout")
    return HttpRepository(repository, Side.SOURCE, transport, credentials, patience=HASTE)


def error_of(repository: HttpRepository) -> TransshipError:
    with pytest.raises(TransshipError) as caught:
        repository.resolve(TAG)
    error = caught.value
    for secret in (SECRET, "canary", "Basic ", "Bearer ", WORDS, "scope="):
        assert secret not in str(error)
    assert (error.side, error.step) == (Side.SOURCE, "resolve")
    return error


def challenging(realm: str, more: str = "") -> Callable[[Seen], Answer]:
    return lambda _: sized(b"", 401, WWW_Authenticate=f'Bearer realm="{realm}",service="s"{more}')


def saw_secret(server: HostileServer) -> bool:
    return any("Authorization" in seen.headers or SECRET in seen.path + str(seen.body) for seen in server.seen)


def test_a_realm_on_a_host_nobody_configured_gets_nothing(hostile: HostileServer, elsewhere: HostileServer) -> None:
    hostile.reply = challenging(f"{elsewhere.url}/token")
    assert error_of(victim(hostile)).reason is Reason.HOST_NOT_ALLOWED
    assert not elsewhere.seen


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest/meta-data/iam",
        "https://169.254.169.254/token",
        "https://[fd00:ec2::254]/token",
        "https://tokens.example.com/token",
        "http://localhost:1/token",
        "https://canary-user@127.0.0.1/token",
        "",
    ],
)
def test_a_realm_that_is_not_the_registrys_is_refused(realm: str, hostile: HostileServer) -> None:
    hostile.reply = challenging(realm)
    assert error_of(victim(hostile)).reason is Reason.HOST_NOT_ALLOWED
    assert len(hostile.seen) == 1
    assert not saw_secret(hostile)


def test_anybodys_tokens_are_not_asked_for_elsewhere_either(hostile: HostileServer, elsewhere: HostileServer) -> None:
    hostile.reply = challenging(f"{elsewhere.url}/token")
    assert error_of(victim(hostile, login=None)).reason is Reason.HOST_NOT_ALLOWED
    assert not elsewhere.seen


def serving(hostile: HostileServer, token: Callable[[Seen], Answer], more: str = "") -> None:
    """The registry challenges for ever, and its token server, which is the same host, answers so."""
    challenge = challenging(f"{hostile.url}/token", more)
    hostile.reply = lambda seen: token(seen) if seen.path.startswith("/token") else challenge(seen)


@pytest.mark.parametrize("login", [LOGIN, Login(identity_token=SECRET)])
def test_a_token_request_follows_no_redirect(login: Login, hostile: HostileServer, elsewhere: HostileServer) -> None:
    serving(hostile, lambda _: sized(b"", 307, Location=f"{elsewhere.url}/token"))
    assert error_of(victim(hostile, elsewhere, login=login)).reason is Reason.HOST_NOT_ALLOWED
    assert not elsewhere.seen


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, itertools.repeat(b"x" * 65536)),
        Answer(200, {"Content-Length": "100000"}, (b'{"token": "' + b"x" * 99_987 + b'"}',)),
        sized(WORDS.encode()),
        sized(b"[]"),
        sized(b"{}"),
        sized(b'{"token": 5}'),
        sized(b'{"token": ""}'),
        sized(json.dumps({"token": f"a\r\nX-Injected: {WORDS}"}).encode()),
        sized(b'{"token": "\xc3\xa9"}'),
        sized(b"[" * 50_000),
        sized(b"\xff\xfe"),
    ],
)
def test_an_answer_that_is_no_token_is_tried_again_later(answer: Answer, hostile: HostileServer) -> None:
    serving(hostile, lambda _: answer)
    error = error_of(victim(hostile))
    assert (type(error), error.reason) == (RetryLater, Reason.REGISTRY_ERROR)
    assert "no token" in error.message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sized(WORDS.encode(), 401), Reason.DENIED),
        (sized(WORDS.encode(), 403), Reason.DENIED),
        (sized(WORDS.encode(), 429), Reason.THROTTLED),
        (sized(WORDS.encode(), 500), Reason.REGISTRY_ERROR),
        (sized(WORDS.encode(), 503, Retry_After="3600"), Reason.THROTTLED),
    ],
)
def test_what_a_token_server_refuses_is_said_by_its_status(
    answer: Answer, reason: Reason, hostile: HostileServer
) -> None:
    serving(hostile, lambda _: answer)
    error = error_of(victim(hostile))
    assert error.reason is reason
    assert f"HTTP {answer.status}" in error.message
    if isinstance(error, RetryLater) and "Retry-After" in answer.headers:
        assert error.after == 3600.0


def test_a_registry_that_is_never_content_is_left_after_one_token(hostile: HostileServer) -> None:
    serving(hostile, lambda _: sized(b'{"token": "abc"}'))
    assert error_of(victim(hostile)).reason is Reason.DENIED
    assert len(hostile.seen) < 10


def test_what_a_challenge_says_of_the_scope_is_not_asked_for(hostile: HostileServer) -> None:
    serving(hostile, lambda _: sized(b'{"token": "abc"}'), ',scope="registry:catalog:* repository:secret:push"')
    error_of(victim(hostile))
    asked = [seen.path for seen in hostile.seen if seen.path.startswith("/token")]
    assert set(asked) == {"/token?service=s&scope=repository%3Ashop%2Fcheckout%3Apull"}


def test_a_realm_keeps_its_own_query(hostile: HostileServer) -> None:
    serving(hostile, lambda _: sized(b'{"token": "abc"}'))
    hostile_reply = hostile.reply
    hostile.reply = lambda seen: (
        hostile_reply(seen) if seen.path.startswith("/token") else challenging(f"{hostile.url}/token?a=b")(seen)
    )
    error_of(victim(hostile))
    assert any(seen.path.startswith("/token?a=b&service=s&scope=") for seen in hostile.seen)


def test_a_token_server_that_breaks_is_not_asked_by_each_of_those_who_wait(hostile: HostileServer) -> None:
    fetching, go_on = threading.Event(), threading.Event()

    def token(_: Seen) -> Answer:
        fetching.set()
        go_on.wait(10)
        return sized(b"", 500)

    serving(hostile, token)
    credentials = TokenCredentials(Transport(Network(HostRules.of(plain_http=[hostile.host]))), Me())
    registry, scope = Registry.parse(hostile.host), "repository:a:pull"
    credentials.renew(registry, scope, None, f'Bearer realm="{hostile.url}/token"')

    def ask() -> Reason:
        with pytest.raises(RetryLater) as caught:
            credentials.authorization(registry, scope)
        return caught.value.reason

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask)
        fetching.wait(10)
        others = [pool.submit(ask) for _ in range(7)]
        while sum(each.running() for each in others) < 7:
            go_on.wait(0.01)
        go_on.wait(0.2)
        go_on.set()
        assert {each.result() for each in (first, *others)} == {Reason.REGISTRY_ERROR}
    assert len(hostile.seen) == 1


def test_tokens_of_ever_new_repositories_do_not_pile_up(
    hostile: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bearer, "MAX_TOKENS", 10)
    serving(hostile, lambda _: sized(b'{"token": "abc", "expires_in": 60}'))
    now = [0.0]
    credentials = TokenCredentials(
        Transport(Network(HostRules.of(plain_http=[hostile.host]))), Me(), clock=lambda: now[0]
    )
    registry = Registry.parse(hostile.host)
    credentials.renew(registry, "", None, f'Bearer realm="{hostile.url}/token"')
    for number in range(30):
        now[0] += 60.0
        credentials.authorization(registry, f"repository:a{number}:pull")
    assert len(credentials._tokens) <= 11


def test_a_named_realm_is_asked(hostile: HostileServer) -> None:
    challenge = 'Bearer realm="https://auth.example.com/token"'
    rules = HostRules()
    credentials = TokenCredentials(
        Transport(Network(rules, connect_to={"auth.example.com": hostile.host})),
        Me(),
        Realms(rules, {"registry.example.com": ["auth.example.com"]}),
        HASTE,
    )
    credentials.renew(Registry("registry.example.com"), "", None, challenge)
    with pytest.raises(RetryLater) as caught:  # it speaks no TLS, so that nothing was sent
        credentials.authorization(Registry("registry.example.com"), "")
    assert caught.value.reason is Reason.UNREACHABLE
    with pytest.raises(NeedsHuman):
        credentials.renew(Registry("other.example.com"), "", None, challenge)
