"""What every action has at hand, and the gate that every action passes."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ecr_twin import policy
from ecr_twin.authorization import Caller, Question, denial
from ecr_twin.backing import Backing
from ecr_twin.config import Config
from ecr_twin.directory import Clock, Directory
from ecr_twin.downloads import Downloads
from ecr_twin.errors import Refusal
from ecr_twin.images import Images
from ecr_twin.layers import Layers
from ecr_twin.ledger import Key, Ledger
from ecr_twin.limits import Buckets
from ecr_twin.names import Registry
from ecr_twin.repositories import Repositories, Repository, missing
from ecr_twin.tokens import Lifetime, Tokens


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, and which registry is meant."""

    caller: Caller
    registry: Registry

    def key(self, action: str) -> Key:
        """Name the row of the ledger this call belongs to."""
        return Key(self.registry.account, self.registry.region, action, self.caller.principal.arn)


class Services:
    """The parts of the twin, built once."""

    def __init__(self, config: Config, connection: sqlite3.Connection, backing: Backing, clock: Clock) -> None:
        self.config = config
        self.profile = config.profile
        self.clock = clock
        self.connection = connection
        self.backing = backing
        self.ledger = Ledger()
        self.buckets = Buckets(config.limits)
        self.repositories = Repositories(connection)
        self.images = Images(connection)
        self.layers = Layers(connection)
        self.directory = Directory(config, connection, clock)
        lifetime = Lifetime(config.token_lifetime_seconds, self.profile.token_outlives_session)
        self.tokens = Tokens(connection, self.directory, lifetime, clock)
        self.downloads = Downloads(self.profile.blob_url_seconds, clock)

    def admit(self, call: Call, action: str, name: str) -> Repository:
        """Let a call through to a repository, or refuse it (A5, A7, R1).

        Raises:
            Refusal: AccessDeniedException or RepositoryNotFoundException.
        """
        repository = self.repositories.find(call.registry, name)
        lag = self.profile.policy_lag_seconds
        text = repository.policy_in_force(self.clock(), lag) if repository else None
        document = _parse(text) if text else None
        owner = call.registry.account
        if repository is None and self.profile.missing_repository_across_accounts == "not-found":
            owner = call.caller.principal.account
        self._require(Question(call.caller, action, call.registry.repository_arn(name), owner, document))
        if repository is None:
            raise missing(call.registry, name)
        return repository

    def authorize(self, call: Call, action: str, resource: str) -> None:
        """Refuse a call that no policy allows, for actions that need no existing repository (A9 with ``*``)."""
        self._require(Question(call.caller, action, resource, call.registry.account))

    def throttle(self, call: Call, action: str) -> None:
        """Refuse a call that comes too soon after others (Q1, Q2).

        Raises:
            Refusal: ThrottlingException.
        """
        caller_pays = self.config.limits.against == "caller"
        account = call.caller.principal.account if caller_pays else call.registry.account
        self.buckets.take(account, call.registry.region, action, self.clock())

    def time(self, seconds: float) -> datetime:
        """Turn stored seconds into what responses carry."""
        return datetime.fromtimestamp(seconds, UTC)

    def setting(self, registry: Registry, name: str, default: str) -> str:
        """Read an account setting of a registry."""
        row = self.connection.execute(
            "SELECT value FROM settings WHERE account = ? AND region = ? AND name = ?",
            (registry.account, registry.region, name),
        ).fetchone()
        return str(row["value"]) if row else default

    def set_setting(self, registry: Registry, name: str, value: str) -> None:
        """Write an account setting of a registry."""
        self.connection.execute(
            "INSERT OR REPLACE INTO settings (account, region, name, value) VALUES (?, ?, ?, ?)",
            (registry.account, registry.region, name, value),
        )

    @staticmethod
    def _require(question: Question) -> None:
        reason = denial(question)
        if reason is not None:
            raise Refusal("AccessDeniedException", reason)


@lru_cache(maxsize=1024)
def _parse(text: str) -> policy.Document:
    return policy.parse(text, "repository")
