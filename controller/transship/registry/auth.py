"""Credentials: what a registry wants to see in the Authorization header."""

import base64
from typing import Protocol

from transship.oci.reference import Registry


class Credentials(Protocol):
    """Gives the Authorization header of one identity. Thread-safe; may ask other systems and raise their errors."""

    def authorization(self, registry: Registry) -> str | None:
        """The header's value for a registry, sent with every request; None to send none."""

    def renew(self, registry: Registry, refused: str) -> None:
        """The registry refused `refused`: get another one, unless somebody else has done so in the meantime."""


class Anonymous:
    """No credentials at all."""

    def authorization(self, registry: Registry) -> str | None:  # noqa: ARG002 - the port's signature
        """Send none."""
        return None

    def renew(self, registry: Registry, refused: str) -> None:
        """There is nothing to renew."""


class Basic:
    """A user and password that do not change."""

    def __init__(self, user: str, password: str) -> None:
        self._header = basic(user, password)

    def authorization(self, registry: Registry) -> str | None:  # noqa: ARG002 - the port's signature
        """The same for every registry: give an instance only to the one it is meant for."""
        return self._header

    def renew(self, registry: Registry, refused: str) -> None:
        """There is nothing to renew."""


def basic(user: str, password: str) -> str:
    """Authorization header value of RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
