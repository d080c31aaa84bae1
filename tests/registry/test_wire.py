"""HTTP/1.1 on raw sockets, as somebody would answer who wants our client to read what nobody sent, or never to end.

The rules are RFC 9112's; where it leaves a choice the client refuses, and a connection on which anything was odd is not
used again.
"""

import socket
import ssl
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ProxyError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from ecr_twin.certificates import Authority
from registry.conftest import open_repository
from registry.wires import Peer, Pieces, Script, Scripted, answering, cut, saying
from transship.errors import NeedsHuman, RetryLater
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.transport import Transport
from transship.registry.wire import MAX_HEAD_BYTES, Wire

IDLE = 0.4
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "canary-of-a-signature"  # noqa: S105 - what must never be seen again
SIGNED = f"/blob?X-Amz-Signature={SECRET}"
HEADERS = {"Authorization": f"Basic {SECRET}"}
NAME = "registry.example"


def transport(server: Scripted, *, idle: float = 5.0, **network: Any) -> Transport:
    rules = HostRules.of(plain_http=(server.host, NAME))
    return Transport(Network(rules, idle_seconds=idle, connect_seconds=5.0, **network))


def get(ours: Transport, url: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, bytes]:
    """Status and body; what went wrong has none of what is secret in its text, nor has any error behind it."""
    try:
        answer = ours.open(method, url + SIGNED, {**HEADERS, **headers}, body)
        try:
            return answer.status, answer.read(1 << 20)
        finally:
            answer.close()
    except Exception as error:
        said = "".join(traceback.format_exception(error))
        if SECRET in said:
            pytest.fail("an error says what is secret")
        raise


@pytest.fixture
def ask() -> Iterator[Callable[..., tuple[int, bytes]]]:
    """Ask a server that plays one script."""

    def ask(script: Script, method: str = "GET", body: Any = None, idle: float = 5.0, **headers: str) -> Any:
        with Scripted(script) as server:
            ours = transport(server, idle=idle)
            try:
                return get(ours, f"http://{server.host}", method, body, **headers)
            finally:
                ours.close()

    return ask


Ask = Callable[..., tuple[int, bytes]]

# Heads


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n", id="one field too long"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 12000, id="too many fields"),
        pytest.param(b"HTTP/1.1 " + b"2" * 100_000, id="no end of the status line"),
        pytest.param(b"HTTP/2 200 OK\r\n", id="another version"),
        pytest.param(b"HTTP/1.2 200 OK\r\n", id="a version to come"),
        pytest.param(b"http/1.1 200 OK\r\n", id="small letters"),
        pytest.param(b" HTTP/1.1 200 OK\r\n", id="a space before it"),
        pytest.param(b"\r\nHTTP/1.1 200 OK\r\n", id="an empty line before it"),
        pytest.param(b"HTTP/1.1  200 OK\r\n", id="two spaces"),
        pytest.param(b"HTTP/1.1 20 OK\r\n", id="two digits"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n", id="four digits"),
        pytest.param(b"HTTP/1.1 600 OK\r\n", id="a status that is none"),
        pytest.param(b"HTTP/1.1 +20 OK\r\n", id="a sign"),
        pytest.param(b"HTTP/1.1 200 O\0K\r\n", id="NUL in the reason"),
        pytest.param(b"HTTP/1.1 200 O\rK\r\n", id="CR in the reason"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", id="obs-fold"),
        pytest.param(b"HTTP/1.1 200 OK\r\n A: b\r\n", id="a field that begins with a space"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA : b\r\n", id="a space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA B: c\r\n", id="a name of two words"),
        pytest.param(b"HTTP/1.1 200 OK\r\n: b\r\n", id="no name"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA\r\n", id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\xe9: b\r\n", id="a name beyond ASCII"),
        pytest.param(b"HTTP/1.1 200 OK\nA: b\r\n", id="LF after the status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n", id="LF after a field"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\rContent-Length: 2\r\n", id="CR in a field"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\0c\r\n", id="NUL in a field"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n", id="a protocol nobody asked for"),
    ],
)
def test_a_malformed_head_is_an_error(ask: Ask, head: bytes) -> None:
    with pytest.raises(ProtocolError):
        ask(saying(head + b"\r\n", OK))


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_may_have_64_kib_and_not_a_byte_more_however_it_comes(more: int) -> None:
    start = b"HTTP/1.1 204 OK\r\nX: "
    head = start + b"x" * (MAX_HEAD_BYTES - len(start) + more) + b"\r\n\r\n"
    for piece in (1000, 16 * 1024, len(head)):
        wire = Wire(Pieces(head[at : at + piece] for at in range(0, len(head), piece)), "host")  # type: ignore[arg-type]
        if more:
            with pytest.raises(ProtocolError, match="too long"):
                wire.ask("GET", "/", {}, None, _drop)
        else:
            answer = wire.ask("GET", "/", {}, None, _drop)
            assert answer.status == 204
            answer.close()


def _drop(wire: Wire, _is_reusable: bool) -> None:  # noqa: FBT001 - of the shape `Wire` gives back
    wire.close()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Content-Length: 2\r\nContent-Length: 3", id="two lengths"),
        pytest.param(b"Content-Length: 2, 3", id="two lengths in one field"),
        pytest.param(b"Content-Length: 2, 2", id="a list of one length"),
        pytest.param(b"Content-Length: +2", id="plus"),
        pytest.param(b"Content-Length: -2", id="minus"),
        pytest.param(b"Content-Length: 2 2", id="a space in it"),
        pytest.param(b"Content-Length: 0x2", id="hexadecimal"),
        pytest.param(b"Content-Length: 2_0", id="an underscore"),
        pytest.param(b"Content-Length: \xb2", id="a digit beyond ASCII"),
        pytest.param(b"Content-Length:", id="empty"),
        pytest.param(b"Content-Length: " + b"9" * 19, id="beyond 64 bits"),
        pytest.param(b"Content-Length: " + b"9" * 5000, id="beyond every integer"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 2", id="two framings"),
        pytest.param(b"Transfer-Encoding: gzip", id="a coding nobody asked for"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="a coding within chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", id="chunks within chunks"),
        pytest.param(b"Transfer-Encoding: xchunked", id="almost chunked"),
        pytest.param(b"Transfer-Encoding: chunked;q=1", id="a parameter"),
        pytest.param(b"Transfer-Encoding:", id="no coding"),
        pytest.param(b"Transfer-Encoding: \x0bchunked", id="a space that is none"),
    ],
)
def test_a_framing_that_may_be_read_in_two_ways_is_an_error(ask: Ask, fields: bytes) -> None:
    with pytest.raises(ProtocolError):
        ask(saying(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nok"))


def test_the_same_length_twice_is_one_length(ask: Ask) -> None:
    assert ask(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length:2 \r\n\r\nok")) == (200, b"ok")


def test_interim_answers_are_passed_over(ask: Ask) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
    assert ask(saying(*interim, OK)) == (200, b"ok")


def test_endless_interim_answers_end(ask: Ask) -> None:
    def play(peer: Peer) -> None:
        peer.request()
        while True:
            peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")

    with pytest.raises(ProtocolError, match="interim"):
        ask(play)


# Chunks

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_chunks_with_extensions_and_trailers_are_read(ask: Ask) -> None:
    body = b'001;a="b"\r\no\r\nA;x\r\n' + b"k" * 10 + b"\r\n0;last\r\nDigest: x\r\n\r\n"
    assert ask(saying(CHUNKED, body, stays=True)) == (200, b"o" + b"k" * 10)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"-2\r\nok\r\n0\r\n\r\n", id="minus"),
        pytest.param(b"+2\r\nok\r\n0\r\n\r\n", id="plus"),
        pytest.param(b"0x2\r\nok\r\n0\r\n\r\n", id="a prefix"),
        pytest.param(b" 2\r\nok\r\n0\r\n\r\n", id="a space before it"),
        pytest.param(b"2_0\r\nok\r\n0\r\n\r\n", id="an underscore"),
        pytest.param(b"\r\nok\r\n0\r\n\r\n", id="no size"),
        pytest.param(b";a=b\r\nok\r\n0\r\n\r\n", id="an extension only"),
        pytest.param(b"2\nok\r\n0\r\n\r\n", id="LF after the size"),
        pytest.param(b"2;a\rb\r\nok\r\n0\r\n\r\n", id="CR in an extension"),
        pytest.param(b"f" * 16 + b"\r\nok", id="beyond 60 bits"),
        pytest.param(b"0" * 100 + b"\r\n\r\n", id="a hundred zeros"),
        pytest.param(b"7fffffffffffffff\r\nok", id="more than comes"),
        pytest.param(b"1\r\nok\r\n0\r\n\r\n", id="longer than it said"),
        pytest.param(b"2\r\nok0\r\n\r\n", id="no end of a chunk"),
        pytest.param(b"2\r\nok\r\n", id="no last chunk"),
        pytest.param(b"2\r\nok\r\n0\r\n", id="no end of the trailers"),
        pytest.param(b"2\r\nok\r\n0\r\n\n", id="LF at the end"),
        pytest.param(b"2\r\nok\r\n0\r\nA b: c\r\n\r\n", id="a trailer that is no field"),
        pytest.param(b"2\r\nok\r\n0\r\nA: b\n\r\n", id="a trailer with LF"),
        pytest.param(b"2\r\nok\r\n0\r\n" + b"A: b\r\n" * 20000 + b"\r\n", id="trailers without end"),
        pytest.param(b"2;" + b"x" * 100_000, id="an extension without end"),
    ],
)
def test_a_malformed_chunk_is_an_error(ask: Ask, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        ask(saying(CHUNKED, body))


# Connections and what is left on them


def _blob(content: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(content), len(content))


def requests(server: Scripted, count: int, method: str = "GET") -> list[tuple[int, bytes]]:
    ours = transport(server)
    try:
        return [get(ours, f"http://{server.host}", method) for _ in range(count)]
    finally:
        ours.close()


def test_a_connection_serves_one_request_after_the_other() -> None:
    sized, chunked, none = OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    with Scripted(answering(sized, chunked, none, none, chunked, sized)) as server:
        assert [body for _, body in requests(server, 6)] == [b"ok", b"ok", b"", b"", b"ok", b"ok"]
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", id="HTTP/1.0 that stays"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok", id="Connection: close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, close\r\n\r\nok", id="close in a list"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", id="a body that ends with the connection"),
        pytest.param(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", id="another answer behind it"),
        pytest.param(OK + b"\r\n", id="an empty line behind it"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\n\r\nx", id="a byte behind the chunks"),
    ],
)
def test_a_connection_on_which_anything_is_odd_is_not_used_again(answer: bytes) -> None:
    def once(peer: Peer) -> None:
        peer.request()
        peer.say(answer)
        if b"\r\n\r\nok" in answer and b"Length" not in answer:
            return
        peer.wait()

    with Scripted(once) as server:
        assert requests(server, 3) == [(200, b"ok")] * 3
        assert server.connections == 3


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_a_status_without_a_body_has_none_whatever_it_says(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b" x\r\nContent-Length: 4\r\n\r\n"
    with Scripted(answering(head + b"evil"), answering(head, OK)) as server:
        assert requests(server, 3) == [(int(status), b""), (int(status), b""), (200, b"ok")]
        assert server.connections == 2, "what was left on the first was not read as an answer"


def test_head_has_no_body_and_the_connection_stays() -> None:
    with Scripted(answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"] * 2)) as server:
        assert requests(server, 2, "HEAD") == [(200, b"")] * 2
        assert server.connections == 1


def test_an_answer_that_was_not_read_to_its_end_loses_its_connection() -> None:
    with Scripted(answering(OK, OK)) as server:
        ours = transport(server)
        ours.open("GET", f"http://{server.host}/", {}).close()
        assert get(ours, f"http://{server.host}") == (200, b"ok")
        assert server.connections == 2
        ours.close()


@pytest.mark.parametrize("goodbye", [Peer.reset, lambda peer: peer.socket.close()], ids=["reset", "closed"])
def test_what_can_be_repeated_is_sent_again_when_a_kept_connection_is_closed_under_it(
    goodbye: Callable[[Peer], None],
) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def leaves(peer: Peer) -> None:
        peer.request()
        peer.say(answer)
        peer.request()
        goodbye(peer)

    with Scripted(leaves, answering(answer)) as server:
        repository = open_repository(server.host)
        blob = _blob(b"bytes")
        assert repository.missing_blobs([blob]) == repository.missing_blobs([blob]) == {blob.digest}
        assert server.connections == 2


def test_a_stream_is_sent_once() -> None:
    blob = _blob(b"four")
    begun = b"HTTP/1.1 202 Accepted\r\nLocation: /v2/up?_state=x\r\nContent-Length: 0\r\n\r\n"
    seen: list[bytes] = []
    with Scripted(answering(begun, b"", seen=seen), answering(OK, OK, OK, seen=seen)) as server:
        with pytest.raises(RetryLater):
            open_repository(server.host).push_blob(blob, iter([b"fo", b"ur"]), None)
        assert [each.split()[0] for each in seen].count(b"PATCH") == 1


# Requests that are answered before they end, or never taken


def endless(size: int, chunk: int = 1 << 16) -> Iterator[bytes]:
    return (b"x" * chunk for _ in range(size // chunk))


SIZE = 1 << 26
"""More than any socket's buffers take."""


@pytest.mark.parametrize("status", [401, 413])
@pytest.mark.parametrize("as_bytes", [True, False], ids=["bytes", "chunks"])
def test_an_answer_that_comes_before_the_body_was_sent_is_read(ask: Ask, status: int, as_bytes: bool) -> None:  # noqa: FBT001
    def refuse(peer: Peer) -> None:
        peer.head()
        peer.say(f"HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".encode())
        time.sleep(0.1)

    body = b"x" * SIZE if as_bytes else endless(SIZE)
    assert ask(refuse, "PATCH", body, **{"Content-Length": str(SIZE)}) == (status, b"no")


def test_an_answer_of_somebody_who_stops_reading_is_read_after_the_idle_time(ask: Ask) -> None:
    def refuse(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        time.sleep(2 * IDLE)

    assert ask(refuse, "PATCH", endless(SIZE), idle=IDLE, **{"Content-Length": str(SIZE)}) == (413, b"no")


def test_a_connection_that_broke_off_under_a_request_without_an_answer_is_an_error(ask: Ask) -> None:
    def leave(peer: Peer) -> None:
        peer.head()
        peer.reset()

    with pytest.raises(ProtocolError, match="broke off"):
        ask(leave, "PATCH", endless(SIZE), **{"Content-Length": str(SIZE)})


@pytest.mark.parametrize("chunks", [[b"four", b"GET /evil HTTP/1.1\r\n\r\n"], [b"fourX"], [b"fou"], []])
def test_a_body_of_another_length_than_was_said_is_never_a_whole_request(ask: Ask, chunks: list[bytes]) -> None:
    seen: list[bytes] = []

    def listen(peer: Peer) -> None:
        with suppress(ConnectionResetError):
            while data := peer.socket.recv(65536):
                seen.append(data)

    with pytest.raises(ProtocolError, match="not as long"):
        ask(listen, "PATCH", iter(chunks), **{"Content-Length": "4"})
    assert b"evil" not in b"".join(seen)
    assert b"fourX" not in b"".join(seen)


def test_chunks_without_a_length_are_not_sent(ask: Ask) -> None:
    with pytest.raises(ProtocolError, match="not as long"):
        ask(answering(OK), "PATCH", iter([b"x"]))


def test_what_the_chunks_raise_is_raised_and_the_connection_is_gone(ask: Ask) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise LookupError

    with pytest.raises(LookupError):
        ask(answering(OK), "PATCH", broken(), **{"Content-Length": "2"})


# Silence


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        CHUNKED + b"2\r\no",
        CHUNKED,
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "no chunk"],
)
def test_who_falls_silent_is_left_after_the_idle_time(ask: Ask, said: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(HTTPTimeoutError):
        ask(saying(said, stays=True), idle=IDLE)
    assert IDLE <= time.monotonic() - started < 8 * IDLE


def test_who_takes_nothing_is_left_after_the_idle_time(ask: Ask) -> None:
    started = time.monotonic()
    with pytest.raises(HTTPTimeoutError, match="take"):
        ask(lambda _: time.sleep(3 * IDLE), "PATCH", endless(SIZE), idle=IDLE, **{"Content-Length": str(SIZE)})
    assert IDLE <= time.monotonic() - started < 8 * IDLE


# Bodies that break off


@pytest.mark.parametrize("goodbye", [Peer.reset, lambda _: None, Peer.wait], ids=["reset", "closed", "silent"])
@pytest.mark.parametrize("framing", [b"Content-Length: 9000", b"Transfer-Encoding: chunked"], ids=["sized", "chunked"])
def test_what_came_before_a_body_broke_off_is_handed_over_to_the_byte(
    framing: bytes, goodbye: Callable[[Peer], None]
) -> None:
    content = bytes(range(250)) * 20

    def play(peer: Peer) -> None:
        peer.request()
        start = b"2328\r\n" if b"chunked" in framing else b""
        peer.say(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + start + content)
        time.sleep(0.1)  # until it has been read: a reset takes with it what has not
        goodbye(peer)

    with Scripted(play) as server:
        answer = transport(server, idle=IDLE).open("GET", f"http://{server.host}/", {})
        room = memoryview(bytearray(8000))
        assert answer.readinto(room) == len(content)
        assert room[: len(content)] == content
        for _ in range(2):
            with pytest.raises((ProtocolError, HTTPTimeoutError)):
                answer.readinto(room)
        answer.close()


# What a request is made of


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("#frag", "/"),
        ("/a#frag", "/a"),
        ("/a b", "/a%20b"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
        ("/a HTTP/1.1\r\nHost: evil\r\n\r\n", "/a%20HTTP/1.1%0D%0AHost:%20evil%0D%0A%0D%0A"),
        ("/\xe9\0\x7f", "/%C3%A9%00%7F"),
        ("/%2F%20?x=%zz", "/%2F%20?x=%zz"),
    ],
)
def test_a_target_cannot_end_its_line(rest: str, target: str) -> None:
    seen: list[bytes] = []
    with Scripted(answering(OK, seen=seen)) as server:
        transport(server).open("GET", f"http://{server.host}{rest}", {}).close()
        assert seen[0].split(b"\r\n")[:2] == [f"GET {target} HTTP/1.1".encode(), f"Host: {server.host}".encode()]
        assert seen[0].count(b"\r\n\r\n") == 1
        assert b"\r\nX:" not in seen[0]


@pytest.mark.parametrize(
    "host",
    [
        "exa mple.example",
        "ex\xe4mple.example",
        "a.example\\b",
        "a.example\tb",
        "a.example\r\nX:y",
        "a.example\0",
        "a%41.example",
    ],
)
def test_a_host_that_is_none_is_not_asked(host: str) -> None:
    with Scripted(answering(OK)) as server:
        # Where a connection is made instead is said for names of any kind here.
        ours = transport(server, connect_to={host: server.host, "a.examplex:y": server.host, "a.exampleb": server.host})
        with pytest.raises((HTTPError, NeedsHuman)) as caught:
            get(ours, f"https://{host}")
        assert server.connections == 0
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\xe9", "€", "a\x7f"])
def test_a_value_cannot_end_its_line_and_is_not_repeated(ask: Ask, value: str) -> None:
    with pytest.raises(ProtocolError, match="X-Token") as caught:
        ask(answering(OK), **{"X-Token": SECRET + value})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("method", ["GET /evil HTTP/1.1\r\nX:", "", "GÉT", "G T"])
def test_a_method_is_a_word(ask: Ask, method: str) -> None:
    with pytest.raises(ProtocolError):
        ask(answering(OK), method)


def test_a_location_with_anything_in_it_becomes_a_target_without_line_ends() -> None:
    seen: list[bytes] = []
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /else where/\xc3\xa9\x01?a=b c\r\nContent-Length: 0\r\n\r\n"
    with Scripted(answering(moved, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes", seen=seen)) as server:
        blob = _blob(b"bytes")
        with open_repository(server.host).read_blob(blob).open() as stream:
            assert stream.readinto(memoryview(bytearray(5))) == 5
    assert seen[1].startswith(b"GET /else%20where/")
    assert seen[1].split(b"\r\n")[0].count(b" ") == 2


# Any answer

_NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,8}", fullmatch=True)
_VALUES = st.from_regex(r"[!-~]([ -~\x80-\xff]{0,10}[!-~])?", fullmatch=True)
_CONTENT = st.binary(max_size=300)


@st.composite
def well_formed(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[str, str]], bytes]:
    """An answer, and what it says: status, fields and body."""
    status = draw(st.sampled_from([200, 201, 206, 404, 500]))
    fields = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
    content = draw(_CONTENT)
    space = draw(st.sampled_from([b"", b" ", b"\t "]))
    head = b"".join(b"HTTP/1.1 100 Continue\r\n\r\n" for _ in range(draw(st.integers(0, 2))))
    head += b"HTTP/1.1 %d %s\r\n" % (status, draw(st.sampled_from([b"", b"OK", b"Not \xe9 Found"])))
    head += b"".join(f"{name}:".encode() + space + value.encode("latin-1") + b"\r\n" for name, value in fields)
    match draw(st.sampled_from(["sized", "chunked", "to the end"])):
        case "sized":
            return head + b"Content-Length: %d\r\n\r\n" % len(content) + content, status, fields, content
        case "chunked":
            places = draw(st.lists(st.integers(0, 400), max_size=5))
            chunks = b"".join(b"%X;x=y\r\n%s\r\n" % (len(each), each) for each in cut(content, places) if each)
            trailer = draw(st.sampled_from([b"", b"A: b\r\n"]))
            body = chunks + b"00\r\n" + trailer + b"\r\n"
            return head + b"transfer-encoding: Chunked\r\n\r\n" + body, status, fields, content
        case _:
            return head + b"\r\n" + content, status, fields, content


@settings(max_examples=300, deadline=None)
@given(answer=well_formed(), places=st.lists(st.integers(0, 1000), max_size=12), most=st.integers(1, 400))
def test_a_well_formed_answer_is_read_the_same_however_it_is_cut(
    answer: tuple[bytes, int, list[tuple[str, str]], bytes], places: list[int], most: int
) -> None:
    raw, status, fields, content = answer
    found = Wire(Pieces(cut(raw, places)), "host").ask("GET", "/", {}, None, _drop)  # type: ignore[arg-type]
    assert found.status == status
    for name in {name for name, _ in fields}:
        assert found.headers.getlist(name) == [value for other, value in fields if other.lower() == name.lower()]
    body, room = bytearray(), memoryview(bytearray(most))
    while piece := found.readinto(room) if most % 2 else len(some := found.read_some(most)):
        body += room[:piece] if most % 2 else some
    assert bytes(body) == content
    found.close()


_WORDS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204 \r\n",
        b"HTTP/1.1 100 \r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"\n",
        b"\0",
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n",
            b"-1\r\n",
            b": ",
            b"abc",
        ),
    ]
)
_ANYTHING = st.lists(st.one_of(_WORDS, st.binary(max_size=8)), max_size=14).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(raw=_ANYTHING, places=st.lists(st.integers(0, 200), max_size=6), method=st.sampled_from(["GET", "HEAD"]))
def test_any_bytes_are_an_answer_or_an_error_of_http(raw: bytes, places: list[int], method: str) -> None:
    reusable: list[bool] = []
    pieces = Pieces(cut(raw, places))
    try:
        answer = Wire(pieces, "host").ask(method, "/", {}, None, lambda _, good: reusable.append(good))  # type: ignore[arg-type]
        answer.read(1 << 20)
        answer.close()
    except HTTPError:
        assert not any(reusable)
    finally:
        pieces.close()


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("registry", [NAME])


def secure(server: Scripted, authority: Authority, name: str = NAME) -> Transport:
    network = Network(HostRules(), ca_file=str(authority.path), idle_seconds=5.0, connect_to={name: server.host})
    return Transport(network)


def farewell(peer: Peer) -> None:
    """Say that this is the end (close_notify)."""
    with suppress(OSError):
        peer.socket.unwrap()


def expired(authority: Authority, folder: Path) -> ssl.SSLContext:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority._certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=True)
        .sign(authority._key, hashes.SHA256())
    )
    path = folder / "expired.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(leaf.public_bytes(form[0]) + key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_serves_one_request_after_the_other(authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.server_context(f"registry-{version}", [NAME])
    context.minimum_version = context.maximum_version = version
    with Scripted(answering(OK, OK, OK), context=context) as server:
        ours = secure(server, authority)
        assert [get(ours, f"https://{NAME}") for _ in range(3)] == [(200, b"ok")] * 3
        assert server.connections == 1
        ours.close()


def test_a_certificate_for_another_name_is_refused(authority: Authority, context: ssl.SSLContext) -> None:
    with Scripted(answering(OK), context=context) as server, pytest.raises(SSLError):
        get(secure(server, authority, "other.example"), "https://other.example")


def test_a_certificate_of_an_unknown_authority_is_refused(context: ssl.SSLContext, tmp_path: Path) -> None:
    with Scripted(answering(OK), context=context) as server, pytest.raises(SSLError):
        get(secure(server, Authority(tmp_path)), f"https://{NAME}")


def test_an_expired_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with Scripted(answering(OK), context=expired(authority, tmp_path)) as server, pytest.raises(SSLError):
        get(secure(server, authority), f"https://{NAME}")


def test_who_does_not_speak_tls_is_told_apart_from_who_hangs_up(authority: Authority) -> None:
    with Scripted(lambda peer: peer.say(OK)) as server, pytest.raises(SSLError):
        get(secure(server, authority), f"https://{NAME}")
    with Scripted(lambda peer: peer.reset()) as server, pytest.raises(NewConnectionError):
        get(secure(server, authority), f"https://{NAME}")
    with Scripted(lambda peer: peer.socket.recv(1 << 16)) as server, pytest.raises(NewConnectionError):
        get(secure(server, authority), f"https://{NAME}")


def test_a_body_that_ends_with_the_connection_is_whole_when_tls_says_so(
    authority: Authority, context: ssl.SSLContext
) -> None:
    def play(peer: Peer) -> None:
        saying(b"HTTP/1.1 200 OK\r\n\r\nwhole")(peer)
        farewell(peer)

    with Scripted(play, context=context) as server:
        assert get(secure(server, authority), f"https://{NAME}") == (200, b"whole")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\ntrunc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntrunc",
        CHUNKED + b"9\r\ntrunc",
        CHUNKED + b"5\r\ntrunc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=["to the end", "sized", "in a chunk", "after a chunk", "in the head", "nothing"],
)
@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "by a proxy"])
def test_an_end_that_tls_does_not_vouch_for_is_the_end_of_nothing(
    authority: Authority,
    context: ssl.SSLContext,
    answer: bytes,
    monkeypatch: pytest.MonkeyPatch,
    through_proxy: bool,  # noqa: FBT001
) -> None:
    if through_proxy:
        with Scripted(tunnelling(context, saying(answer))) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
            with pytest.raises((ProtocolError, SSLError)):
                get(Transport(Network(ca_file=str(authority.path), idle_seconds=5.0)), f"https://{NAME}")
        return
    with Scripted(saying(answer), context=context) as server, pytest.raises(ProtocolError) as caught:
        get(secure(server, authority), f"https://{NAME}")
    assert any(isinstance(each, ConnectionError) for each in caught.value.args), "a request may be sent again"


def test_a_sized_body_is_whole_without_a_farewell(authority: Authority, context: ssl.SSLContext) -> None:
    with Scripted(saying(OK), context=context) as server:
        assert get(secure(server, authority), f"https://{NAME}") == (200, b"ok")


def test_what_tls_has_read_ahead_is_not_the_next_answer(authority: Authority, context: ssl.SSLContext) -> None:
    body = b"x" * 20_000  # more than is read with the head: the last of it goes straight to whoever reads
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + body
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    with Scripted(saying(answer + evil, stays=True), context=context) as server:
        ours = secure(server, authority)
        assert [get(ours, f"https://{NAME}") for _ in range(2)] == [(200, body)] * 2
        assert server.connections == 2
        ours.close()


# Proxies


def tunnelling(context: ssl.SSLContext, script: Script, seen: list[bytes] | None = None) -> Script:
    """A proxy that leads every CONNECT to this script."""

    def play(peer: Peer) -> None:
        head = peer.head()
        if seen is not None:
            seen.append(head)
        peer.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(peer.socket, server_side=True) as inner:
            script(Peer(inner))

    return play


@pytest.mark.parametrize("scheme", ["http://", ""], ids=["a URL", "a host"])
def test_plain_requests_go_through_a_proxy_by_their_whole_url(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    seen: list[bytes] = []
    with Scripted(answering(OK, OK, seen=seen)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"{scheme}{proxy.host}")
        monkeypatch.setenv("http_proxy", f"{scheme}{proxy.host}")
        ours = transport(proxy)
        assert [get(ours, f"http://{NAME}") for _ in range(2)] == [(200, b"ok")] * 2
        assert proxy.connections == 1
        ours.close()
    assert seen[0].startswith(f"GET http://{NAME}{SIGNED} HTTP/1.1\r\n".encode())
    assert f"\r\nHost: {NAME}\r\n".encode() in seen[0]


def test_secret_requests_go_through_a_tunnel_with_a_login_for_the_proxy_alone(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, context: ssl.SSLContext
) -> None:
    connects: list[bytes] = []
    seen: list[bytes] = []
    with Scripted(tunnelling(context, answering(OK, OK, seen=seen), connects)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{proxy.host}")
        ours = Transport(Network(ca_file=str(authority.path), idle_seconds=5.0))
        assert get(ours, f"https://{NAME}") == (200, b"ok")
        assert get(ours, f"https://{NAME}", "PUT", iter([b"o", b"k"]), **{"Content-Length": "2"}) == (200, b"ok")
        ours.close()
    assert connects[0].startswith(f"CONNECT {NAME}:443 HTTP/1.".encode())
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==" in connects[0].replace(
        b"proxy-authorization", b"Proxy-Authorization"
    )
    assert SECRET.encode() not in connects[0]
    assert seen[0].startswith(f"GET {SIGNED} HTTP/1.1\r\n".encode())
    assert b"proxy-authorization" not in seen[0].lower()
    assert seen[1].endswith(b"\r\n\r\nok")


def test_a_tunnel_does_not_lead_to_whom_the_certificate_does_not_name(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, context: ssl.SSLContext
) -> None:
    with Scripted(tunnelling(context, answering(OK))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with pytest.raises(SSLError):
            get(Transport(Network(ca_file=str(authority.path), idle_seconds=5.0)), "https://other.example")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"", b"junk\r\n\r\n"])
def test_a_proxy_that_does_not_let_us_through_is_an_error(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with Scripted(saying(answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@{proxy.host}")
        with pytest.raises((ProxyError, ProtocolError)):
            get(Transport(Network(idle_seconds=5.0)), f"https://{NAME}")


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "{host}"])
def test_who_is_in_no_proxy_is_asked_directly(monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    with Scripted(answering(OK)) as server, Scripted(answering(OK)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", exempt.format(host=server.host))
        assert get(transport(server), f"http://{server.host}") == (200, b"ok")
        assert (server.connections, proxy.connections) == (1, 0)


def test_nothing_waits_for_nagle_on_the_way_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[Any] = []
    connect = urllib3.util.connection.create_connection

    def spy(*arguments: Any, **named: Any) -> socket.socket:
        made = connect(*arguments, **named)
        options.append(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return made

    monkeypatch.setattr(urllib3.util.connection, "create_connection", spy)
    with Scripted(answering(OK)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        assert get(transport(proxy), f"http://{NAME}") == (200, b"ok")
    assert options == [1]


@pytest.mark.parametrize("value", ["a\r\nX: y", "\xe9", "€"])
def test_a_value_cannot_end_its_line_on_the_way_to_a_proxy_either(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with Scripted(answering(OK)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        with pytest.raises(ProtocolError):
            get(transport(proxy), f"http://{NAME}", **{"X-Token": SECRET + value})
        assert proxy.connections == 0


@pytest.mark.parametrize("raw", [b"", b"junk", OK[:-1], CHUNKED + b"-1\r\n", CHUNKED + b"zz\r\n"])
def test_a_bad_answer_through_a_proxy_is_an_error_of_http(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    with Scripted(saying(raw)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        with pytest.raises(HTTPError):
            get(transport(proxy), f"http://{NAME}")
