"""What every action has at hand, and the gate that every action passes."""

import copy
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

from ecr_twin import policy
from ecr_twin.authorization import Caller, Question, denial
from ecr_twin.backing import Backing
from ecr_twin.config import Config
from ecr_twin.directory import Clock, Directory
from ecr_twin.downloads import Downloads
from ecr_twin.errors import Refusal
from ecr_twin.events import Events
from ecr_twin.faults import Faults
from ecr_twin.history import History
from ecr_twin.images import Images
from ecr_twin.layers import Layers
from ecr_twin.ledger import Key, Ledger
from ecr_twin.limits import Buckets
from ecr_twin.names import Registry
from ecr_twin.pending import Pending
from ecr_twin.repositories import Repositories, Repository, missing
from ecr_twin.templates import Templates
from ecr_twin.tokens import Lifetime, Tokens

_NOTHING: Mapping[str, str] = {}
#: Names under which documents of a whole registry are kept among its settings.
REGISTRY_POLICY, SIGNING = "(registry policy)", "(signing configuration)"


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
        self.faults = Faults(config.faults)
        self.clock: Clock = lambda: clock() + self.faults.skew  # X9
        self.backing = backing
        #: The VPC endpoint behind a connection, by the port it comes from; kept by the proxy.
        self.endpoints: dict[int, str] = {}
        self.ledger = Ledger()
        self.events = Events(config.events, self.clock)
        self.history = History(connection)
        self.directory = Directory(config, connection, self.clock)
        self.tokens = Tokens(connection, self.directory, _lifetime(config), self.clock)
        self.downloads = Downloads(config.profile.blob_url_seconds, self.clock, config.canary)
        self.answer(config)
        self.open(connection)

    def answer(self, config: Config) -> None:
        """Answer from now on as a profile says; buckets are full again."""
        self.config = config
        self.profile = config.profile
        self.buckets = Buckets(config.limits)
        self.tokens.lifetime = _lifetime(config)
        self.downloads.seconds = config.profile.blob_url_seconds
        self.events.delivery = config.events

    def open(self, connection: sqlite3.Connection) -> None:
        """Build the tables over a database."""
        self.connection = connection
        self.repositories = Repositories(connection)
        self.images = Images(connection)
        self.layers = Layers(connection)
        self.templates = Templates(connection)
        self.pending = Pending(connection)

    def over(self, connection: sqlite3.Connection) -> Self:
        """Give the same services over another state of the database (X7)."""
        other = copy.copy(self)
        other.open(connection)
        return other

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
        arn = call.registry.repository_arn(name)
        self._require(self._question(call, action, arn, owner, document))
        if repository is None:
            raise missing(call.registry, name)
        return repository

    def authorize(self, call: Call, action: str, resource: str) -> None:
        """Refuse a call that no policy allows, for actions that need no existing repository (A9 with ``*``)."""
        self._require(self._question(call, action, resource, call.registry.account, None))

    def allows(self, caller: Caller, action: str, resource: str, context: Mapping[str, str] = _NOTHING) -> str | None:
        """Ask the caller's own policies about an action of another service; gives the denial, None for yes."""
        return denial(Question(caller, action, resource, caller.principal.account, context=context))

    def throttle(self, call: Call, action: str) -> None:
        """Refuse a call that comes too soon after others (Q1, Q2).

        Raises:
            Refusal: ThrottlingException.
        """
        caller_pays = self.profile.throttle_against == "caller"
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

    def _question(
        self, call: Call, action: str, resource: str, owner: str, document: policy.Document | None
    ) -> Question:
        # A5: in scope V1 a registry policy speaks of replication only, which the twin does not do.
        text = ""
        if resource != "*" and self.setting(call.registry, "REGISTRY_POLICY_SCOPE", "V1") == "V2":
            text = self.setting(call.registry, REGISTRY_POLICY, "")
        return Question(
            caller=call.caller,
            action=action,
            resource=resource,
            owner=owner,
            policy=document,
            registry_policy=policy.parse(text, "registry") if text else None,
            registry_policy_grants=self.profile.registry_policy_allows == "grants",
        )

    @staticmethod
    def _require(question: Question) -> None:
        reason = denial(question)
        if reason is not None:
            raise Refusal("AccessDeniedException", reason)


def _lifetime(config: Config) -> Lifetime:
    return Lifetime(config.token_lifetime_seconds, config.profile.token_outlives_session, config.canary)


@lru_cache(maxsize=1024)
def _parse(text: str) -> policy.Document:
    return policy.parse(text, "repository")
