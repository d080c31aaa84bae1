"""One HTTP call on the v2 face: its route, its caller, and what it spent."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ecr_twin.actions import perform
from ecr_twin.routes import Route
from ecr_twin.services import Call, Services
from ecr_twin.streams import incoming


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
        async for chunk in incoming(self.request):
            self.bytes_in += len(chunk)
            yield chunk
