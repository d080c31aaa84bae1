"""One HTTP call on the v2 face: its route, its caller, and what it spent."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ecr_twin.actions import perform
from ecr_twin.backing import CHUNK
from ecr_twin.services import Call, Services

_ROUTES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("ping", r"/v2/?"),
        ("catalog", r"/v2/_catalog"),
        ("tags", r"/v2/(?P<name>.+)/tags/list"),
        ("uploads", r"/v2/(?P<name>.+)/blobs/uploads/?"),
        ("upload", r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[0-9a-f-]+)"),
        ("blob", r"/v2/(?P<name>.+)/blobs/(?P<reference>[^/]+)"),
        ("manifest", r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        ("referrers", r"/v2/(?P<name>.+)/referrers/(?P<reference>[^/]+)"),
    )
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for."""

    kind: str
    name: str = ""
    reference: str = ""


def route(path: str) -> Route | None:
    """Read a path; None when it is none of the v2 API."""
    for kind, pattern in _ROUTES:
        if match := pattern.fullmatch(path):
            return Route(kind, **match.groupdict())
    return None


@dataclass(slots=True)
class Exchange:
    """One request with everything that is needed to answer it."""

    request: web.Request
    services: Services
    call: Call
    route: Route
    action: str = "v2:Ping"
    bytes_in: int = field(default=0)

    @property
    def base(self) -> str:
        """Absolute URL of the repository; ECR's Locations and Links are absolute (B3, L1)."""
        return f"https://{self.request.headers['Host']}/v2/{self.route.name}"

    async def perform(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Do the action this call translates into."""
        self.action = f"ecr:{operation}"
        return await perform(self.services, self.call, operation, {"repositoryName": self.route.name, **params})

    async def read(self, limit: int) -> bytes:
        """Read the body, stopping just beyond a limit."""
        parts: list[bytes] = []
        async for chunk in self.stream():
            parts.append(chunk)
            if self.bytes_in > limit:
                break
        return b"".join(parts)

    async def stream(self) -> AsyncIterator[bytes]:
        """Stream the body, in pieces."""
        async for chunk in self.request.content.iter_chunked(CHUNK):
            self.bytes_in += len(chunk)
            yield chunk
