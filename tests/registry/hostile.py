"""A registry that lies: a test says what it answers, and reads what it was asked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Answer:
    """What to answer; without a Content-Length of its own, the body ends with the connection."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def sized(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An honest answer of a known length; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Length": str(len(body)), **named}, (body,))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what many tests are about."""


class HostileServer:
    """A plain http server on loopback that answers what `reply` says."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.reply: Callable[[Seen], Answer] = lambda _: sized(b"", 404)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                owner.connections += 1
                super().setup()

            def answer(self) -> None:
                # A client that gives up in the middle of a body, or of our answer, is what many tests are about.
                try:
                    self._answer()
                except OSError:
                    self.close_connection = True

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                seen = Seen(self.command, self.path, dict(self.headers.items()), body)
                owner.seen.append(seen)
                answer = owner.reply(seen)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.close_connection = "Content-Length" not in answer.headers
                self.end_headers()
                sent = 0
                if self.command == "HEAD":
                    return
                for chunk in answer.body:
                    self.wfile.write(chunk)
                    sent += len(chunk)
                # Fewer bytes than announced: the connection has to go, or the client waits for them.
                self.close_connection |= sent < int(answer.headers.get("Content-Length", "0"))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        return Handler
