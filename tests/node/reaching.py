"""Ways from a pod to what listens on loopback: the API server at its Service's address, and the twin's proxy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

from localworld import network
from localworld.ports import LOOPBACK

PIECE = 64 * 1024


class _Forwarder(ThreadingTCPServer):
    """Listens at one address, and connects to a port of loopback for each client."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], port: int) -> None:
        self.port = port
        super().__init__(address, _Handler)


class _Handler(BaseRequestHandler):
    server: _Forwarder

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.server.port)) as inner:
            back = threading.Thread(target=_pump, args=(inner, self.request), daemon=True)
            back.start()
            _pump(self.request, inner)
            back.join()


def _pump(source: socket.socket, destination: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            destination.sendall(piece)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)


@contextmanager
def forwarded(interface: str, address: str, port: int, target: int) -> Iterator[int]:
    """Have a port of an address of ours (0 for a free one) lead to a port of loopback; the port."""
    network.give_address(interface, address)
    with _Forwarder((address, port), target) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            taken: int = server.server_address[1]
            yield taken
        finally:
            server.shutdown()
            thread.join()
