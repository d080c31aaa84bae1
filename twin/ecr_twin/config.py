"""The configuration: Regions, accounts, their users, roles and repositories, and the answers to open questions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ecr_twin import policy, profile
from ecr_twin.errors import ConfigError
from ecr_twin.events import PERFECT, Delivery
from ecr_twin.faults import Fault
from ecr_twin.faults import read as read_fault
from ecr_twin.limits import OFF, PUBLISHED, Limits
from ecr_twin.names import Registry, partition
from ecr_twin.profile import DEFAULT, Profile
from ecr_twin.web_identity import Provider

_ACCOUNT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user with a long-lived access key."""

    account: str
    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    policies: tuple[policy.Document, ...]
    partition: str = "aws"


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role.

    Attributes:
        path: part of the role's ARN; the ARN of its sessions does not show it.
        known_after_seconds: R4; for so long after the twin's start, policies cannot name it ("Principal not found").
    """

    account: str
    name: str
    trust: policy.Document
    policies: tuple[policy.Document, ...]
    max_session_seconds: int
    known_after_seconds: float = 0.0
    partition: str = "aws"
    path: str = "/"

    @property
    def arn(self) -> str:
        """The role's ARN."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.path}{self.name}"


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
    """An AWS account.

    Attributes:
        partition: of its users' and roles' ARNs.
        confined: whether its credentials are known in that partition only, as AWS has it (facts §6). So it is when the
            configuration names the partition; an account that does not is one id for all configured Regions.
    """

    id: str
    organization: str | None
    users: tuple[User, ...]
    roles: tuple[Role, ...]
    repositories: tuple[RepositorySpec, ...]
    settings: Mapping[str, str]
    partition: str = "aws"
    confined: bool = False
    providers: tuple[Provider, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the twin is told at the start.

    Attributes:
        signing_seconds: F4; how long after a push a managed signature appears.
        canary: a word that is part of every token, session key and presigned URL; see `canary`.
        cleanup_seconds: F5; how long after its subject a referrer is removed.
    """

    regions: tuple[str, ...]
    accounts: Mapping[str, Account]
    token_lifetime_seconds: int = 43200
    profile: Profile = DEFAULT
    limits: Limits = OFF
    faults: tuple[Fault, ...] = ()
    events: Delivery = PERFECT
    signing_seconds: float = 5.0
    cleanup_seconds: float = 86400.0
    canary: str = ""


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
    answers = profile.read(top.take("profile", (dict, str), {}))
    config = Config(
        regions=regions,
        accounts=accounts,
        token_lifetime_seconds=lifetime,
        profile=answers,
        limits=_limits(top, answers),
        faults=tuple(read_fault(item) for item in top.take("faults", list, [])),
        events=_events(top.node("events"), answers),
        signing_seconds=top.take("signingSeconds", (int, float), 5.0),
        cleanup_seconds=top.take("cleanupSeconds", (int, float), 86400.0),
        canary=top.take("canary", str, ""),
    )
    top.done()
    _unique_keys(accounts)
    return config


def read_role(account: Account, value: Mapping[str, Any]) -> Role:
    """Read one role of an account, as the configuration has it.

    Raises:
        ConfigError: naming what is wrong with it.
    """
    return _role(account.id, account.partition, _Node(value, f"a role of account {account.id}"))


def under(config: Config, answers: Profile) -> Config:
    """The same configuration with other answers to the open questions."""
    return replace(
        config,
        profile=answers,
        limits=config.limits.under(answers.token_bucket),
        events=replace(config.events, referrer_events=answers.referrer_events),
    )


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
    confined = node.has("partition")
    where = node.take("partition", str, partition(regions[0]))
    account = Account(
        id=account_id,
        organization=node.take("organization", str, None),
        partition=where,
        confined=confined,
        providers=tuple(_provider(account_id, where, item) for item in node.nodes("identityProviders")),
        users=tuple(_user(account_id, where, item) for item in node.nodes("users")),
        roles=tuple(_role(account_id, where, item) for item in node.nodes("roles")),
        repositories=tuple(_repository(account_id, item, regions) for item in node.nodes("repositories")),
        settings=node.take("settings", dict, {}),
    )
    node.done()
    return account


def _provider(account: str, where: str, node: _Node) -> Provider:
    url = node.take("url", str)
    provider = Provider(
        arn=f"arn:{where}:iam::{account}:oidc-provider/{url.removeprefix('https://')}",
        url=url,
        audiences=frozenset(node.take("audiences", list, ["sts.amazonaws.com"])),
        public_key=node.take("publicKey", str),
    )
    node.done()
    return provider


def _user(account: str, where: str, node: _Node) -> User:
    user = User(
        account=account,
        partition=where,
        name=node.take("name", str),
        access_key_id=node.take("accessKeyId", str),
        secret_access_key=node.take("secretAccessKey", str),
        policies=node.documents("policies"),
    )
    node.done()
    return user


def _role(account: str, where: str, node: _Node) -> Role:
    role = Role(
        account=account,
        partition=where,
        known_after_seconds=node.take("knownAfterSeconds", (int, float), 0.0),
        path=_path(node),
        name=node.take("name", str),
        trust=node.document("trust", "trust"),
        policies=node.documents("policies"),
        max_session_seconds=node.take("maxSessionSeconds", int, 3600),
    )
    node.done()
    return role


def _path(node: _Node) -> str:
    path = node.take("path", str, "/")
    if not (path.startswith("/") and path.endswith("/")):
        raise ConfigError(f"The path {path!r} of {node.where} does not begin and end with a slash.")
    return str(path)


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


def _limits(top: _Node, answers: Profile) -> Limits:
    if not top.has("limits"):
        return OFF
    node = top.node("limits")
    scale = node.take("scale", (int, float), 1)
    given = node.take("rates", dict, {})
    rates = {action: rate * scale for action, rate in PUBLISHED.items()} | given
    node.done()
    return Limits(rates, scale=scale, given=frozenset(given)).under(answers.token_bucket)


def _events(node: _Node, answers: Profile) -> Delivery:
    file = node.take("file", str, None)
    shares = {name: node.take(name, (int, float), 0.0) for name in ("drop", "duplicate", "reorder")}
    delivery = Delivery(
        file=Path(file) if file else None,
        seed=node.take("seed", int, 0),
        referrer_events=answers.referrer_events,
        **shares,
    )
    node.done()
    return delivery


def _unique_keys(accounts: Mapping[str, Account]) -> None:
    keys = [user.access_key_id for account in accounts.values() for user in account.users]
    if len(keys) != len(set(keys)):
        raise ConfigError("Two users share an access key id.")
