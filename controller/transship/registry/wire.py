"""HTTP/1.1 on a connection: what a client of a registry needs of RFC 9112, and nothing else.

urllib3 and the standard library's http.client below it are a fifth of the processor time of a hundred small images,
which are two thousand requests (docs/performance.md: 2.15 s with them, 1.69 s with this; wall 2.22 s and 1.85 s). So
requests that need no proxy are made here. Names are resolved and proxies are spoken to by urllib3.

What comes is a stranger's: heads are at most 64 KiB, a length is digits, two lengths are none, and where anything is
odd the connection is not used again.

A body that ends with the connection is whole when TLS says so: an end without close_notify may be anybody's, and is an
error (RFC 9112, 9.8). Without TLS nobody says so; whoever reads knows sizes and digests.
"""

import re
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from urllib3.exceptions import HTTPError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from transship.registry.answer import Answer, Headers
from transship.registry.tls import TlsSocket

MAX_HEAD_BYTES = 64 * 1024
_TOGETHER = 16 * 1024
"""A body up to this size goes with the head: one record, one packet or few."""
_READ = 16 * 1024
_MAX_INTERIM = 16
"""Interim answers before the answer; nobody needs more, and each may take as long as an answer."""
_SWITCHING = 101

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?\r\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_TEXT = re.compile(r"[ -~\t]*\Z")
_TARGET = re.compile(r"/[!-~]*\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_BODYLESS = frozenset({204, 304})

Plain = socket.socket | TlsSocket
Chunks = Iterable[bytes | memoryview]


class Wire:
    """One connection, for one request at a time.

    Args:
        connected: the socket; its time-outs count for each piece that is read or sent.
        host: for the Host header.
    """

    def __init__(self, connected: Plain, host: str) -> None:
        self._socket = connected
        self._host = host
        self._ahead = bytearray()
        self._is_reusable = True
        self._failure: HTTPError | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing has happened on it since the last answer: neither bytes nor an end."""
        return self._is_reusable and not self._has_arrived()

    def _has_arrived(self) -> bool:
        """Whether there is something to read, or an end; also what TLS has taken from the socket already."""
        if self._ahead or (isinstance(self._socket, TlsSocket) and self._socket.is_ahead):
            return True
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Chunks | None,
        release: Callable[["Wire", bool], None],
    ) -> Answer:
        """Send a request and read the head of its answer.

        Args:
            method: HTTP's.
            target: path and query.
            headers: all but Host; a body of chunks needs a Content-Length among them, and has to have that length.
            body: bytes, or chunks of them.
            release: gets the connection back when the answer is closed, and whether it can serve another request.

        Raises:
            urllib3.exceptions.HTTPError: the network failed, or what came is no answer.
            Exception: whatever the chunks raise; the connection is closed then.
        """
        if isinstance(body, bytes):
            headers = {**headers, "Content-Length": str(len(body))}
        elif body is not None:
            body = exactly(body, headers)
        try:
            broken = self._send(_head(method, target, self._host, headers), body)
            try:
                status, version, fields = self._read_head()
            except HTTPError:
                if broken is not None:
                    raise ProtocolError("the connection broke off", broken) from broken
                raise
            if broken is not None:
                self._is_reusable = False  # an answer came all the same, and the request never ended
            body_of = self._body(method, status, fields)
        except BaseException:
            self.close()
            raise
        self._is_reusable &= version == b"1" and "close" not in fields.get("Connection").lower()
        return Answer(status, fields, body_of, lambda is_read: release(self, is_read and self._is_reusable))

    def close(self) -> None:
        """Close the connection."""
        self._is_reusable = False
        with suppress(OSError):
            self._socket.close()

    def _send(self, head: bytes, body: bytes | Chunks | None) -> OSError | None:
        """Send a request; what stopped it halfway, if the other side did: it may have answered."""
        with _network():
            if isinstance(body, bytes) and len(body) <= _TOGETHER:
                self._socket.sendall(head + body)
                return None
            self._socket.sendall(head)
        for chunk in (body,) if isinstance(body, bytes) else body or ():
            try:
                with _network(but=(BrokenPipeError, ConnectionResetError, TimeoutError)):
                    self._socket.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError) as error:
                return error
            except TimeoutError as error:
                if self._has_arrived():  # it answered, and stopped reading
                    return error
                raise HTTPTimeoutError("it did not take the request in time") from error
        return None

    def _read_head(self) -> tuple[int, bytes, Headers]:
        for _ in range(_MAX_INTERIM + 1):
            head = self._take_head()
            first = _STATUS.match(head)
            if first is None:
                raise ProtocolError("what came is no answer of HTTP/1.1")
            fields = _fields(head, first.end())
            status = int(first.group(2))
            if status >= 200:  # noqa: PLR2004 - below are interim answers (RFC 9110, 15.2)
                return status, first.group(1), Headers(fields)
            if status == _SWITCHING:
                raise ProtocolError("the other side changes to a protocol that nobody asked for")
        raise ProtocolError("the answer does not come after many interim ones")

    def _take_head(self) -> bytes:
        start = 0
        while (end := self._ahead.find(b"\r\n\r\n", start)) < 0 and len(self._ahead) <= MAX_HEAD_BYTES:
            start = max(0, len(self._ahead) - 3)
            if not self.more():
                raise ProtocolError("the connection was closed", ConnectionResetError())
        if not 0 <= end <= MAX_HEAD_BYTES:
            raise ProtocolError("the head of the answer is too long")
        head = bytes(self._ahead[: end + 2])
        del self._ahead[: end + 4]
        return head

    def _body(self, method: str, status: int, fields: Headers) -> "_Sized | _Chunked | _Rest":
        if method == "HEAD" or status in _BODYLESS:
            return _Sized(self, 0)
        if "Transfer-Encoding" in fields:
            if fields.get("Transfer-Encoding").lower() != "chunked" or "Content-Length" in fields:
                raise ProtocolError("the answer is framed in a way that is not understood")
            return _Chunked(self)
        if "Content-Length" in fields:
            lengths = set(fields.getlist("Content-Length"))
            length = lengths.pop()
            if lengths or not _LENGTH.match(length):
                raise ProtocolError("the answer has a Content-Length that is none")
            return _Sized(self, int(length))
        self._is_reusable = False
        return _Rest(self)

    # For bodies.

    def more(self) -> bool:
        """Read ahead some bytes; whether there were any."""
        if self._failure is not None:
            raise self._failure
        room = memoryview(bytearray(_READ))
        with _network():
            count = self._socket.recv_into(room)
        self._ahead += room[:count]
        return bool(count)

    def line(self) -> bytes:
        """The next line of a chunked body, with its end."""
        while (end := self._ahead.find(b"\n")) < 0:
            if len(self._ahead) > MAX_HEAD_BYTES or not self.more():
                raise ProtocolError("a chunk of the answer does not begin")
        line = bytes(self._ahead[: end + 1])
        del self._ahead[: end + 1]
        return line

    def fill(self, room: memoryview, *, all_of_it: bool) -> int:
        """Fill `room` as far as bytes come before the end of the connection, or put in what has come.

        What came before the connection failed is handed over first: whoever reads continues there.
        """
        done = min(len(room), len(self._ahead))
        if done:
            room[:done] = self._ahead[:done]
            del self._ahead[:done]
        try:
            if self._failure is not None and done < len(room):
                raise self._failure
            with _network():
                while done < len(room) and (all_of_it or not done):
                    count = self._socket.recv_into(room[done:])
                    if not count:
                        break
                    done += count
        except HTTPError as error:
            if not done:
                raise
            self._failure = error
        return done


class _Sized:
    """A body whose length was said."""

    def __init__(self, wire: Wire, length: int) -> None:
        self._wire = wire
        self._left = length

    @property
    def is_over(self) -> bool:
        return not self._left

    def readinto(self, room: memoryview, *, all_of_it: bool = True) -> int:
        wanted = min(len(room), self._left)
        count = self._wire.fill(room[:wanted], all_of_it=all_of_it) if wanted else 0
        self._left -= count
        if wanted and not count:
            raise ProtocolError("the connection ended early", ConnectionResetError())
        return count


class _Rest:
    """A body that ends with the connection."""

    is_over = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readinto(self, room: memoryview, *, all_of_it: bool = True) -> int:
        return self._wire.fill(room, all_of_it=all_of_it)


class _Chunked:
    """A body in chunks (RFC 9112, 7.1); trailers have to be fields, and are dropped."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = 0
        self._is_first = True
        self._failure: HTTPError | None = None
        self.is_over = False

    def readinto(self, room: memoryview, *, all_of_it: bool = True) -> int:
        if self._failure is not None:
            raise self._failure
        done = 0
        try:
            while done < len(room) and not self.is_over and (all_of_it or not done):
                if not self._left:
                    self._begin_chunk()
                    continue
                wanted = min(len(room) - done, self._left)
                count = self._wire.fill(room[done : done + wanted], all_of_it=all_of_it)
                if not count:
                    raise ProtocolError("the connection ended early", ConnectionResetError())
                self._left -= count
                done += count
        except HTTPError as error:
            self._failure = error
            if not done:
                raise
        return done

    def _begin_chunk(self) -> None:
        if not self._is_first and self._wire.line() != b"\r\n":
            raise ProtocolError("a chunk of the answer does not end where it said")
        self._is_first = False
        found = _CHUNK.fullmatch(self._wire.line())
        if found is None:
            raise ProtocolError("a chunk of the answer has no size")
        self._left = int(found.group(1), 16)
        if not self._left:
            left = MAX_HEAD_BYTES
            while (line := self._wire.line()) != b"\r\n":
                left -= len(line)
                if left < 0 or not _FIELD.fullmatch(line):
                    raise ProtocolError("the answer does not end")
            self.is_over = True


class _network:  # noqa: N801 - a context manager, made often: a class costs half of a generator
    """Turn what sockets raise into urllib3's errors."""

    __slots__ = ("_but",)

    def __init__(self, but: tuple[type[BaseException], ...] = ()) -> None:
        self._but = but

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, self._but):
            return
        if isinstance(error, TimeoutError):
            raise HTTPTimeoutError("it did not answer in time") from error
        if isinstance(error, ssl.SSLEOFError):  # an end without a farewell: as much a reset as one without TLS
            raise ProtocolError("the connection broke off", ConnectionResetError()) from error
        if isinstance(error, ssl.SSLError):
            raise SSLError(error) from error
        raise ProtocolError("the connection broke off", error) from error


def _fields(head: bytes, start: int) -> list[tuple[str, str]]:
    """The fields of a head, every byte of it: what is skipped by one reader is what another one believes."""
    fields, at = [], start
    while at < len(head):
        found = _FIELD.match(head, at)
        if found is None:
            raise ProtocolError("the head of the answer is malformed")
        fields.append((found.group(1).decode("ascii"), found.group(2).decode("latin-1")))
        at = found.end()
    return fields


def _head(method: str, target: str, host: str, headers: Mapping[str, str]) -> bytes:
    if not _TARGET.match(target) or not method.isalpha() or not method.isascii():
        raise ProtocolError("a request cannot be made of this method and this target")
    check_values(headers)
    lines = [f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    lines.append("\r\n")
    return "".join(lines).encode("ascii")


def check_values(headers: Mapping[str, str]) -> None:
    """See to it that no value of a header ends its line; it may be a secret, and is not repeated.

    Raises:
        ProtocolError: one does.
    """
    for name, value in headers.items():
        if not _TEXT.match(value):
            raise ProtocolError(f"the header {name} has a value that cannot be sent")


def exactly(chunks: Chunks, headers: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The chunks, as long as their Content-Length: what is too much would be the next request.

    Raises:
        ProtocolError: they have another length; what is too much is not handed out.
    """
    said = headers.get("Content-Length", "")
    left = int(said) if _LENGTH.match(said) else -1
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise ProtocolError("the body of the request is not as long as was said")
