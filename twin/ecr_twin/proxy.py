"""The way in for stock clients: an HTTP CONNECT proxy that knows the twin's host names and no others.

A client that is told HTTPS_PROXY and the CA speaks to the real AWS names; nothing leaves the machine. A user in the
proxy's URL is the VPC endpoint through which the client's connections come: ``http://vpce-1:x@127.0.0.1:port``.
"""

import asyncio
import base64
import binascii
import contextlib
import re
import socket
import struct
from collections.abc import Callable, MutableMapping

_HEAD_LIMIT = 16 * 1024
_PIECE = 256 * 1024
_HEAD_SECONDS = 30.0
_CLOSE_SECONDS = 1.0

_CREDENTIAL = re.compile(r"\r\nproxy-authorization: *basic +(\S+)", re.IGNORECASE)
#: Gives the loopback port behind a host name and port, None when the twin does not answer for it.
Resolve = Callable[[str, int], int | None]


class NameUnknownError(Exception):
    """The name does not resolve (X10)."""


class Proxy:
    """The proxy's listener and its tunnels."""

    def __init__(self, resolve: Resolve, endpoints: MutableMapping[int, str]) -> None:
        self._resolve = resolve
        self._endpoints = endpoints
        self._server: asyncio.Server | None = None
        self._tunnels: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on a loopback port, a free one when it is 0; gives the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_HEAD_LIMIT)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def stop(self) -> None:
        """Stop listening and cut the tunnels."""
        if self._server is not None:
            self._server.close()
        for task in self._tunnels:
            task.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tunnels.add(task)
        task.add_done_callback(self._tunnels.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away, or spoke no HTTP: there is nobody to tell
        finally:
            await _close(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
        method, _, rest = head.decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        if method != "CONNECT":
            await _refuse(writer, "405 Method Not Allowed", "ecr-twin's proxy only tunnels: use CONNECT.")
            return
        try:
            port = self._port(target)
        except NameUnknownError:
            await _refuse(writer, "502 Bad Gateway", f"The name {target} does not resolve.")
            return
        if port is None:
            await _refuse(writer, "403 Forbidden", f"ecr-twin does not answer for {target}.")
        else:
            await self._tunnel(reader, writer, port, _user(rest))

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, endpoint: str | None
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        mine: int = inner_writer.get_extra_info("sockname")[1]
        if endpoint:
            self._endpoints[mine] = endpoint
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        except ConnectionResetError:
            _reset(writer)  # X1: what the server does to us, the client feels too
        finally:
            self._endpoints.pop(mine, None)
            await _close(inner_writer)

    def _port(self, target: str) -> int | None:
        host, _, port = target.rpartition(":")
        return self._resolve(host.lower(), int(port)) if port.isdigit() else None


async def _refuse(writer: asyncio.StreamWriter, status: str, sentence: str) -> None:
    body = sentence.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


def _user(head: str) -> str | None:
    match = _CREDENTIAL.search(head)
    try:
        return base64.b64decode(match[1]).decode().partition(":")[0] if match else None
    except (binascii.Error, ValueError):
        return None


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await writer.wait_closed()
    except OSError:  # TimeoutError is one: the peer does not read what is left for it
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
