"""What a kubelet and a Prometheus ask: /healthz, /readyz and /metrics."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from transship.operator.ports import Exposition

Check = Callable[[], str | None]
"""Returns what is wrong, in a few words, or None."""


class HealthServer:
    """Serves the three paths on a thread of its own.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        checks: for each path, what has to be right; every wrong thing is named in the answer.
        metrics: rendered for /metrics.
    """

    def __init__(self, host: str, port: int, checks: Mapping[str, Mapping[str, Check]], metrics: Exposition) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(checks, metrics))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(checks: Mapping[str, Mapping[str, Check]], metrics: Exposition) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, metrics.content_type, metrics.render())
            elif path in checks:
                wrong = [f"{name}: {text}" for name, check in checks[path].items() if (text := check()) is not None]
                self._answer(503 if wrong else 200, "text/plain", "\n".join(wrong or ["ok"]).encode() + b"\n")
            else:
                self._answer(404, "text/plain", b"try /healthz, /readyz or /metrics\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
            """Probes are not news."""

    return Handler
