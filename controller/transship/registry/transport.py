"""Connections: one pool for the process, and nothing done behind the caller's back.

No redirect is followed, nothing is tried again and nothing is decoded here (threats T6 to T8): whoever asks sees every
answer as it came. Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, certificate authorities from a file.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import ProxyManager, Timeout, make_headers
from urllib3.exceptions import HTTPError, ProtocolError

from transship.registry.answer import Answer
from transship.registry.connections import Connections
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.proxied import proxied

_TLS_PORT = 443
_ORIGIN = re.compile(r"[A-Za-z]+://[^/?#]*")
_PLAIN_ORIGIN = re.compile(r"[A-Za-z]+://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?\Z")
_VISIBLE = re.compile(r"[!-~]+\Z")
_SAFE = "%/:?#[]@!$&'()*+,;=-._~"
_PORT = 80
_MAX_HOSTS = 64
"""Hosts whose idle connections are kept; a blob host may have a name for each bucket."""
MAX_ERROR_BYTES = 64 * 1024
"""Of a body that is only an error's or a redirect's, no more is read (threat T9)."""


def ca_file_of(environment: Mapping[str, str] = os.environ) -> str | None:
    """The CA file the environment names, by the variables that OpenSSL, requests and the AWS tools read."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
    return next((environment[name] for name in names if environment.get(name)), None)


class _StrictSocket(ssl.SSLSocket):
    """An end without close_notify is an error (see `wire`); Python would take it for the end of the body.

    Which of this and the option below does it depends on the versions of Python and OpenSSL.
    """

    @property
    def suppress_ragged_eofs(self) -> bool:
        return False

    @suppress_ragged_eofs.setter
    def suppress_ragged_eofs(self, wanted: bool) -> None:
        """Whoever makes the socket has no say in it."""


class Transport:
    """Opens requests. Thread-safe; make one for the process."""

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or Network()
        self._context = ssl.create_default_context(cafile=self.network.ca_file)
        self._ways: dict[str, Connections | ProxyManager] = {}
        self._proxies = {
            scheme: self._proxy(url) for scheme, url in getproxies().items() if scheme in {"http", "https"}
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
    ) -> Answer:
        """Send one request; the answer's body is not read yet and has to be read or closed.

        A `body` that is an iterator needs a Content-Length header and is sent as it comes.

        Raises:
            NeedsHuman: the host is not one that may be talked to.
            urllib3.exceptions.HTTPError: the network failed.
        """
        origin, target = _split(url)
        way = self._ways.get(origin)
        if way is None:
            way = self._find_way(origin)
            if len(self._ways) >= _MAX_HOSTS:
                self.close()
            self._ways[origin] = way
        everything = {"User-Agent": "transship", "Accept-Encoding": "identity", **headers}
        if isinstance(way, Connections):
            return way.ask(method, target, everything, body)
        return proxied(way, method, url, everything, body)

    def _find_way(self, origin: str) -> "Connections | ProxyManager":
        """Judge a host and find the connections to it: once for each, as it costs as much as a small request."""
        parts = self.hosts.check(origin)
        if not _PLAIN_ORIGIN.match(origin):  # nothing that one reader would skip, and another one believe
            raise ProtocolError("a URL has a host that is none")
        host = parts.hostname or ""
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or self.network.place(host, parts.port) is not None or proxy_bypass(parts.netloc):
            port = parts.port or (_TLS_PORT if parts.scheme == "https" else _PORT)
            context = self._context if parts.scheme == "https" else None
            return Connections(self.network, parts.netloc, host, port, context)
        return proxy

    def _proxy(self, url: str) -> ProxyManager:
        idle = self.network.idle_seconds
        place = url if "://" in url else f"http://{url}"
        login = urlsplit(place).netloc.rpartition("@")[0]
        return ProxyManager(
            place,
            proxy_headers=make_headers(proxy_basic_auth=unquote(login)) if login else None,
            maxsize=self.network.connections_per_host,
            ssl_context=self._strict_context(),
            timeout=Timeout(connect=idle, read=idle),
            # Behind proxies urllib3 leaves Nagle's algorithm on, which waits 40 ms for the end of a request.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            retries=False,
        )

    def _strict_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.network.ca_file)
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        context.sslsocket_class = _StrictSocket
        return context

    def close(self) -> None:
        """Close all idle connections."""
        ways, self._ways = self._ways, {}
        for way in (*ways.values(), *self._proxies.values()):
            way.clear()


def _split(url: str) -> tuple[str, str]:
    """Scheme and host as they are written, and the rest; whether they may be is `HostRules`' question."""
    found = _ORIGIN.match(url)
    if found is None:
        return url, "/"
    rest = url[found.end() :].partition("#")[0]
    target = rest if rest.startswith("/") else f"/{rest}"
    return found.group(), target if _VISIBLE.match(target) else quote(target, safe=_SAFE)


def finish(response: Answer) -> bytes:
    """Read what is left of a small answer, so that its connection can be used again, and be done with it.

    An answer that breaks off gives nothing; one that is too long gives its beginning and loses its connection.
    """
    try:
        return response.read(MAX_ERROR_BYTES)
    except HTTPError:
        return b""
    finally:
        response.close()
