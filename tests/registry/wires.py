"""The other end of a wire: servers that say and do exactly what a test tells them, and sockets cut into pieces."""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from threading import Thread
from types import TracebackType
from typing import Any, Self

SECONDS = 5.0
"""Nothing here waits longer."""
Script = Callable[["Peer"], None]


class Peer:
    """One connection, as the server has it."""

    def __init__(self, connection: Any) -> None:
        self.socket = connection
        self._ahead = b""

    def head(self) -> bytes:
        """The head of the next request; nothing when none comes."""
        return self._until(b"\r\n\r\n")

    def request(self) -> bytes:
        """The next request, with a body whose length was said."""
        head = self.head()
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(self._ahead) < length and (data := self.socket.recv(65536)):
            self._ahead += data
        body, self._ahead = self._ahead[:length], self._ahead[length:]
        return head + body

    def say(self, *pieces: bytes) -> None:
        """Send bytes."""
        for piece in pieces:
            self.socket.sendall(piece)

    def reset(self) -> None:
        """Break the connection off (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def wait(self) -> None:
        """Until the client is gone."""
        while self.socket.recv(65536):
            pass

    def _until(self, end: bytes) -> bytes:
        while end not in self._ahead:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._ahead += data
        head, _, self._ahead = self._ahead.partition(end)
        return head + end


class Scripted:
    """A server on loopback; the first connection plays the first script, and so on, the last one again and again.

    Attributes:
        connections: how many there were.
    """

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._scripts = scripts
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                script = self._scripts[min(self.connections, len(self._scripts) - 1)]
                self.connections += 1
                self._open.append(connection)
                self._threads.append(Thread(target=self._play, args=(script, connection), daemon=True))
                self._threads[-1].start()

    def _play(self, script: Script, connection: Any) -> None:
        # A client that leaves is what many tests are about.
        with suppress(OSError):
            connection.settimeout(SECONDS)
            with connection:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with connection:
                    script(Peer(connection))


def saying(*pieces: bytes, stays: bool = False) -> Script:
    """Answer one request with these bytes and close, or stay."""

    def play(peer: Peer) -> None:
        peer.request()
        peer.say(*pieces)
        if stays:
            peer.wait()

    return play


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Script:
    """Answer one request after the other with these; close when there is no further answer."""

    def play(peer: Peer) -> None:
        for answer in answers:
            request = peer.request()
            if not request:
                return
            if seen is not None:
                seen.append(request)
            peer.say(answer)

    return play


class Pieces:
    """A socket from which these pieces arrive, one at a time, and then its end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [each for each in pieces if each]
        self._pair = socket.socketpair()

    def recv_into(self, room: memoryview) -> int:
        if not self._pieces:
            return 0
        first = self._pieces[0]
        count = min(len(first), len(room))
        room[:count] = first[:count]
        self._pieces[:1] = [first[count:]] if count < len(first) else []
        return count

    def sendall(self, data: bytes) -> None:
        """Nobody reads it."""

    def fileno(self) -> int:
        return self._pair[0].fileno()

    def close(self) -> None:
        for each in self._pair:
            each.close()


def cut(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    """`data` in pieces, cut at these places."""
    borders = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return (data[start:stop] for start, stop in pairwise(borders))
