"""Credentials: what a registry wants to see in the Authorization header."""

import base64
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from transship.oci.reference import Registry, Repository


class Access(StrEnum):
    """What a request does to a repository, in the words of the distribution token specification."""

    PULL = "pull"
    PUSH = "pull,push"
    DELETE = "pull,push,delete"

    @classmethod
    def of(cls, method: str) -> "Access":
        """What an HTTP method of the distribution API needs; CNCF distribution asks for `delete` even of uploads."""
        if method in {"GET", "HEAD"}:
            return cls.PULL
        return cls.DELETE if method == "DELETE" else cls.PUSH

    def to(self, repository: Repository) -> str:
        """The scope of a token (distribution-spec, "Token Scope Documentation")."""
        return f"repository:{repository.path}:{self}"


class Credentials(Protocol):
    """Gives the Authorization header of one identity. Thread-safe; may ask other systems and raise their errors."""

    def authorization(self, registry: Registry, scope: str) -> str | None:
        """The header's value for a request, sent without being asked for; None to send none.

        Args:
            registry: who gets it.
            scope: what it has to be good for: scopes of the token specification, separated by spaces.

        Raises:
            RetryLater, NeedsHuman: a token is needed and cannot be had.
        """

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        """The registry refused `refused`: get another one, unless somebody else has done so in the meantime.

        The next `authorization` is to give what is tried instead; what was refused, when there is nothing else.

        Args:
            registry: who refused.
            scope: as for `authorization`.
            refused: the header's value that was sent; None when none was.
            challenge: what the registry wants to see instead, the value of `WWW-Authenticate`; often empty.

        Raises:
            RetryLater, NeedsHuman: the challenge is one that may not be answered.
        """


class Anonymous:
    """No credentials at all, and no tokens either."""

    def authorization(self, registry: Registry, scope: str) -> str | None:  # noqa: ARG002 - the port's signature
        """Send none."""
        return None

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        """There is nothing to renew."""


class Basic:
    """A user and password that do not change."""

    def __init__(self, user: str, password: str) -> None:
        self._header = basic(user, password)

    def authorization(self, registry: Registry, scope: str) -> str | None:  # noqa: ARG002 - the port's signature
        """The same for every registry: give an instance only to the one it is meant for."""
        return self._header

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        """There is nothing to renew."""


@dataclass(frozen=True, slots=True)
class Login:
    """What `docker login` leaves behind: a user and password, or an identity token; printing it shows neither."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str | None:
        """The header's value of RFC 7617; an identity token has none."""
        return basic(self.user, self.password) if self.user and not self.identity_token else None


class Logins(Protocol):
    """Knows who we are at registries. Thread-safe."""

    def login(self, registry: Registry) -> Login | None:
        """Who we are at a registry; None for nobody.

        Raises:
            RetryLater, NeedsHuman: it cannot be found out.
        """

    def forget(self, registry: Registry) -> None:
        """What was said last has been refused: look again the next time."""


class NoLogins:
    """Nobody anywhere: tokens are asked for as anybody may."""

    def login(self, registry: Registry) -> Login | None:  # noqa: ARG002 - the port's signature
        """Nobody."""
        return None

    def forget(self, registry: Registry) -> None:
        """There is nothing to forget."""


def basic(user: str, password: str) -> str:
    """Authorization header value of RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
