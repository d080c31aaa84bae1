"""Credentials of any registry that says what it wants to see: Bearer tokens, Basic, or nothing.

Theory of operation. Of a registry nothing is known at first, and the first request carries no Authorization. Its
challenge says how the registry is to be asked, and that is remembered for the registry: from then on every request
carries what it needs, whatever the repository. A token belongs to a registry and a scope. It is fetched by one thread,
used by all, and fetched again shortly before it expires, or when the registry refuses it. Where tokens are asked for
is judged by `realms`, what they are good for is said by us; of the challenge only the realm and the service are used.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from transship.errors import NeedsHuman
from transship.oci.reference import Registry
from transship.registry.auth import Login, Logins, NoLogins
from transship.registry.challenge import challenges
from transship.registry.once import Held
from transship.registry.patience import Patience
from transship.registry.realms import Realms
from transship.registry.tokens import Token, TokenClient, TokenServer
from transship.registry.transport import Transport

MAX_TOKENS = 1000
"""Beyond so many, those that have expired are thrown away: whoever names images names repositories, too."""


@dataclass(frozen=True, slots=True)
class _Door:
    """How a registry wants to be asked: with tokens of a server, or by name and password."""

    server: TokenServer | None


class TokenCredentials:
    """Implements `auth.Credentials` for any registry. Thread-safe; one serves all registries of a process.

    Args:
        transport: over which tokens are asked for.
        logins: who we are; nobody, when not given.
        realms: where tokens may be asked for; only at the registries themselves, when not given.
        patience: how often a token server that is busy is asked.
        clock: seconds that only grow, for the age of tokens.
    """

    def __init__(
        self,
        transport: Transport,
        logins: Logins | None = None,
        realms: Realms | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = TokenClient(transport, patience)
        self._logins = logins or NoLogins()
        self._realms = realms or Realms(transport.hosts)
        self._clock = clock
        self._lock = threading.Lock()
        self._doors: dict[Registry, _Door] = {}
        self._tokens: dict[tuple[Registry, str], Held[Token]] = {}

    def authorization(self, registry: Registry, scope: str) -> str | None:
        """See `Credentials`."""
        door = self._doors.get(registry)
        if door is None:
            return None
        if door.server is None:
            login = self._logins.login(registry)
            return login.basic if login else None
        for held in self._all_held(registry, scope):
            if token := held.peek():
                return token[0].header
        server = door.server
        return self._held(registry, scope).get(lambda: self._fetch(server, scope)).header

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        """See `Credentials`; a refusal without a challenge is the registry's last word."""
        door = self._door(registry, challenge)
        if door is None:
            return
        self._doors[registry] = door
        if refused is None:
            return
        if door.server is None:
            self._logins.forget(registry)
        for held in self._all_held(registry, scope):
            if (token := held.peek()) and token[0].header == refused:
                held.drop(token[0])

    def _door(self, registry: Registry, challenge: str) -> _Door | None:
        offered = {each.scheme: each.parameters for each in reversed(challenges(challenge))}  # the first of a kind
        if "bearer" in offered:
            parameters = offered["bearer"]
            realm = self._realms.check(registry, parameters.get("realm", ""))
            return _Door(TokenServer(registry, realm, parameters.get("service", "")))
        return _Door(None) if "basic" in offered else None

    def _fetch(self, server: TokenServer, scope: str) -> tuple[Token, float]:
        login: Login | None = self._logins.login(server.registry)
        try:
            token = self._client.fetch(server, scope, login)
        except NeedsHuman:
            self._logins.forget(server.registry)
            raise
        return token, token.seconds

    def _all_held(self, registry: Registry, scope: str) -> list[Held[Token]]:
        """The tokens that are good for a scope: whoever may push may pull."""
        wider = f"{scope},push" if scope.endswith(":pull") and " " not in scope else scope
        with self._lock:
            return [held for each in (wider, scope) if (held := self._tokens.get((registry, each)))]

    def _held(self, registry: Registry, scope: str) -> Held[Token]:
        with self._lock:
            if len(self._tokens) > MAX_TOKENS and (registry, scope) not in self._tokens:
                self._tokens = {key: held for key, held in self._tokens.items() if held.peek()}
            return self._tokens.setdefault((registry, scope), Held(self._clock))
