"""Authorization tokens of the data plane.

A2: a token is minted for one principal in one Region and lives for a configured time (fact 2). A4: it is good for
every registry its principal may reach. Tokens cannot be revoked (facts §5).
"""

import base64
import hashlib
import json
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Literal

from ecr_twin.authorization import Caller
from ecr_twin.directory import Clock, Directory

Fault = Literal["unknown", "expired", "other-region"]


class TokenError(Exception):
    """The password is no token that is good here."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long tokens live, whether they outlive the STS session that minted them (A8, [?]), and a `canary`."""

    seconds: int
    outlives_session: bool
    canary: str = ""


class Tokens:
    """Mints tokens and recognises them again; only their hashes are kept."""

    def __init__(self, connection: sqlite3.Connection, directory: Directory, lifetime: Lifetime, clock: Clock) -> None:
        self._connection = connection
        self._directory = directory
        self.lifetime = lifetime
        self._clock = clock

    def mint(self, caller: Caller, region: str) -> tuple[str, float]:
        """Mint a token; gives the password and when it expires."""
        expires_at = self._clock() + self.lifetime.seconds
        # The shape of a real password: base64 of an object whose expiration clients have been seen to read.
        body = {
            "payload": secrets.token_urlsafe(900),
            "datakey": secrets.token_urlsafe(120),
            "version": "2",
            "type": "DATA_KEY",
            "expiration": int(expires_at),
        }
        password = self.lifetime.canary + base64.b64encode(json.dumps(body).encode()).decode()
        self._connection.execute(
            "INSERT INTO tokens (password_hash, access_key_id, region, expires_at) VALUES (?, ?, ?, ?)",
            (_hash(password), caller.access_key_id, region, expires_at),
        )
        return password, expires_at

    def caller(self, password: str, region: str) -> Caller:
        """Give the principal behind a password.

        Raises:
            TokenError: unknown, expired (A3), or minted in another Region (A2).
        """
        row = self._connection.execute("SELECT * FROM tokens WHERE password_hash = ?", (_hash(password),)).fetchone()
        credential = self._directory.credential(row["access_key_id"]) if row else None
        if credential is None:
            raise TokenError("unknown")
        session_ended = credential.expires_at is not None and credential.expires_at <= self._clock()
        if row["expires_at"] <= self._clock() or (session_ended and not self.lifetime.outlives_session):
            raise TokenError("expired")
        if row["region"] != region:
            raise TokenError("other-region")
        return credential.caller


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
