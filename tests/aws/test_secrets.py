"""Nothing secret is ever said: canaries in every credential, looked for in all that is logged, written and answered."""

import io
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from aws.conftest import Aws, user_of
from aws.fleet import Heard, build, desk, unhurried
from ecr_twin import Fault
from oci.images import multi_arch
from transship import logs
from transship.aws import identity
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Reach
from transship.metrics import Metrics
from transship.oci.reference import Registry
from transship.registry.transport import Transport

CONTENT = multi_arch(seed=b"secret", layer_bytes=60_000)
PRESIGNED = ("X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential")


class Overheard:
    """Every secret that passed on the wire or through a credential provider of this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets: set[str] = set()
        opened = urllib3.connectionpool.HTTPConnectionPool.urlopen

        def urlopen(pool: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            headers = options.get("headers") or {}
            for name in ("Authorization", "X-Amz-Security-Token"):
                self._take(_text(headers.get(name, "")).removeprefix("Basic ").rpartition("Signature=")[2])
            self._take_query(url)
            answer = opened(pool, method, url, *arguments, **options)
            self._take_query(answer.headers.get("Location", ""))
            return answer

        sent = Transport.open

        def send(transport: Any, method: str, url: str, headers: Any, body: Any = None) -> Any:
            self._take(headers.get("Authorization", "").removeprefix("Basic "))
            self._take_query(url)
            answer = sent(transport, method, url, headers, body)
            self._take_query(answer.headers.get("Location"))
            return answer

        assume = identity._assume_role

        def assume_role(*arguments: Any) -> dict[str, str]:
            found = assume(*arguments)
            self.secrets.update({found["secret_key"], found["token"]})
            return found

        monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "urlopen", urlopen)
        monkeypatch.setattr(Transport, "open", send)
        monkeypatch.setattr(identity, "_assume_role", assume_role)

    def _take(self, secret: str) -> None:
        if len(secret) > 16:
            self.secrets.add(secret)

    def _take_query(self, url: str) -> None:
        for name, values in parse_qs(urlsplit(url).query).items():
            if name in PRESIGNED:
                self._take(values[0])


def _text(value: str | bytes) -> str:
    """botocore's headers are bytes, ours are text."""
    return value.decode() if isinstance(value, bytes) else value


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All logs, libraries included, at the loudest level the operator offers."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logs.configure("debug", "json")
    yield stream
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("reset", action="GetObject", at=10, times=0),
        Fault("truncate", action="GetObject", at=10, times=0),
        Fault("unreachable", how="dns", times=0),
        Fault("unreachable", how="tls", times=0),
        Fault("status", action="GetObject", status=403, times=0),
        Fault("status", action="GetAuthorizationToken", status=500, times=0),
        Fault("reset", action="PutImage", times=0),
        Fault("skew", seconds=3600),
    ],
    ids=lambda fault: "nothing goes wrong" if fault is None else f"{fault.kind} {fault.action or fault.how}",
)
def test_no_secret_is_logged_written_or_counted(
    aws: Aws, written: io.StringIO, monkeypatch: pytest.MonkeyPatch, fault: Fault | None
) -> None:
    path = aws.repository()
    build(aws.act_as("ci", quotas=unhurried()), path, {"v1": CONTENT})
    overheard, metrics, heard = Overheard(monkeypatch), Metrics("test"), Heard()
    registries = aws.act_as("transship-controller", quotas=unhurried(), observer=metrics)
    request = desk(registries, [(path, "v1"), (path, "gone")])
    if fault is not None:
        aws.twin.faults.add(fault)
    try:
        results = [request.look() for _ in range(2)]
    finally:
        aws.twin.faults.clear()
    for result in results:
        for error in result.unexpected if result else ():
            logging.getLogger("transship").error("unexpected", exc_info=error)
    said = "\n".join([written.getvalue(), str(request.resource), repr(results), metrics.render().decode(), str(heard)])
    secrets = overheard.secrets | {user_of("transship-controller")["secretAccessKey"]}
    assert path in said, "something was said at all"
    assert len(secrets) > (10 if fault is None else 1), "secrets were there to be said"
    assert {secret for secret in secrets if secret in said} == set()
    assert not [name for name in PRESIGNED if name in said]


def test_session_keys_are_not_in_what_a_client_or_session_says_of_itself(aws: Aws) -> None:
    aws.act_as("transship-controller")
    host = EcrHost.of(Registry("111111111111.dkr.ecr.eu-west-1.amazonaws.com"))
    assert host is not None
    clients = Clients(Reach(str(aws.twin.ca_path)))
    assert "example-secret" not in repr(clients) + repr(vars(clients))
