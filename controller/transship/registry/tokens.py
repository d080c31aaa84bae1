"""Asking a token server (distribution-spec, "Token Authentication Specification" and "OAuth2 Token Authentication").

One request: GET with Basic credentials or none, POST with an identity token. No redirect is followed, at most 64 KiB of
the answer are read, and nothing of it but the token and its lifetime is used or repeated.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3.exceptions import HTTPError

from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.reference import Registry
from transship.registry.answer import Answer
from transship.registry.auth import Login
from transship.registry.failures import network, retry_after
from transship.registry.patience import Patience
from transship.registry.transport import Transport, finish

MAX_TOKEN_BYTES = 64 * 1024
MAX_SECONDS = 60.0
"""An answer that takes longer to arrive is given up."""
DEFAULT_LIFETIME = 60.0
"""Seconds, where the answer does not say (token specification, `expires_in`)."""

_LONGEST_LIFETIME = 12 * 3600.0
_MARGIN = 30.0
_HEADER_SAFE = re.compile(r"[!-~]{1,65536}\Z")
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class TokenServer:
    """Where a registry's tokens come from; the realm has been judged by `realms.Realms`."""

    registry: Registry
    realm: str
    service: str = ""

    @property
    def host(self) -> str:
        """For messages."""
        return urlsplit(self.realm).netloc


@dataclass(frozen=True, slots=True)
class Token:
    """A header, and for how many seconds it should be used; printing it does not show the header."""

    header: str = field(repr=False)
    seconds: float


class TokenClient:
    """Asks token servers. Thread-safe."""

    def __init__(
        self, transport: Transport, patience: Patience | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._patience = patience or Patience()
        self._clock = clock

    def fetch(self, server: TokenServer, scope: str, login: Login | None) -> Token:
        """Get a token for a scope, as somebody or as anybody.

        Raises:
            NeedsHuman: Denied when the login is refused; HostNotAllowed when the server sends us elsewhere.
            RetryLater: Unreachable, Throttled, or RegistryError for an answer that is none.
        """
        request = _with_identity_token if login and login.identity_token else _with_basic
        method, url, headers, body = request(server, scope, login or Login())
        try:
            response = self._patience.send(lambda: self._transport.open(method, url, headers, body))
            if response.status != HTTPStatus.OK:
                raise _refusal(server, response, login)
            content = self._read(response)
        except HTTPError as error:
            raise _unreachable(server, network(error)) from None  # its text holds the URL with its query
        return _token(server, content)

    def _read(self, response: Answer) -> bytes:
        """The answer's body, as far as it may be read; a server that only drips is left."""
        deadline = self._clock() + MAX_SECONDS
        content = bytearray()
        try:
            while len(content) <= MAX_TOKEN_BYTES and self._clock() < deadline:
                chunk = response.read_some(MAX_TOKEN_BYTES + 1 - len(content))
                if not chunk:
                    return bytes(content)
                content += chunk
        finally:
            response.close()
        return b""


def _with_basic(server: TokenServer, scope: str, login: Login) -> tuple[str, str, dict[str, str], bytes | None]:
    asked = [("service", server.service)] if server.service else []
    asked += [("scope", each) for each in scope.split()]
    joint = "&" if urlsplit(server.realm).query else "?"
    url = f"{server.realm}{joint if asked else ''}{urlencode(asked)}"
    return "GET", url, {"Authorization": login.basic} if login.basic else {}, None


def _with_identity_token(
    server: TokenServer, scope: str, login: Login
) -> tuple[str, str, dict[str, str], bytes | None]:
    asked = {
        "grant_type": "refresh_token",
        "service": server.service,
        "client_id": "transship",
        "scope": scope,
        "refresh_token": login.identity_token,
    }
    return "POST", server.realm, _FORM, urlencode(asked).encode()


def _token(server: TokenServer, content: bytes) -> Token:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _odd(server)
    # The specification has both names for one thing, and servers that send only one of them.
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str) or not _HEADER_SAFE.match(token):
        raise _odd(server)
    return Token(f"Bearer {token}", _use(answer.get("expires_in")))


def _use(lifetime: Any) -> float:
    """For how long a token is used: until shortly before its end, so that none expires on its way to the registry."""
    is_number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool)
    seconds = float(min(lifetime, _LONGEST_LIFETIME)) if is_number and lifetime > 0 else DEFAULT_LIFETIME
    return seconds - min(_MARGIN, seconds / 4)


def _refusal(server: TokenServer, response: Answer, login: Login | None) -> TransshipError:
    finish(response)
    said = f"{server.host} answered HTTP {response.status} for a token for {server.registry}"
    if response.status in _REDIRECTS:
        return NeedsHuman(Reason.HOST_NOT_ALLOWED, f"{said}; where it points is not followed with credentials")
    if response.status in _REFUSED:
        who = "check the user and password configured for it" if login else "no credentials are configured for it"
        return NeedsHuman(Reason.DENIED, f"{said}; {who}")
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or retry_after(response) is not None:
        return RetryLater(Reason.THROTTLED, said, after=retry_after(response))
    return RetryLater(Reason.REGISTRY_ERROR, said)


def _odd(server: TokenServer) -> RetryLater:
    return RetryLater(Reason.REGISTRY_ERROR, f"{server.host} answered something that is no token for {server.registry}")


def _unreachable(server: TokenServer, why: str) -> RetryLater:
    return RetryLater(Reason.UNREACHABLE, f"{server.host} cannot be reached for a token for {server.registry}: {why}")
