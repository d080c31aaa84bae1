"""The configuration: Regions, accounts, their users, roles and repositories, and the answers to open questions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ecr_twin import policy
from ecr_twin.errors import ConfigError
from ecr_twin.limits import OFF, PUBLISHED, Limits
from ecr_twin.names import Registry

_ACCOUNT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Profile:
    """Answers to questions that only a real account settles ([?] in the facts); both answers are plausible.

    Attributes:
        expired_body: A3; ``json`` or ``text`` body of the 403.
        tag_invalid_status: M4; HTTP status of TAG_INVALID.
        same_digest_on_immutable_tag: M4; ``refuse`` or ``accept`` a v2 re-push of the very same manifest.
        missing_repository_across_accounts: ``denied`` (403, nothing can allow it) or ``not-found`` (404) when the
            caller's identity policy allows the action.
        token_outlives_session: A8; whether a token stays good after the STS session that minted it has ended.
        referrers_over_http: F2; ``whole`` list at once, or ``pages`` of 50 with a Link.
        policy_lag_seconds: R5; how long calls are still decided by the policy before the newest one.
        subject_must_exist: F1; whether a manifest whose subject is absent is refused.
        blob_url_seconds: B1; life of a download URL.
    """

    expired_body: str = "json"
    tag_invalid_status: int = 400
    same_digest_on_immutable_tag: str = "refuse"
    missing_repository_across_accounts: str = "denied"
    token_outlives_session: bool = True
    referrers_over_http: str = "whole"
    policy_lag_seconds: int = 0
    subject_must_exist: bool = False
    blob_url_seconds: int = 3599


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user with a long-lived access key."""

    account: str
    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    policies: tuple[policy.Document, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role."""

    account: str
    name: str
    trust: policy.Document
    policies: tuple[policy.Document, ...]
    max_session_seconds: int

    @property
    def arn(self) -> str:
        """The role's ARN, in the aws partition."""
        return f"arn:aws:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """A repository that exists when the twin starts."""

    registry: Registry
    name: str
    mutability: str
    exclusion_filters: tuple[str, ...]
    policy: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account."""

    id: str
    organization: str | None
    users: tuple[User, ...]
    roles: tuple[Role, ...]
    repositories: tuple[RepositorySpec, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the twin is told at the start."""

    regions: tuple[str, ...]
    accounts: Mapping[str, Account]
    token_lifetime_seconds: int = 43200
    profile: Profile = Profile()
    limits: Limits = OFF


def load(source: Config | Mapping[str, Any] | Path) -> Config:
    """Read a configuration from a YAML file, or from the object such a file holds.

    Raises:
        ConfigError: naming the place and what is wrong with it.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, Path):
        source = yaml.safe_load(source.read_text(encoding="utf-8"))
    top = _Node(source, "the configuration")
    regions = tuple(top.take("regions", list))
    if not regions:
        raise ConfigError("The configuration names no Region.")
    accounts = {
        account_id: _account(account_id, value, regions) for account_id, value in top.take("accounts", dict).items()
    }
    lifetime = top.take("tokenLifetimeSeconds", int, 43200)
    profile = _profile(top.node("profile"))
    rates = _limits(top)
    top.done()
    _unique_keys(accounts)
    return Config(regions, accounts, lifetime, profile, rates)


class _Node:
    """A mapping whose keys are taken one by one; what is left over is a spelling mistake."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where[0].upper()}{where[1:]} is not a mapping.")
        self._left = dict(value)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        if key not in self._left:
            if default is ...:
                raise ConfigError(f"{self.where[0].upper()}{self.where[1:]} lacks {key}.")
            return default
        value = self._left.pop(key)
        if not isinstance(value, kind):
            raise ConfigError(
                f"{key} of {self.where} must be of type {getattr(kind, '__name__', 'number')}, not {value!r}."
            )
        return value

    def node(self, key: str) -> "_Node":
        return _Node(self.take(key, dict, {}), f"{key} of {self.where}")

    def nodes(self, key: str) -> list["_Node"]:
        return [_Node(item, f"{key}[{index}] of {self.where}") for index, item in enumerate(self.take(key, list, []))]

    def document(self, key: str, kind: policy.Kind) -> policy.Document:
        return self._parse(self.take(key, dict), key, kind)

    def documents(self, key: str) -> tuple[policy.Document, ...]:
        return tuple(self._parse(item, key, "identity") for item in self.take(key, list, []))

    def _parse(self, item: Any, key: str, kind: policy.Kind) -> policy.Document:
        try:
            return policy.parse(item, kind)
        except policy.PolicyError as error:
            raise ConfigError(f"{key} of {self.where}: {error}") from error

    def done(self) -> None:
        if self._left:
            raise ConfigError(f"{min(self._left)} is not a setting of {self.where}.")


def _account(account_id: str, value: Any, regions: tuple[str, ...]) -> Account:
    if not (isinstance(account_id, str) and account_id.isdigit() and len(account_id) == _ACCOUNT_DIGITS):
        raise ConfigError(f"{account_id!r} is not an account id: quote its twelve digits.")
    node = _Node(value, f"account {account_id}")
    account = Account(
        id=account_id,
        organization=node.take("organization", str, None),
        users=tuple(_user(account_id, item) for item in node.nodes("users")),
        roles=tuple(_role(account_id, item) for item in node.nodes("roles")),
        repositories=tuple(_repository(account_id, item, regions) for item in node.nodes("repositories")),
        settings=node.take("settings", dict, {}),
    )
    node.done()
    return account


def _user(account: str, node: _Node) -> User:
    user = User(
        account=account,
        name=node.take("name", str),
        access_key_id=node.take("accessKeyId", str),
        secret_access_key=node.take("secretAccessKey", str),
        policies=node.documents("policies"),
    )
    node.done()
    return user


def _role(account: str, node: _Node) -> Role:
    role = Role(
        account=account,
        name=node.take("name", str),
        trust=node.document("trust", "trust"),
        policies=node.documents("policies"),
        max_session_seconds=node.take("maxSessionSeconds", int, 3600),
    )
    node.done()
    return role


def _repository(account: str, node: _Node, regions: tuple[str, ...]) -> RepositorySpec:
    region = node.take("region", str, regions[0])
    if region not in regions:
        raise ConfigError(f"The region {region} of {node.where} is not among the configured regions.")
    spec = RepositorySpec(
        registry=Registry(account, region),
        name=node.take("name", str),
        mutability=node.take("imageTagMutability", str, "MUTABLE"),
        exclusion_filters=tuple(node.take("imageTagMutabilityExclusionFilters", list, [])),
        policy=node.take("policy", dict, None),
    )
    node.done()
    return spec


def _profile(node: _Node) -> Profile:
    given = {}
    for item in fields(Profile):
        head, *tail = item.name.split("_")
        key = head + "".join(part.capitalize() for part in tail)
        given[item.name] = node.take(key, type(item.default), item.default)
    node.done()
    _one_of(given, "expired_body", "json", "text")
    _one_of(given, "same_digest_on_immutable_tag", "refuse", "accept")
    _one_of(given, "referrers_over_http", "whole", "pages")
    _one_of(given, "missing_repository_across_accounts", "denied", "not-found")
    return Profile(**given)


def _limits(top: _Node) -> Limits:
    if not top.has("limits"):
        return OFF
    node = top.node("limits")
    scale = node.take("scale", (int, float), 1)
    rates = {action: rate * scale for action, rate in PUBLISHED.items()} | node.take("rates", dict, {})
    given = {"against": node.take("against", str, "registry")}
    _one_of(given, "against", "registry", "caller")
    retry_after = node.take("retryAfterSeconds", int, 0)
    node.done()
    return Limits(rates, given["against"], retry_after)


def _one_of(given: Mapping[str, Any], name: str, *values: str) -> None:
    if given[name] not in values:
        raise ConfigError(f"{name} of the profile must be one of {', '.join(values)}, not {given[name]!r}.")


def _unique_keys(accounts: Mapping[str, Account]) -> None:
    keys = [user.access_key_id for account in accounts.values() for user in account.users]
    if len(keys) != len(set(keys)):
        raise ConfigError("Two users share an access key id.")
