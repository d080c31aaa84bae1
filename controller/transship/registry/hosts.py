"""Which hosts may be talked to, and how (threats T4 and T6).

A registry's name comes from a policy, but a redirect comes from a stranger: every host is judged here before a
connection is made, and the address it resolved to is judged again on the connected socket, so that a name that
changes its address in between (DNS rebinding) gains nothing. Private ranges are allowed, because VPC endpoints of ECR
live there; loopback, link-local (instance metadata) and the like are not, unless configured.
"""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from transship.errors import NeedsHuman, Reason

_SERVED_BY: Mapping[str, str] = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Docker Hub's name in references is not the host that serves its API, and never was."""


@dataclass(frozen=True, slots=True)
class HostRules:
    """What the composition root allows beyond the rule.

    Attributes:
        plain_http: hosts (`host[:port]`) that are spoken to without TLS.
        local: hosts that may be IP literals or resolve to this machine; those of `plain_http` may, too.
    """

    plain_http: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, plain_http: Iterable[str] = (), local: Iterable[str] = ()) -> "HostRules":
        """Rules with normalised host names."""
        return cls(frozenset(map(_normal, plain_http)), frozenset(map(_normal, local)))

    def base_url(self, host: str) -> str:
        """Scheme and host under which a registry is reached."""
        return f"{'http' if _normal(host) in self.plain_http else 'https'}://{_SERVED_BY.get(host, host)}"

    def may_be_local(self, host: str) -> bool:
        """Whether a host may be an address or this machine."""
        return _normal(host) in self.plain_http | self.local

    def check(self, url: str) -> SplitResult:
        """Judge a URL before it is opened.

        Raises:
            NeedsHuman: HostNotAllowed when its scheme or host is not allowed.
        """
        parts = _split(url)
        host = _normal(parts.netloc)
        if parts.scheme != "https" and not (parts.scheme == "http" and host in self.plain_http):
            raise _refuse(f"{host} was to be spoken to without TLS; only registries configured for plain http may be")
        if not self.may_be_local(host) and (is_address(parts.hostname or "") or _is_localhost(parts.hostname or "")):
            raise _refuse(f"{host} is an address or this machine; name a registry by its host name, or allow the host")
        return parts

    def check_address(self, host: str, address: str) -> None:
        """Judge the address a connection was made to.

        Raises:
            NeedsHuman: HostNotAllowed when the name led to this machine or to instance metadata.
        """
        found = ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None) or found
        if not self.may_be_local(host) and (
            mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast
        ):
            raise _refuse(f"{host} resolves to a loopback or link-local address; check DNS, or allow the host")


def is_address(host: str) -> bool:
    """Whether a host is an IP literal in any of the spellings that resolvers accept (`127.1`, `0x7f000001`)."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        try:
            socket.inet_aton(host)
        except (OSError, ValueError):  # NUL is neither
            return False
    return True


def _is_localhost(host: str) -> bool:
    return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost") or not host


def _normal(host: str) -> str:
    return host.lower().removesuffix(":443").removesuffix(":80")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _refuse("a redirect or upload location is not a URL") from error
    if "@" in parts.netloc:
        raise _refuse("a redirect or upload location carries credentials")
    return parts


def _refuse(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.HOST_NOT_ALLOWED, message)
