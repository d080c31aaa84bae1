"""Destination repositories as a policy wants them (ecr.md §1 R1, §6).

A repository may have been made by us, by a template of the registry (create-on-push) or by somebody else at the same
moment, so its settings are compared and never assumed. What differs is reported or mended, as the policy says. The
encryption of a repository cannot be changed by anybody.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of, row_of
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.listing import repository_paths
from transship.aws.locks import RepositoryLocks
from transship.aws.policy_document import PolicyDocument, equal_json
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Repository
from transship.promotion.desired import Encryption, RepositorySettings
from transship.promotion.policy import PromotionPolicy
from transship.refusals import Next

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_SHOWN = 120
_NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Drift:
    """One setting of a repository that is not as the policy wants it.

    Attributes:
        field: of `spec.destinationRepository`.
        found, wanted: for people.
        way_out: what to do when it cannot be mended from here.
    """

    field: str
    found: str
    wanted: str
    way_out: str = ""

    def __str__(self) -> str:
        way_out = f" ({self.way_out})" if self.way_out else ""
        return f"{self.field} is {_short(self.found)}, wanted {_short(self.wanted)}{way_out}"


@dataclass(frozen=True, slots=True)
class Observed:
    """The settings of a repository, as far as the policy speaks about them; None where nothing is set."""

    arn: str
    mutability: str = "MUTABLE"
    exclusions: frozenset[str] = frozenset()
    scan_on_push: bool = False
    encryption: Encryption = field(default_factory=Encryption)
    lifecycle_policy: str | None = None
    policy: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def creation(host: EcrHost, repository: Repository, settings: RepositorySettings) -> dict[str, Any]:
    """The arguments of CreateRepository."""
    arguments: dict[str, Any] = {"registryId": host.account, "repositoryName": repository.path}
    if settings.image_tag_mutability:
        arguments |= _mutability(settings)
    if settings.scan_on_push is not None:
        arguments["imageScanningConfiguration"] = {"scanOnPush": settings.scan_on_push}
    if settings.encryption:
        key = {"kmsKey": settings.encryption.kms_key} if settings.encryption.kms_key else {}
        arguments["encryptionConfiguration"] = {"encryptionType": settings.encryption.kind, **key}
    if settings.tags:
        arguments["tags"] = _tags(settings)
    return arguments


def compare(observed: Observed, settings: RepositorySettings) -> tuple[Drift, ...]:
    """What of a repository is not as wanted; settings that the policy does not name are not looked at."""
    return tuple(_compare(observed, settings))


def _compare(observed: Observed, settings: RepositorySettings) -> Iterator[Drift]:
    wanted = settings.image_tag_mutability
    if wanted and (observed.mutability, observed.exclusions) != (wanted, frozenset(settings.exclusions)):
        mode = _mode(observed.mutability, observed.exclusions)
        yield Drift("imageTagMutability", mode, _mode(wanted, settings.exclusions))
    if settings.scan_on_push not in {None, observed.scan_on_push}:
        yield Drift("scanOnPush", str(observed.scan_on_push).lower(), str(settings.scan_on_push).lower())
    if settings.encryption and not _is_encrypted_as(settings.encryption, observed.encryption):
        yield Drift(
            "encryption",
            _cipher(observed.encryption),
            _cipher(settings.encryption),
            "it is fixed when a repository is created: let the policy want what is there, or delete the repository and "
            "promote again",
        )
    if settings.lifecycle_policy and not _same(observed.lifecycle_policy, settings.lifecycle_policy, equal_json):
        yield Drift("lifecyclePolicy", observed.lifecycle_policy or _NOTHING, settings.lifecycle_policy)
    if settings.policy and not _same(observed.policy, settings.policy, _means):
        yield Drift("policy", observed.policy or _NOTHING, settings.policy)
    lacking = {key: each for key, each in sorted(settings.tags.items()) if observed.tags.get(key) != each}
    if lacking:
        found = {key: observed.tags[key] for key in lacking if key in observed.tags}
        yield Drift("tags", json.dumps(found), json.dumps(lacking))


def _same(found: str | None, wanted: str, equal: Callable[[str, str], bool]) -> bool:
    try:
        return found is not None and equal(found, wanted)
    except ValueError:
        return False


def _means(found: str, wanted: str) -> bool:
    # The repository may be the source of the next environment: our own statements in it are another policy's.
    return PolicyDocument.parse(found).without_ours.means(PolicyDocument.parse(wanted).without_ours)


def _is_encrypted_as(wanted: Encryption, found: Encryption) -> bool:
    if wanted.kind != found.kind:
        return False
    if not wanted.kms_key or not found.kms_key or wanted.kms_key.rpartition(":")[2].startswith("alias/"):
        return True  # an alias is not what AWS shows, and may lead elsewhere by now
    return wanted.kms_key.rpartition("/")[2] == found.kms_key.rpartition("/")[2]


def _mode(mutability: str, exclusions: Iterable[str]) -> str:
    listed = ", ".join(sorted(exclusions))
    return f"{mutability} except {listed}" if listed else mutability


def _cipher(encryption: Encryption) -> str:
    return f"{encryption.kind} with {encryption.kms_key}" if encryption.kms_key else encryption.kind


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _mutability(settings: RepositorySettings) -> dict[str, Any]:
    filters = [{"filterType": "WILDCARD", "filter": each} for each in settings.exclusions]
    return {"imageTagMutability": settings.image_tag_mutability} | (
        {"imageTagMutabilityExclusionFilters": filters} if filters else {}
    )


def _tags(settings: RepositorySettings) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(settings.tags.items())]


@dataclass(frozen=True, slots=True)
class _Opened:
    """One repository, and what the policy wants of it. Calls raise botocore's exceptions."""

    client: "ECRClient"
    host: EcrHost
    repository: Repository
    settings: RepositorySettings

    @property
    def _where(self) -> dict[str, Any]:
        return {"registryId": self.host.account, "repositoryName": self.repository.path}

    def describe(self) -> Mapping[str, Any] | None:
        """What DescribeRepositories says; None when the repository does not exist."""
        try:
            found = self.client.describe_repositories(
                registryId=self.host.account, repositoryNames=[self.repository.path]
            )
        except ClientError as error:
            if code_of(error) != "RepositoryNotFoundException":
                raise
            return None
        described: Mapping[str, Any] = found["repositories"][0]
        return described

    def create(self) -> bool:
        """Create it; False when somebody else was faster: what was asked for is there, perhaps otherwise."""
        try:
            self.client.create_repository(**creation(self.host, self.repository, self.settings))
        except ClientError as error:
            if row_of(error).next is not Next.CHECK:
                raise
            return False
        return True

    def observe(self, described: Mapping[str, Any]) -> Observed:
        """The settings as they are; those that take a call of their own only if the policy names them."""
        cipher = described.get("encryptionConfiguration", {})
        return Observed(
            arn=described["repositoryArn"],
            mutability=described.get("imageTagMutability", "MUTABLE"),
            exclusions=frozenset(each["filter"] for each in described.get("imageTagMutabilityExclusionFilters", [])),
            scan_on_push=described.get("imageScanningConfiguration", {}).get("scanOnPush", False),
            encryption=Encryption(cipher.get("encryptionType", "AES256"), cipher.get("kmsKey")),
            lifecycle_policy=self._lifecycle() if self.settings.lifecycle_policy else None,
            policy=self._policy() if self.settings.policy else None,
            tags=self._tags_of(described["repositoryArn"]) if self.settings.tags else {},
        )

    def _lifecycle(self) -> str | None:
        try:
            return self.client.get_lifecycle_policy(**self._where)["lifecyclePolicyText"]
        except ClientError as error:
            if code_of(error) != "LifecyclePolicyNotFoundException":
                raise
            return None

    def _policy(self) -> str | None:
        try:
            return self.client.get_repository_policy(**self._where)["policyText"]
        except ClientError as error:
            if code_of(error) != "RepositoryPolicyNotFoundException":
                raise
            return None

    def _tags_of(self, arn: str) -> dict[str, str]:
        return {each["Key"]: each["Value"] for each in self.client.list_tags_for_resource(resourceArn=arn)["tags"]}

    def mend(self, observed: Observed, drift: Drift) -> None:
        """Change one setting to what is wanted."""
        match drift.field:
            case "imageTagMutability":
                self.client.put_image_tag_mutability(**self._where, **_mutability(self.settings))
            case "scanOnPush":
                scanning: Any = {"scanOnPush": self.settings.scan_on_push}
                self.client.put_image_scanning_configuration(**self._where, imageScanningConfiguration=scanning)
            case "lifecyclePolicy":
                self.client.put_lifecycle_policy(
                    **self._where, lifecyclePolicyText=self.settings.lifecycle_policy or ""
                )
            case "policy":
                self.client.set_repository_policy(**self._where, policyText=self._wanted_policy(observed))
            case "tags":
                tags: Any = _tags(self.settings)
                self.client.tag_resource(resourceArn=observed.arn, tags=tags)

    def _wanted_policy(self, observed: Observed) -> str:
        wanted = PolicyDocument.parse(self.settings.policy or "").without_ours
        for statement in PolicyDocument.parse(observed.policy or "").ours:
            wanted = wanted.put(statement)
        return wanted.text


class _Zeal(Enum):
    """How far to go with what differs."""

    REPORT = "change nothing"
    COMPLETE = "set what is not set"
    MEND = "change whatever can be changed"


class Repositories:
    """Makes destination repositories what a policy wants. Thread-safe.

    Args:
        clients: of AWS.
        locks: shared with everybody in this process who edits repositories.
        resync: seconds for which `ensure` does not look at a repository again that was there and compared, unless it is
            said to be `gone` meanwhile.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self,
        clients: Clients,
        locks: RepositoryLocks,
        resync: float = 600.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._locks = locks
        self._resync = resync
        self._now = now
        self._lock = Lock()
        self._ensuring = RepositoryLocks()  # of many images that arrive at once, one looks and the others wait for it
        self._compared: dict[tuple[str, Repository], tuple[RepositorySettings, float]] = {}

    def ensure(self, policy: PromotionPolicy, repository: Repository) -> tuple[Drift, ...]:
        """Make a repository exist, if the policy says so, and look what of it is not as wanted.

        Safe against others who do the same at the same time. Whatever differs does not keep an image from coming.

        Raises:
            NeedsHuman: RepositoryMissing when it may not be created, or Denied.
            RetryLater: AWS cannot answer now.
        """
        with self._ensuring.hold(repository):
            if self._is_known(policy, repository):
                return ()
            opened = self._open(policy, repository)
            with aws_errors(f"look up the repository {repository}"):
                described = opened.describe()
            if described is None:
                return self._create(policy, opened)
            return self._attempt(policy, opened, described, _Zeal.REPORT)

    def gone(self, repository: Repository) -> None:
        """Hear that ECR does not know a repository (any more), so that the next `ensure` looks again."""
        with self._lock:
            for key in [key for key in self._compared if key[1] == repository]:
                del self._compared[key]

    def _is_known(self, policy: PromotionPolicy, repository: Repository) -> bool:
        with self._lock:
            settings, until = self._compared.get((policy.name, repository), (None, 0.0))
        return settings == policy.destination_repository and self._now() < until

    def look(self, policy: PromotionPolicy, repository: Repository) -> tuple[Drift, ...] | None:
        """What of a repository is not as wanted, after mending what may be mended; None when it does not exist.

        Raises:
            NeedsHuman, RetryLater: it cannot be looked at.
        """
        opened = self._open(policy, repository)
        with aws_errors(f"look up the repository {repository}"):
            described = opened.describe()
        if described is None:
            return None
        return self._settle(policy, opened, described, _Zeal.REPORT)

    def matching(self, policy: PromotionPolicy) -> Iterator[Repository]:
        """Every existing repository of the destination that the policy matches.

        Raises:
            NeedsHuman, RetryLater: the listing is denied, or AWS cannot answer now.
        """
        host, identity = EcrHost.of(policy.destination.registry), Identity.of(policy.name, policy.destination)
        if host is None:
            return
        for path in repository_paths(self._clients, identity, policy.destination.registry):
            repository = Repository(policy.destination.registry, path)
            name = policy.destination.name_of(repository)
            if name is not None and any(glob.matches(name) for glob in policy.repositories):
                yield repository

    def _open(self, policy: PromotionPolicy, repository: Repository) -> _Opened:
        host = EcrHost.of(repository.registry)
        if host is None:
            raise AssertionError("registries other than ECR have no settings")
        with aws_errors(f"look up the repository {repository}"):
            client = self._clients.ecr(Identity.of(policy.name, policy.destination), host)
        return _Opened(client, host, repository, policy.destination_repository)

    def _create(self, policy: PromotionPolicy, opened: _Opened) -> tuple[Drift, ...]:
        if not policy.destination_repository.create:
            raise NeedsHuman(
                Reason.REPOSITORY_MISSING,
                f"the repository {opened.repository} does not exist; create it, or set destinationRepository.create "
                "in the policy",
            )
        with aws_errors(f"create the repository {opened.repository}"):
            is_ours = opened.create()
            described = opened.describe()
        if described is None:
            return ()  # gone again, or not to be seen yet: pushing will tell
        # What CreateRepository does not take is still to be set. One that somebody else has made meanwhile, or we
        # ourselves in an attempt whose answer was lost, is completed, and not changed.
        return self._attempt(policy, opened, described, _Zeal.MEND if is_ours else _Zeal.COMPLETE)

    def _attempt(
        self, policy: PromotionPolicy, opened: _Opened, described: Mapping[str, Any], zeal: _Zeal
    ) -> tuple[Drift, ...]:
        """Settle, and have what goes wrong be part of what is found: the image can come all the same."""
        try:
            found = self._settle(policy, opened, described, zeal)
        except TransshipError as error:
            return (Drift("destinationRepository", "not to be looked at", "as in the policy", error.message),)
        with self._lock:
            self._compared[policy.name, opened.repository] = policy.destination_repository, self._now() + self._resync
        return found

    def _settle(
        self, policy: PromotionPolicy, opened: _Opened, described: Mapping[str, Any], zeal: _Zeal
    ) -> tuple[Drift, ...]:
        with self._locks.hold(opened.repository):
            with aws_errors(f"read the settings of {opened.repository}"):
                observed = opened.observe(described)
            zeal = _Zeal.MEND if policy.destination_repository.mend else zeal
            drifts = compare(observed, policy.destination_repository)
            return tuple(each for drift in drifts for each in _mended(opened, observed, drift, zeal))


def _mended(opened: _Opened, observed: Observed, drift: Drift, zeal: _Zeal) -> Iterator[Drift]:
    """Mend one difference; what is left of it."""
    may = zeal is _Zeal.MEND or (zeal is _Zeal.COMPLETE and drift.found == _NOTHING)
    if not may or drift.field == "encryption":
        yield drift
        return
    try:
        with aws_errors(f"set {drift.field} of {opened.repository}"):
            opened.mend(observed, drift)
    except TransshipError as error:
        yield Drift(drift.field, drift.found, drift.wanted, error.message)
