"""Connections: one pool for the process, and nothing done behind the caller's back.

urllib3 follows no redirect, retries nothing and decodes nothing here (threats T6 to T8): whoever asks sees every answer
as it came. Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, certificate authorities from a file.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from transship.registry.hosts import HostRules

_TLS_PORT = 443
MAX_ERROR_BYTES = 64 * 1024
"""Of a body that is only an error's or a redirect's, no more is read (threat T9)."""


@dataclass(frozen=True, slots=True)
class Network:
    """How registries are reached.

    Attributes:
        hosts: which hosts may be local or spoken to without TLS.
        ca_file: PEM file of the authorities to trust instead of the system's.
        connect_seconds: how long making a connection, or handing one chunk to it, may take.
        idle_seconds: how long an answer, or the next bytes of one, may take.
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
            "timeout": Timeout(connect=self.network.connect_seconds, read=self.network.idle_seconds),
            "retries": False,
        }
        self._direct = PoolManager(**self._options)
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
        parts = self.hosts.check(url)
        proxy = self._proxies.get(parts.scheme)
        if self.network.place(parts.hostname or "", parts.port) is not None:
            proxy = None
        pools = self._direct if proxy is None or proxy_bypass(parts.hostname or "") else proxy
        return pools.urlopen(
            method,
            url,
            body=body,
            headers={"User-Agent": "transship", "Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close all idle connections."""
        for pools in (self._direct, *self._proxies.values()):
            pools.clear()


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


class _Checking(HTTPConnection):
    """A connection that judges the address it got before anything is sent; only for those without a proxy."""

    network: ClassVar[Network]

    def _new_conn(self) -> socket.socket:
        place = self.network.place(self.host, self.port)
        if place is not None:
            return self._connect(place)  # an administrator named the place: there is nothing left to judge
        connected = super()._new_conn()
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            self.network.hosts.check_address(f"{host}:{self.port}", connected.getpeername()[0])
        except BaseException:
            with suppress(OSError):
                connected.close()
            raise
        return connected

    def _connect(self, place: tuple[str, int]) -> socket.socket:
        """Connect there, and go on as if it had been the host itself: urllib3 takes the place from these two fields."""
        own = self._dns_host, self.port
        self._dns_host, self.port = place
        try:
            return super()._new_conn()
        finally:
            self._dns_host, self.port = own


class _CheckingTls(_Checking, HTTPSConnection):
    """The same under TLS."""


def _checking_pools(network: Network) -> dict[str, type[HTTPConnectionPool]]:
    # urllib3 makes connections by class, so the rules have to be part of a class.
    plain = type("_Plain", (_Checking,), {"network": network})
    tls = type("_Tls", (_CheckingTls,), {"network": network})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }
