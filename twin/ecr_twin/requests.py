"""What the faces share about HTTP: reading the parts of a request that signatures cover, and request ids."""

import uuid
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from ecr_twin.authorization import Caller
from ecr_twin.signature import SignedRequest


def host_of(request: web.Request) -> str:
    """Give the Host header without a port."""
    return request.headers.get("Host", "").partition(":")[0].lower()


def signed(request: web.Request, body: bytes) -> SignedRequest:
    """Collect what a SigV4 signature covers."""
    return SignedRequest(
        method=request.method,
        url=f"https://{request.headers.get('Host', '')}{request.raw_path}",
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )


def from_where(caller: Caller, endpoints: Mapping[int, str], request: web.Request) -> Caller:
    """Add the VPC endpoint that the connection came through, if it came through one (``aws:SourceVpce``, A6).

    ``endpoints`` holds the endpoint of each connection that has one, by the port it comes from.
    """
    peer = request.transport.get_extra_info("peername") if request.transport else None
    endpoint = endpoints.get(peer[1]) if peer else None
    return replace(caller, context={**caller.context, "aws:sourcevpce": endpoint}) if endpoint else caller


def request_id() -> str:
    """Make an id for one answer."""
    return str(uuid.uuid4())
