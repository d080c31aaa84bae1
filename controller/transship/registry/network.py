"""How registries are reached: what an administrator may say about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from transship.registry.hosts import HostRules

_TLS_PORT = 443


@dataclass(frozen=True, slots=True)
class Network:
    """How registries are reached.

    Attributes:
        hosts: which hosts may be local or spoken to without TLS.
        ca_file: PEM file of the authorities to trust instead of the system's.
        connect_seconds: how long making a connection may take.
        idle_seconds: how long an answer, the next bytes of one, or handing over the next chunk may take.
        connections_per_host: how many idle connections to a host are kept.
        connect_to: where a connection for a host (`host[:port]`) is made instead, as `host[:port]`: a VPC endpoint
            without private DNS, or a test. Certificate and request keep the registry's own name; no proxy is asked.
    """

    hosts: HostRules = field(default_factory=HostRules)
    ca_file: str | None = None
    connect_seconds: float = 10.0
    idle_seconds: float = 60.0
    connections_per_host: int = 32
    connect_to: Mapping[str, str] = field(default_factory=dict)

    def place(self, host: str, port: int | None) -> tuple[str, int] | None:
        """Where a connection for a host is made instead; None where it has not been said."""
        wanted = _normal(f"{host}:{port or _TLS_PORT}")
        return next((_place(there) for name, there in self.connect_to.items() if _normal(name) == wanted), None)


def _normal(host: str) -> str:
    name, _, port = host.lower().partition(":")
    return f"{name}:{port or _TLS_PORT}"


def _place(there: str) -> tuple[str, int]:
    name, _, port = there.rpartition(":")
    return (name.strip("[]"), int(port)) if name and port.isdigit() else (there.strip("[]"), _TLS_PORT)
