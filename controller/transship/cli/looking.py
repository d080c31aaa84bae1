"""Registries for somebody who only looks: what promoting would write beside images is noted, and not written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any

from transship.aws.hosts import EcrHost
from transship.aws.locks import RepositoryLocks
from transship.cli.ecr_repository import EcrRepository
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Repository
from transship.oci.store import Destination, Source
from transship.promotion.policy import PromotionPolicy


@dataclass(frozen=True, slots=True)
class Grant:
    """A statement that the policy of a source repository lacks, or that nobody could look for.

    Attributes:
        statement: what is to be added; None where that is not known.
        problem: why it is not known.
    """

    repository: Repository
    statement: Mapping[str, Any] | None = None
    problem: str = ""


class Standing(StrEnum):
    """How a destination repository stands."""

    THERE = "there"
    TO_CREATE = "to create"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Looking:
    """Implements `promotion.ports.Registries` without writing. Thread-safe."""

    def __init__(self, registries: AwsRegistries) -> None:
        self._registries = registries
        self._locks = RepositoryLocks()
        self._lock = Lock()
        self._grants: dict[tuple[str, Repository], Grant | None] = {}
        self._standings: dict[tuple[str, Repository], Standing] = {}

    def prepare_source(self, policy: PromotionPolicy, repository: Repository) -> None:
        """Look whether the source can be made readable, see `Registries`."""
        key = policy.name, repository
        if not policy.source_access.manage_policy or EcrHost.of(repository.registry) is None:
            return
        with self._locks.hold(repository):
            if key in self._grants:
                return
            found = self._look(policy, repository)
            with self._lock:
                self._grants[key] = found

    def source(self, policy: PromotionPolicy, repository: Repository) -> Source:
        """See `Registries`."""
        return self._registries.source(policy, repository)

    def destination(self, policy: PromotionPolicy, repository: Repository) -> Destination:
        """See `Registries`; nobody writes to it who only plans."""
        return self._registries.destination(policy, repository)

    def ensure_repository(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See `Registries`; who only plans never comes here."""
        raise AssertionError(f"{repository} of {policy.name} was to be looked at, not made")

    def grant(self, policy: PromotionPolicy, repository: Repository) -> Grant | None:
        """What was found about the statement of a source repository; None when nothing is to be done."""
        with self._lock:
            return self._grants.get((policy.name, repository))

    def standing(self, policy: PromotionPolicy, repository: Repository) -> Standing:
        """How a destination repository stands; registries other than ECR make theirs by themselves."""
        key = policy.name, repository
        if key not in self._standings:
            self._standings[key] = self._stands(policy, repository)
        return self._standings[key]

    def _stands(self, policy: PromotionPolicy, repository: Repository) -> Standing:
        store = self._registries.destination(policy, repository)
        if not isinstance(store, EcrRepository):
            return Standing.THERE
        try:
            if store.exists():
                return Standing.THERE
        except TransshipError:
            return Standing.UNKNOWN
        return Standing.TO_CREATE if policy.destination_repository.create else Standing.MISSING

    def _look(self, policy: PromotionPolicy, repository: Repository) -> Grant | None:
        access = self._registries.source_access
        try:
            grant = access.grant(policy)
            if grant is None or not (edit := access.plan(policy, repository, grant)).is_needed:
                return None
        except NeedsHuman as error:
            # Whoever looks for the image in a repository that is not there says so, with its name.
            return None if error.reason is Reason.SOURCE_MISSING else Grant(repository, problem=error.message)
        except TransshipError as error:
            return Grant(repository, problem=error.message)
        return Grant(repository, edit.grant.statement())
