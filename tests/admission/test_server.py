"""The server as an attacker would use it, on raw sockets; and the reviewer when what it asks is slow or broken."""

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from transship.admission import server as servers
from transship.admission.certificate import Lifetimes, make
from transship.admission.keeper import _context_of
from transship.admission.looking import Looking
from transship.admission.review import BUDGET_SECONDS, Answer, Review, Reviewer
from transship.admission.rules import RuleBook
from transship.admission.server import WebhookServer
from transship.errors import Reason, RetryLater
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Repository, Tag
from transship.promotion.policy import Endpoint, Namespace, PromotionPolicy, Route, parse_policy, route

SOURCE, DESTINATION = (f"{account * 12}.dkr.ecr.eu-west-1.amazonaws.com" for account in "12")
IMAGE = f"{DESTINATION}/shop/checkout:v1"
POLICY = {
    "metadata": {"name": "shop"},
    "spec": {
        "source": {"registry": SOURCE},
        "destination": {"registry": DESTINATION},
        "namespaces": {"names": ["shop"]},
        "repositories": ["shop/*"],
    },
}
NAMESPACE = {"metadata": {"name": "shop", "labels": {"transship.dev/admission": "enabled"}}}
DESCRIPTOR = Descriptor("application/vnd.oci.image.index.v1+json", Digest.parse(f"sha256:{'a' * 64}"), 7)


class Destination:
    """A destination that answers as it is told to: at once, late, or with an error."""

    targets_per_request = 1

    def __init__(self) -> None:
        self.found: Descriptor | None = None
        self.error: Exception | None = None
        self.blocked = threading.Event()
        self.blocked.set()
        self.asked = 0
        self.repository = Reference.parse(IMAGE).repository

    def destination(self, policy: PromotionPolicy, repository: Repository) -> "Destination":
        return self

    def authorize(self, policy: PromotionPolicy, endpoint: Endpoint) -> None:
        """Nothing to do."""

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        self.asked += 1
        self.blocked.wait()
        if self.error is not None:
            raise self.error
        return self.found

    def resolve_all(self, targets: object) -> Mapping[Tag | Digest, Descriptor | None]:
        raise NotImplementedError

    def is_archived(self, target: Tag | Digest) -> bool:
        raise NotImplementedError


class Rules:
    """One policy, and one namespace that may wait."""

    def policies(self) -> list[dict[str, Any]]:
        return [POLICY]

    def namespaces(self, name: str | None = None) -> list[dict[str, Any]]:
        return [NAMESPACE] if name in {None, "shop"} else []


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.results: list[str] = []

    def reviewed(self, result: str) -> None:
        self.results.append(result)


@pytest.fixture
def destination() -> Iterator[Destination]:
    destination = Destination()
    yield destination
    destination.blocked.set()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def reviewer(destination: Destination, counts: Counts) -> Iterator[Reviewer]:
    book = RuleBook(Rules(), destination, 60)
    book.start()
    while book.picture is None:
        time.sleep(0.01)
    yield Reviewer(book, Looking(destination), "transship-system", counts)
    book.stop()


def review(pod: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    pod = pod or {"metadata": {"name": "checkout"}, "spec": {"containers": [{"name": "app", "image": IMAGE}]}}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": pod,
            **request,
        },
    }


def ask(reviewer: Reviewer, **request: Any) -> Answer:
    return reviewer.answer(Review.parse(json.dumps(review(**request)).encode()))


# The reviewer


def test_a_missing_image_gates_the_pod(reviewer: Reviewer) -> None:
    answer = ask(reviewer).to_resource("u-1")["response"]

    assert (answer["uid"], answer["allowed"], answer["patchType"]) == ("u-1", True, "JSONPatch")
    assert json.loads(base64.b64decode(answer["patch"])) == [
        {"op": "add", "path": "/spec/schedulingGates", "value": [{"name": "transship.dev/promotion"}]},
        {"op": "add", "path": "/metadata/labels", "value": {"transship.dev/gated": "true"}},
    ]


def test_presence_is_remembered_and_absence_is_not(reviewer: Reviewer, destination: Destination) -> None:
    assert [ask(reviewer).result, ask(reviewer).result, destination.asked] == ["gated", "gated", 2]
    destination.found = DESCRIPTOR

    assert [ask(reviewer).result for _ in range(5)] == ["present"] * 5
    assert destination.asked == 3


def test_what_was_seen_is_forgotten_after_half_a_minute(destination: Destination) -> None:
    now = [0.0]
    looking = Looking(destination, lambda: now[0])
    destination.found = DESCRIPTOR
    routes = _routes()
    assert (looking.missing(routes, 1.0), destination.asked) == ([], 1)

    now[0] = 29.0
    assert (looking.missing(routes, 1.0), destination.asked) == ([], 1)
    now[0] = 31.0
    destination.found = None
    assert (looking.missing(routes, 1.0), destination.asked) == (routes, 2)


def _routes() -> list[Route]:
    return [route([parse_policy(POLICY)], Namespace("shop"), Reference.parse(IMAGE))]


@pytest.mark.parametrize(
    "error", [RetryLater(Reason.UNREACHABLE, "no way there"), RuntimeError("a mistake"), TimeoutError("its own")]
)
def test_a_registry_that_fails_lets_the_pod_through_with_a_warning(
    reviewer: Reviewer, destination: Destination, counts: Counts, error: Exception
) -> None:
    destination.error = error

    answer = ask(reviewer)

    assert (list(answer.patch), counts.results) == ([], ["failed open"])
    assert "so the pod is not held" in answer.warnings[0]


def test_a_silent_registry_costs_a_second_each_time_and_no_more_threads_than_it_may(
    reviewer: Reviewer, destination: Destination
) -> None:
    destination.blocked.clear()
    before, started = threading.active_count(), time.monotonic()

    for number in range(3):
        pod = {"metadata": {}, "spec": {"containers": _containers(40, f"{number}")}}
        assert ask(reviewer, object=pod).result == "failed open"

    assert time.monotonic() - started < 3 * (BUDGET_SECONDS + 0.2)
    assert threading.active_count() - before <= 9


def test_questions_that_are_open_are_bounded(reviewer: Reviewer, destination: Destination) -> None:
    destination.blocked.clear()
    pod = {"metadata": {}, "spec": {"containers": _containers(2000)}}

    started = time.monotonic()
    answer = ask(reviewer, object=pod)

    assert "too many images are being looked for" in answer.warnings[0]
    assert time.monotonic() - started < BUDGET_SECONDS


def _containers(count: int, prefix: str = "") -> list[dict[str, str]]:
    return [{"name": f"c{each}", "image": f"{IMAGE}-{prefix}-{each}"} for each in range(count)]


def test_reviews_of_one_image_at_once_ask_once(reviewer: Reviewer, destination: Destination) -> None:
    destination.blocked.clear()
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(reviewer).result)) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    destination.blocked.set()
    for thread in threads:
        thread.join()

    assert (answers, destination.asked) == (["gated"] * 10, 1)


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"subResource": "ephemeralcontainers"},
        {"namespace": "elsewhere"},
        {"namespace": "kube-system"},
        {"namespace": "transship-system"},
        {"object": {"metadata": {}, "spec": {"nodeName": "n", "containers": [{"name": "a", "image": IMAGE}]}}},
        {
            "object": {
                "metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}},
                "spec": {"containers": [{"name": "a", "image": IMAGE}]},
            }
        },
    ],
)
def test_what_is_not_ours_is_allowed_without_a_look(
    reviewer: Reviewer, destination: Destination, counts: Counts, request_: dict[str, Any]
) -> None:
    assert list(ask(reviewer, **request_).patch) == []
    assert (destination.asked, counts.results) == (0, ["not ours"])


def test_warnings_are_few_short_and_fit_a_header(reviewer: Reviewer) -> None:
    bad = f"{DESTINATION}/shop/UPPER\r\nX-Injected: yes{'x' * 500}"
    pod = {"metadata": {}, "spec": {"containers": [{"name": f"c{each}", "image": bad} for each in range(20)]}}

    warnings = ask(reviewer, object=pod).to_resource("u")["response"]["warnings"]

    assert len(warnings) == 5
    assert all(each.isprintable() and len(each) <= 250 for each in warnings)


# The server

KEYRING = make(["127.0.0.1"], datetime.now(UTC), Lifetimes()).to_data()


@contextmanager
def serving(reviews: Any) -> Iterator[WebhookServer]:
    context = _context_of(KEYRING["tls.crt"], KEYRING["tls.key"])
    server = WebhookServer("127.0.0.1", 0, reviews, lambda: context)
    server.start()
    try:
        yield server
    finally:
        server.stop(0, 1)


@pytest.fixture
def server(reviewer: Reviewer) -> Iterator[WebhookServer]:
    with serving(reviewer) as server:
        yield server


def connect(server: WebhookServer) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=KEYRING["ca.crt"].decode())
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def message(body: bytes, *, path: str = "/mutate", **headers: str | None) -> bytes:
    told = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = (told | {name.replace("_", "-"): value for name, value in headers.items()}).items()
    head = "".join(f"{name}: {value}\r\n" for name, value in lines if value is not None)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def exchange(server: WebhookServer, content: bytes) -> tuple[int, bytes]:
    """Send bytes; the status and all that comes until the answer's end or the connection's."""
    with connect(server) as connection:
        connection.sendall(content)
        return read(connection)


def read(connection: ssl.SSLSocket) -> tuple[int, bytes]:
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, file.read(length)


def test_a_review_is_answered_and_the_connection_serves_the_next(server: WebhookServer) -> None:
    content = message(json.dumps(review()).encode(), Content_Type="application/json; charset=utf-8")
    with connect(server) as connection:
        for _ in range(3):
            connection.sendall(content)
            status, body = read(connection)
            assert (status, json.loads(body)["response"]["allowed"]) == (200, True)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, message(b"{}", path="/")),
        (415, message(b"{}", Content_Type="text/plain")),
        (415, message(b"{}", Content_Type=None)),
        (411, message(b"{}", Content_Length=None)),
        (411, message(b"{}", Content_Length="-1")),
        (411, message(b"{}", Content_Length="0x2")),
        (411, message(b"{}", Transfer_Encoding="chunked")),
        (413, message(b"", Content_Length=str(servers.MAX_BODY + 1))),
        (413, message(b"", Content_Length="9" * 300)),
        (400, message(b"")),
        (400, message(b"{")),
        (400, message(b"\xff\xfe")),
        (400, message(b"[" * 100_000)),
        (400, message(b"null")),
        (400, message(b"{}")),
        (400, message(json.dumps(review() | {"apiVersion": "admission.k8s.io/v1beta1"}).encode())),
        (400, message(json.dumps(review() | {"request": []}).encode())),
        (400, message(json.dumps(review(uid="")).encode())),
        (400, message(json.dumps(review(uid=7)).encode())),
        (400, message(json.dumps(review(namespace=["shop"])).encode())),
        (400, message(json.dumps(review(object=None)).encode())),
        (400, message(json.dumps(review(object={"metadata": {}, "spec": []})).encode())),
        (400, message(json.dumps(review(object={"metadata": 1, "spec": {}})).encode())),
        (400, message(json.dumps(review(object={"metadata": {}, "spec": {"containers": 7}})).encode())),
        (400, message(json.dumps(review(object={"metadata": {}, "spec": {"containers": [{"image": "a"}]}})).encode())),
        (400, message(json.dumps(review(object={"metadata": {}, "spec": {"schedulingGates": "xy"}})).encode())),
        (400, message(json.dumps(review(object={"metadata": {"labels": "xy"}, "spec": {}})).encode())),
        (501, b"GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n"),
        (431, b"POST /mutate HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
    ],
)
def test_what_is_no_review_is_refused_and_the_next_one_is_served(
    server: WebhookServer, status: int, content: bytes
) -> None:
    assert exchange(server, content)[0] == status

    assert exchange(server, message(json.dumps(review()).encode()))[0] == 200


@pytest.mark.parametrize("image", [7, None, {"a": 1}, ["x"], True])
def test_an_image_that_is_no_text_is_refused_or_ignored(server: WebhookServer, counts: Counts, image: Any) -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "a", "image": image}]}}

    assert exchange(server, message(json.dumps(review(pod)).encode()))[0] == (400 if image else 200)
    assert "failed open" not in counts.results


@pytest.mark.parametrize("sent", [b"", b"POST /mutate HTTP/1.1\r\nX: ", message(b"{", Content_Length="1000")])
def test_a_client_that_drips_is_sent_away(reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(servers, "_REQUEST_SECONDS", 1.0)
    with serving(reviewer) as server, connect(server) as connection:
        connection.sendall(sent)
        assert _ended_after(connection, drip=b"x" if sent else b"") < 3


def test_a_client_that_never_shakes_hands_is_sent_away(reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_REQUEST_SECONDS", 1.0)
    with serving(reviewer) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        assert _ended_after(connection) < 3


def _ended_after(connection: socket.socket, drip: bytes = b"") -> float:
    started = time.monotonic()
    connection.settimeout(0.2)
    while time.monotonic() - started < 8:
        try:
            if drip:
                connection.sendall(drip)
            if connection.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def test_connections_beyond_the_limit_are_refused_and_others_are_served(
    reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_MAX_CONNECTIONS", 3)
    monkeypatch.setattr(servers, "_REQUEST_SECONDS", 1.0)
    with serving(reviewer) as server:
        place = ("127.0.0.1", server.port)
        held = [socket.create_connection(place, timeout=10) for _ in range(3)]
        try:
            time.sleep(0.3)
            with socket.create_connection(place, timeout=10) as beyond:
                assert _ended_after(beyond) < 0.5
            time.sleep(2)
            assert exchange(server, message(json.dumps(review()).encode()))[0] == 200
        finally:
            for each in held:
                each.close()


def test_what_is_under_way_at_the_end_is_answered_and_quiet_connections_are_not_waited_for(
    reviewer: Reviewer, destination: Destination
) -> None:
    destination.blocked.clear()
    content = message(json.dumps(review()).encode())
    with serving(reviewer) as server, connect(server) as quiet, connect(server) as busy:
        quiet.sendall(message(json.dumps(review(namespace="kube-system")).encode()))
        assert read(quiet)[0] == 200
        busy.sendall(content)
        time.sleep(0.2)
        threading.Timer(0.3, destination.blocked.set).start()
        started = time.monotonic()

        server._server.is_leaving = True
        ending = threading.Thread(target=server.stop, args=(0, 5))
        ending.start()

        assert read(busy)[0] == 200
        ending.join()
        assert time.monotonic() - started < 2


def test_a_client_that_does_not_trust_us_disturbs_nobody(server: WebhookServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(
            socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1"
        )

    assert exchange(server, message(json.dumps(review()).encode()))[0] == 200
