"""Where a twin listens, and whose certificates it shows: by default on free loopback ports, with a CA of its own."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Listening:
    """Addresses and ports; a port of 0 is a free one.

    Attributes:
        host: of the two TLS listeners. The proxy, ``/_twin/`` and the stranger of X10 are on loopback whatever it is.
        front: port of API, STS and registries.
        blobs: port of the layer bucket.
        proxy: port of the CONNECT proxy.
        authority: a folder with ``tls.crt`` and ``tls.key`` of a CA (a Kubernetes Secret's names); without one a CA
            is made that lives as long as the twin.
    """

    host: str = "127.0.0.1"
    front: int = 0
    blobs: int = 0
    proxy: int = 0
    authority: Path | None = None
