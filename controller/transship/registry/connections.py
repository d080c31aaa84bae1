"""The connections to one host: made when they are needed, judged when they are made, kept while they are good."""

import socket
import ssl
import threading
import weakref
from collections.abc import Mapping

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, SSLError
from urllib3.util.connection import create_connection

from transship.registry.answer import Answer
from transship.registry.network import Network
from transship.registry.tls import TlsSocket
from transship.registry.wire import Chunks, Plain, Wire


class Connections:
    """Thread-safe: each request has a connection of its own for as long as it takes.

    Args:
        network: how hosts are reached.
        name: the host as it is written in the URL, for the Host header.
        host: its name or address.
        port: where it listens.
        context: which certificates are good; None for a host without TLS.
    """

    def __init__(self, network: Network, name: str, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._network = network
        self._name = name
        self._host = host
        self._port = port
        self._context = context
        self._lock = threading.Lock()
        self._idle: list[Wire] = []
        # Whoever forgets to close a transport shall not leave connections behind.
        weakref.finalize(self, _close_all, self._idle)

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | Chunks | None) -> Answer:
        """Send a request on a connection that is kept, or on a new one.

        Raises:
            NeedsHuman: the host leads to where nobody may go.
            urllib3.exceptions.HTTPError: the network failed.
        """
        return self._wire().ask(method, target, headers, body, self._release)

    def clear(self) -> None:
        """Close all idle connections."""
        with self._lock:
            _close_all(self._idle)

    def _wire(self) -> Wire:
        while True:
            with self._lock:
                wire = self._idle.pop() if self._idle else None
            if wire is None:
                return Wire(self._connect(), self._name)
            if wire.is_idle:
                return wire
            wire.close()

    def _release(self, wire: Wire, is_reusable: bool) -> None:  # noqa: FBT001 - of the shape `Wire` gives back
        if is_reusable:
            with self._lock:
                if len(self._idle) < self._network.connections_per_host:
                    self._idle.append(wire)
                    return
        wire.close()

    def _connect(self) -> Plain:
        plain = self._reach()
        try:
            plain.settimeout(self._network.idle_seconds)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                return plain
            return TlsSocket(plain, self._context, self._host.rstrip("."))
        except OSError as error:
            plain.close()
            raise _failed(error) from error
        except BaseException:
            plain.close()
            raise

    def _reach(self) -> socket.socket:
        place = self._network.place(self._host, self._port)
        try:
            connected = create_connection(place or (self._host, self._port), self._network.connect_seconds)
        except socket.gaierror as error:
            raise NameResolutionError(self._host, None, error) from error  # type: ignore[arg-type] # for messages only
        except TimeoutError as error:
            raise ConnectTimeoutError(None, "nobody answered") from error
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(None, "nothing accepts a connection there") from error  # type: ignore[arg-type]
        if place is None:  # an administrator names a place; a name leads anywhere
            self._judge(connected)
        return connected

    def _judge(self, connected: socket.socket) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self._network.hosts.check_address(f"{host}:{self._port}", connected.getpeername()[0])
        except OSError as error:
            connected.close()
            raise _failed(error) from error
        except BaseException:
            connected.close()
            raise


def _failed(error: OSError) -> HTTPError:
    """What became of a connection that had just been made, in urllib3's words."""
    if isinstance(error, TimeoutError):
        return ConnectTimeoutError(None, "nobody answered")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return SSLError(error)
    return NewConnectionError(None, "the connection broke off at once")  # type: ignore[arg-type] # for messages only


def _close_all(idle: list[Wire]) -> None:
    while idle:
        idle.pop().close()
