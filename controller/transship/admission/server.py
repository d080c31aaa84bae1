"""The HTTPS server: bounded in bytes, threads and time, because anybody in the cluster can reach it.

A thread serves a connection, as the API server keeps a few of them open. One more thread ends connections whose time is
up: a handshake, a request and the quiet between requests have a time each, however slowly bytes drip in.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Protocol

import structlog

from transship.admission.review import Answer, Malformed, Review

MAX_BODY = 4 * 1024 * 1024
"""A pod can have 1.5 MiB in etcd; a review has it once, and some words around it."""
PATH = "/mutate"
_REQUEST_SECONDS = 5.0
_QUIET_SECONDS = 120.0  # longer than the API server keeps a quiet connection, so that it is the one to close it
_REAP_SECONDS = 0.5
_MAX_CONNECTIONS = 128
_JSON = "application/json"
_log = structlog.get_logger(__name__)


class Reviews(Protocol):
    """Answers reviews."""

    def answer(self, review: Review) -> Answer:
        """What a review is answered."""


class WebhookServer:
    """Serves reviews on threads of its own.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        reviews: answers them.
        context: the certificate to serve with now; asked for at each new connection.
    """

    def __init__(self, host: str, port: int, reviews: Reviews, context: Callable[[], ssl.SSLContext]) -> None:
        self._server = _Server(host, port, reviews, context)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="webhook", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    @property
    def is_alive(self) -> bool:
        """The thread is there to accept connections."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, drain: float, seconds: float) -> None:
        """Serve on for `drain` seconds and ask clients to leave, then end within `seconds`."""
        self._server.is_leaving = True
        time.sleep(drain)
        self._server.shutdown()
        self._server.finish(seconds)
        self._server.server_close()


class _Server(TCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, reviews: Reviews, context: Callable[[], ssl.SSLContext]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.reviews = reviews
        self.context = context
        self.is_leaving = False
        self._lock = threading.Condition()
        self._connections: dict[socket.socket, float] = {}
        self._quiet: set[socket.socket] = set()
        self._places = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._reaped_at = 0.0
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, if there is one to be had."""
        if not self._places.acquire(blocking=False):
            _log.warning("connection refused: too many are open")
            self.shutdown_request(request)
            return
        threading.Thread(target=self._serve, args=(request, client_address), name="review", daemon=True).start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        connection = request
        try:
            connection = secured = self.context().wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            self.allow(secured, _REQUEST_SECONDS)
            secured.do_handshake()
            self.finish_request(secured, client_address)
        except OSError:  # of the network or of TLS, most of all a client that has gone
            pass
        except Exception:  # noqa: BLE001 - one connection must not take the server along
            _log.exception("connection failed")
        finally:
            with self._lock:
                self._connections.pop(connection, None)
                self._quiet.discard(connection)
                self._lock.notify_all()
            self.shutdown_request(connection)
            self._places.release()

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """A connection has this much time for what it does now."""
        with self._lock:
            self._connections[connection] = time.monotonic() + seconds
            self._quiet.discard(connection)

    def rest(self, connection: socket.socket) -> None:
        """A connection has done what it had to do."""
        with self._lock:
            self._connections[connection] = time.monotonic() + _QUIET_SECONDS
            self._quiet.add(connection)

    def service_actions(self) -> None:
        """Called by `serve_forever` several times a second: end what has no time left."""
        now = time.monotonic()
        if now - self._reaped_at < _REAP_SECONDS:
            return
        self._reaped_at = now
        with self._lock:
            late = [connection for connection, until in self._connections.items() if until < now]
        for connection in late:
            _end(connection)

    def finish(self, seconds: float) -> None:
        """Wait for requests under way, and end what is left."""
        with self._lock:
            self._lock.wait_for(lambda: self._connections.keys() <= self._quiet, seconds)
            left = list(self._connections)
        for connection in left:
            _end(connection)


def _end(connection: socket.socket) -> None:
    """Have whoever reads from a connection see its end. TLS's own shutdown is no thing for another thread."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def parse_request(self) -> bool:
        self.server.allow(self.connection, _REQUEST_SECONDS)  # its first line is here
        return super().parse_request()

    def do_POST(self) -> None:
        problem = self._problem()
        if problem is not None:
            self._refuse(*problem)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the body broke off")
        try:
            review = Review.parse(body)
        except Malformed as error:
            self._refuse(400, str(error))
            return
        answer = self.server.reviews.answer(review)
        self._say(200, _JSON, json.dumps(answer.to_resource(review.uid)).encode())
        self.server.rest(self.connection)

    def _problem(self) -> tuple[int, str] | None:
        """What is wrong with a request before its body is read."""
        length = self.headers.get("Content-Length", "")
        if self.path.partition("?")[0] != PATH:
            return 404, f"reviews are posted to {PATH}"
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _JSON:
            return 415, f"a review is {_JSON}"
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return 411, "say the Content-Length"
        if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
            return 413, f"a review has {MAX_BODY} bytes at most"
        return None

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True  # what is left of the request is not read
        self._say(status, "text/plain", f"{text}\n".encode())

    def _say(self, status: int, content_type: str, body: bytes) -> None:
        self.close_connection = self.close_connection or self.server.is_leaving
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
        """What matters is logged by the reviewer."""
