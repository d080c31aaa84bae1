"""The damage to HTTP exchanges: bytes that stop, change, crawl or never come (X1 to X5)."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

from aiohttp import web

from ecr_twin.backing import CHUNK
from ecr_twin.faults import Faults, Strike
from ecr_twin.names import Endpoint, parse_host
from ecr_twin.requests import host_of, request_id
from ecr_twin.routes import action_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_STRIKES = web.RequestKey("strikes", list[Strike])
_DATE = web.RequestKey("date", str)
#: A paced stream moves in steps of this length, in seconds.
_STEP = 0.02


class Cut(ConnectionResetError):  # noqa: N818 - an order that was carried out, no defect
    """The connection was ended on purpose."""


class Damage:
    """Stands between a listener and its face, and does what the faults say."""

    def __init__(self, faults: Faults, clock: Callable[[], float]) -> None:
        self._faults = faults
        self._clock = clock

    def around(self, handler: Handler) -> Handler:
        """Wrap a face's handler."""

        async def handle(request: web.Request) -> web.StreamResponse:
            host, endpoint = host_of(request), parse_host(host_of(request))
            if endpoint is None:
                return await handler(request)
            strikes = self._faults.strike("exchange", request.method, host + request.path, _action(endpoint, request))
            request[_STRIKES] = strikes
            if self._faults.skew:  # X9
                now = datetime.fromtimestamp(self._clock(), UTC)
                request[_DATE] = format_datetime(now, usegmt=True)
            try:
                response = await _answer(request, endpoint, handler, strikes)
            except Cut:
                return web.Response()  # to nobody
            if _DATE in request and not response.prepared:
                response.headers["Date"] = request[_DATE]
            if isinstance(response, web.Response) and not response.prepared and _touched(strikes):
                return await deliver(request, response, _whole(response))
            return response

        return handle


async def incoming(request: web.Request) -> AsyncIterator[bytes]:
    """Give the request's body in pieces, as far as it comes.

    Raises:
        Cut: when a fault ended the connection.
    """
    strikes = _of(request, "request")
    async for piece in _pass(request, request.content.iter_chunked(CHUNK), strikes):
        yield piece


async def body_of(request: web.Request) -> bytes:
    """Read the whole body.

    Raises:
        Cut: as `incoming`.
    """
    if not _of(request, "request"):
        return await request.read()
    return b"".join([piece async for piece in incoming(request)])


async def deliver(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send a response's head and body, as far as they get."""
    strikes = _of(request, "response")
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        stream.headers.setdefault("Content-Length", str(len(response.body)))
    if _DATE in request:
        stream.headers["Date"] = request[_DATE]
    try:
        if any(strike.fault.kind == "reset" and strike.fault.at == 0 for strike in strikes):
            _reset(request)
            return stream
        await stream.prepare(request)
        if request.method == "HEAD":
            return stream
        async for piece in _pass(request, pieces, strikes):
            await stream.write(piece)
        await stream.write_eof()
    except Cut:
        await pieces.aclose() if hasattr(pieces, "aclose") else None
    return stream


def failure(endpoint: Endpoint, status: int) -> web.Response:
    """Build the error that a service, or what stands before it, answers when something breaks (X3)."""
    if status == HTTPStatus.BAD_GATEWAY:  # that of a load balancer, which speaks no AWS protocol [I]
        text = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>\n"
        return web.Response(status=status, text=text, content_type="text/html")
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE
    if endpoint.face == "registry":
        errors = {"errors": [{"code": "UNAVAILABLE" if unavailable else "UNKNOWN", "message": "Try again."}]}
        return web.json_response(errors, status=status)
    code = "ServiceUnavailableException" if unavailable else "ServerException"
    if endpoint.face == "api":
        document = json.dumps({"__type": code, "message": "Try again."}).encode()
        return web.Response(status=status, body=document, content_type="application/x-amz-json-1.1")
    code = "ServiceUnavailable" if unavailable else "InternalError"
    error = f"<Error><Code>{code}</Code><Message>Try again.</Message></Error>"
    number = f"<RequestId>{request_id()}</RequestId>"
    text = f"<ErrorResponse>{error}{number}</ErrorResponse>" if endpoint.face == "sts" else error
    return web.Response(status=status, text=text, content_type="text/xml")


async def _answer(
    request: web.Request, endpoint: Endpoint, handler: Handler, strikes: list[Strike]
) -> web.StreamResponse:
    if seconds := sum(item.fault.seconds for item in strikes if item.fault.kind == "slow"):  # X4
        await asyncio.sleep(seconds)
    broken = next((item.fault for item in strikes if item.fault.kind == "status"), None)
    if broken and broken.when == "before":
        with contextlib.suppress(Cut):  # a server that breaks still reads; a client may not answer before it has sent
            await body_of(request)
        return failure(endpoint, broken.status)
    response = await handler(request)
    return failure(endpoint, broken.status) if broken and not response.prepared else response


async def _pass(request: web.Request, pieces: AsyncIterator[bytes], strikes: list[Strike]) -> AsyncIterator[bytes]:
    """Let a body through, doing at each place what is to be done there."""
    position, left = 0, sorted(strikes, key=lambda item: item.fault.at)
    left = [item for item in left if item.fault.kind != "slow"]
    await _strike_at(request, position, left, b"")
    async for chunk in pieces:
        rest = chunk
        while rest:
            stop = left[0].fault.at if left else position + len(rest)
            length = min(len(rest), max(stop - position, 0), _step(strikes)) or 0
            piece, rest = rest[:length], rest[length:]
            if piece:
                await _crawl(strikes, len(piece))
                yield piece
                position += len(piece)
            rest = await _strike_at(request, position, left, rest)


async def _strike_at(request: web.Request, position: int, left: list[Strike], rest: bytes) -> bytes:
    while left and left[0].fault.at <= position:
        fault = left[0].fault
        if fault.kind == "flip" and not rest:
            break  # the byte has not come yet
        left.pop(0)
        if fault.kind == "reset":
            _reset(request)
            raise Cut
        if fault.kind == "truncate":
            if request.transport is not None:
                request.transport.close()
            raise Cut
        if fault.kind == "stall":
            await _stall(request, fault.seconds)
        if fault.kind == "flip":
            rest = bytes((rest[0] ^ 0x01,)) + rest[1:]
    return rest


async def _stall(request: web.Request, seconds: float) -> None:
    """Hold a stream for some seconds, or for as long as the client stays (X5)."""
    waited = 0.0
    while not seconds or waited < seconds:
        if request.transport is None or request.transport.is_closing():
            raise Cut
        await asyncio.sleep(_STEP)
        waited += _STEP


def _step(strikes: list[Strike]) -> int:
    rates = [item.fault.bytes_per_second or item.fault.total_bytes_per_second for item in strikes]
    return max(1, int(min((rate for rate in rates if rate), default=CHUNK / _STEP) * _STEP))


async def _crawl(strikes: list[Strike], length: int) -> None:
    """Wait as long as a piece takes at the rates in force (X4)."""
    now = asyncio.get_running_loop().time()
    delays = [length / item.fault.bytes_per_second for item in strikes if item.fault.bytes_per_second]
    delays += [item.pace.delay(length, now) for item in strikes if item.pace]
    if delays:
        await asyncio.sleep(max(delays))


def _reset(request: web.Request) -> None:
    """End the connection with an RST: what is on its way may be lost, and nothing is said (X1)."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _of(request: web.Request, direction: str) -> list[Strike]:
    strikes: list[Strike] = request.get(_STRIKES, [])
    one_way = {"truncate": "response", "flip": "response"}
    return [
        item
        for item in strikes
        if (
            item.fault.kind in {"reset", "truncate", "flip", "stall"}
            and one_way.get(item.fault.kind, item.fault.direction) == direction
        )
        or (
            item.fault.kind == "slow"
            and (item.fault.bytes_per_second or item.pace)
            and item.fault.direction == direction
        )
    ]


def _touched(strikes: list[Strike]) -> bool:
    return any(item.fault.kind != "status" for item in strikes)


def _action(endpoint: Endpoint, request: web.Request) -> str:
    if endpoint.face == "api":
        return request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    if endpoint.face == "blobs":
        return "GetObject"
    return action_of(request.method, request.path) if endpoint.face == "registry" else ""


async def _whole(response: web.Response) -> AsyncIterator[bytes]:
    if isinstance(response.body, bytes) and response.body:
        yield response.body
