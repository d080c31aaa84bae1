"""What the faces share about HTTP: reading the parts of a request that signatures cover, and request ids."""

import uuid

from aiohttp import web

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


def request_id() -> str:
    """Make an id for one answer."""
    return str(uuid.uuid4())
