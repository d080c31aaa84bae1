"""The door of the v2 face: who calls, what for, and the answer in OCI terms."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from ecr_twin.authorization import Caller
from ecr_twin.errors import Refusal
from ecr_twin.names import Registry
from ecr_twin.requests import from_where
from ecr_twin.routes import route
from ecr_twin.services import Call, Services
from ecr_twin.tokens import TokenError
from ecr_twin.v2 import blobs, listing, manifests
from ecr_twin.v2.exchange import Exchange
from ecr_twin.v2.problems import problem, translate

_Handler = Callable[[Exchange], Awaitable[web.Response]]
_EXPIRED = "Your authorization token has expired. Reauthenticate and try again."


async def _ping(_exchange: Exchange) -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


_HANDLERS: Mapping[tuple[str, str], _Handler] = {
    ("GET", "ping"): _ping,
    ("HEAD", "ping"): _ping,
    ("GET", "catalog"): listing.catalog,
    ("GET", "tags"): listing.tags,
    ("GET", "referrers"): listing.referrers,
    ("GET", "manifest"): manifests.get,
    ("HEAD", "manifest"): manifests.head,
    ("PUT", "manifest"): manifests.put,
    ("GET", "blob"): blobs.get,
    ("HEAD", "blob"): blobs.head,
    ("POST", "uploads"): blobs.start,
    ("PATCH", "upload"): blobs.append,
    ("PUT", "upload"): blobs.finish,
    ("GET", "upload"): blobs.progress,
    ("DELETE", "upload"): blobs.cancel,
    ("DELETE", "manifest"): manifests.delete,
}


class Gateway:
    """Answers the data plane of every registry."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: web.Request, registry: Registry) -> web.Response:
        """Answer one request."""
        response = await self._answer(request, registry)
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    async def _answer(self, request: web.Request, registry: Registry) -> web.Response:
        try:
            caller = self._caller(request, registry)
        except TokenError as error:
            return self._unauthorized(error, registry)
        place = route(request.path)
        handler = _HANDLERS.get((request.method, place.kind)) if place else None
        if place is None or handler is None:
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
        exchange = Exchange(request, self._services, Call(caller, registry), place)
        try:
            response = await handler(exchange)
        except Refusal as refusal:
            profile = self._services.profile
            response = translate(refusal, profile.tag_invalid_status, profile.retry_after_seconds)
        self._count(exchange, response)
        return response

    def _caller(self, request: web.Request, registry: Registry) -> Caller:
        """Know the caller by its Basic credential (A1): user ``AWS``, the token as password (A2)."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise TokenError("unknown") from error
        if scheme.lower() != "basic" or user != "AWS":
            raise TokenError("unknown")
        caller = self._services.tokens.caller(password, registry.region)
        return from_where(caller, self._services.endpoints, request)

    def _unauthorized(self, error: TokenError, registry: Registry) -> web.Response:
        if error.fault == "expired":  # A3, fact 3: no challenge, so refresh driven by a 401 never happens
            if self._services.profile.expired_body == "text":
                return web.Response(status=HTTPStatus.FORBIDDEN, text=_EXPIRED)
            return problem(HTTPStatus.FORBIDDEN, "DENIED", _EXPIRED)
        if error.fault == "other-region":  # A2, fact 2 [D:common-errors-docker]
            return problem(HTTPStatus.FORBIDDEN, "DENIED", "The authorization token was issued for another Region.")
        challenge = f'Basic realm="https://{registry.host}/",service="ecr.amazonaws.com"'  # A1, fact 1
        return web.Response(
            status=HTTPStatus.UNAUTHORIZED, text="Not Authorized\n", headers={"Www-Authenticate": challenge}
        )

    def _count(self, exchange: Exchange, response: web.Response) -> None:
        sent = len(response.body) if isinstance(response.body, bytes) and exchange.request.method != "HEAD" else 0
        pings = 1 if exchange.action == "v2:Ping" else 0
        key = exchange.call.key(exchange.action)
        self._services.ledger.add(key, requests=pings, bytes_in=exchange.bytes_in, bytes_out=sent)
