"""Connections: one pool for the process, and nothing done behind the caller's back.

urllib3 follows no redirect, retries nothing and decodes nothing here (threats T6 to T8): whoever asks sees every answer
as it came. Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, certificate authorities from a file.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, ClassVar
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProtocolError

from transship.registry.hosts import HostRules
from transship.registry.tls import TlsSocket

_TLS_PORT = 443
_ORIGIN = re.compile(r"[A-Za-z]+://[^/?#]*")
_MAX_HOSTS = 64
"""Hosts whose idle connections are kept; a blob host may have a name for each bucket."""
MAX_ERROR_BYTES = 64 * 1024
"""Of a body that is only an error's or a redirect's, no more is read (threat T9)."""


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


def ca_file_of(environment: Mapping[str, str] = os.environ) -> str | None:
    """The CA file the environment names, by the variables that OpenSSL, requests and the AWS tools read."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
    return next((environment[name] for name in names if environment.get(name)), None)


class Transport:
    """Opens requests. Thread-safe; make one for the process."""

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or Network()
        self._options: dict[str, Any] = {
            "maxsize": self.network.connections_per_host,
            "ca_certs": self.network.ca_file,
            "cert_reqs": "CERT_REQUIRED",
            # Sending counts as connecting for urllib3; how long that takes is said where it is done.
            "timeout": Timeout(connect=self.network.idle_seconds, read=self.network.idle_seconds),
            "retries": False,
        }
        self._direct = PoolManager(_MAX_HOSTS, **self._options)
        self._ways: dict[str, PoolManager | HTTPConnectionPool] = {}
        self._direct.pool_classes_by_scheme = _checking_pools(self.network)
        self._proxies = {
            scheme: ProxyManager(url, **self._options)
            for scheme, url in getproxies().items()
            if scheme in {"http", "https"}
        }

    @property
    def hosts(self) -> HostRules:
        """Which hosts may be talked to."""
        return self.network.hosts

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterator[bytes | memoryview] | None = None,
    ) -> BaseHTTPResponse:
        """Send one request; the answer's body is not read yet and has to be read or closed.

        A `body` that is an iterator needs a Content-Length header and is sent as it comes.

        Raises:
            NeedsHuman: the host is not one that may be talked to.
            urllib3.exceptions.HTTPError: the network failed.
        """
        origin, path = _split(url)
        way = self._ways.get(origin)
        if way is None:
            way = self._ways[origin] = self._find_way(url)
        return way.urlopen(
            method,
            url if isinstance(way, PoolManager) else path,
            body=body,  # type: ignore[arg-type] # views of buffers are sent as they are
            headers={"User-Agent": "transship", "Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def _find_way(self, url: str) -> PoolManager | HTTPConnectionPool:
        """Judge a host and find the connections to it: once for each, as it costs as much as a small request."""
        parts = self.hosts.check(url)
        host = parts.hostname or ""
        proxy = self._proxies.get(parts.scheme)
        is_direct = proxy is None or self.network.place(host, parts.port) is not None or bool(proxy_bypass(host))
        if len(self._ways) >= _MAX_HOSTS:
            self._ways.clear()
        return (
            self._direct.connection_from_host(host, parts.port, parts.scheme) if is_direct or proxy is None else proxy
        )

    def close(self) -> None:
        """Close all idle connections."""
        for pools in (self._direct, *self._proxies.values()):
            pools.clear()


def _split(url: str) -> tuple[str, str]:
    """Scheme and host as they are written, and the rest; whether they may be is `HostRules`' question."""
    found = _ORIGIN.match(url)
    return (found.group(), url[found.end() :] or "/") if found else (url, "/")


def finish(response: BaseHTTPResponse) -> bytes:
    """Read what is left of a small answer, so that its connection can be used again, and be done with it.

    An answer that breaks off gives nothing; one that is too long gives its beginning and loses its connection.
    """
    try:
        return response.read(MAX_ERROR_BYTES, decode_content=False)
    except HTTPError:
        return b""
    finally:
        response.close()


def read_into(response: BaseHTTPResponse, room: memoryview) -> int:
    """Put the next bytes of an answer straight into `room`; 0 at its end.

    `HTTPResponse.readinto` of urllib3 makes a copy first, which is a tenth of the processor time of a layer; below it
    is the standard library's response, which does not (docs/performance.md, B1).

    Raises:
        urllib3.exceptions.HTTPError: the connection failed, or ended before the answer did.
    """
    below = response._fp  # type: ignore[attr-defined] # noqa: SLF001 - there is no public way to it
    try:
        count = int(below.readinto(room))
    except (OSError, HTTPException, ValueError) as error:
        raise ProtocolError("the connection broke off", error) from error
    if not count and below.length:
        raise ProtocolError("the connection ended early", below.length)
    return count


def is_read(response: BaseHTTPResponse) -> bool:
    """Whether an answer has been read to its end, so that its connection may serve another request."""
    return bool(response._fp.isclosed())  # type: ignore[attr-defined] # noqa: SLF001 - as in `read_into`


class _Checking(HTTPConnection):
    """A connection that judges the address it got before anything is sent; only for those without a proxy."""

    network: ClassVar[Network]

    def _new_conn(self) -> socket.socket:
        place = self.network.place(self.host, self.port)
        if place is not None:
            return self._connect(place)  # an administrator named the place: there is nothing left to judge
        connected = self._connect(None)
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            self.network.hosts.check_address(f"{host}:{self.port}", connected.getpeername()[0])
        except BaseException:
            with suppress(OSError):
                connected.close()
            raise
        return connected

    def _connect(self, place: tuple[str, int] | None) -> socket.socket:
        """Connect, there if a place is given, and go on as if it had been the host itself.

        urllib3 takes place and time-out from these fields; the time-out of a connection that is made is another one.
        """
        own = self._dns_host, self.port, self.timeout
        if place is not None:
            self._dns_host, self.port = place
        self.timeout = self.network.connect_seconds
        try:
            connected = super()._new_conn()
        finally:
            self._dns_host, self.port, self.timeout = own
        connected.settimeout(self.network.idle_seconds)
        return connected


class _CheckingTls(_Checking, HTTPSConnection):
    """The same under TLS."""

    context: ClassVar[ssl.SSLContext]

    def connect(self) -> None:
        """See `HTTPConnection`; what is different is who moves the bytes (`tls`)."""
        plain = self._new_conn()
        try:
            self.sock = TlsSocket(plain, self.context, self.host.rstrip("."))  # what http.client uses of a socket
        except BaseException:
            plain.close()
            raise
        self.is_verified = True


def _checking_pools(network: Network) -> dict[str, type[HTTPConnectionPool]]:
    # urllib3 makes connections by class, so the rules have to be part of a class.
    plain = type("_Plain", (_Checking,), {"network": network})
    context = ssl.create_default_context(cafile=network.ca_file)
    tls = type("_Tls", (_CheckingTls,), {"network": network, "context": context})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }
