"""Repositories: their settings and policies, as rows."""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecr_twin.errors import Refusal
from ecr_twin.names import Registry

#: The model's pattern, plus the documented rule that a name starts with a letter (R2, facts §1).
_NAME = re.compile(
    r"(?=.{2,256}$)[a-z][a-z0-9]*(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_JSON = ("exclusion_filters", "encryption", "tags")
_UPDATABLE = frozenset(("mutability", "exclusion_filters", "tags", "lifecycle_policy", "scan_on_push"))


def is_repository_name(name: str) -> bool:
    """Tell whether ECR would take the name (R2)."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository as it is now.

    Attributes:
        exclusion_filters: wildcard patterns that turn the mutability round for matching tags (M4).
        policy: the repository policy's JSON text, as it was set.
    """

    id: int
    registry: Registry
    name: str
    created_at: float
    mutability: str = "MUTABLE"
    exclusion_filters: Sequence[str] = ()
    scan_on_push: bool = False
    encryption: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    policy: str | None = None
    lifecycle_policy: str | None = None
    former_policy: str | None = None
    policy_set_at: float = 0.0

    def policy_in_force(self, now: float, lag: float) -> str | None:
        """Give the policy that decides calls: the former one until the newest has had time to spread (R5)."""
        return self.policy if now >= self.policy_set_at + lag else self.former_policy

    @property
    def arn(self) -> str:
        """The ARN that policies use."""
        return self.registry.repository_arn(self.name)

    @property
    def namespace(self) -> str:
        """Where the repository's bytes live in the distribution process."""
        return f"{self.registry.account}/{self.registry.region}/{self.name}"

    def tag_is_immutable(self, tag: str) -> bool:
        """Tell whether an existing tag may not move: a matching filter inverts the base mode (M4, facts §1)."""
        excluded = any(_filter_matches(pattern, tag) for pattern in self.exclusion_filters)
        return self.mutability.startswith("IMMUTABLE") != excluded


def _filter_matches(pattern: str, tag: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), tag) is not None


class Repositories:
    """The table of repositories."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, registry: Registry, name: str) -> Repository | None:
        """Look a repository up by name."""
        row = self._connection.execute(
            "SELECT * FROM repositories WHERE account = ? AND region = ? AND name = ?",
            (registry.account, registry.region, name),
        ).fetchone()
        return _repository(row) if row else None

    def get(self, registry: Registry, name: str) -> Repository:
        """Look a repository up by name, or refuse as ECR does (R1, fact 5)."""
        found = self.find(registry, name)
        if found is None:
            raise missing(registry, name)
        return found

    def by_id(self, repository_id: int) -> Repository | None:
        """Look a repository up by its row id."""
        row = self._connection.execute("SELECT * FROM repositories WHERE id = ?", (repository_id,)).fetchone()
        return _repository(row) if row else None

    def page(self, registry: Registry, after: str, limit: int) -> list[Repository]:
        """List repositories in the order of their names, starting after one."""
        rows = self._connection.execute(
            "SELECT * FROM repositories WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
            (registry.account, registry.region, after, limit),
        )
        return [_repository(row) for row in rows]

    def create(self, wanted: Repository) -> Repository:
        """Create a repository; its ``id`` is ignored.

        Raises:
            Refusal: RepositoryAlreadyExistsException (R3), InvalidParameterException for the name (R2).
        """
        registry, name = wanted.registry, wanted.name
        if not is_repository_name(name):
            raise Refusal(
                "InvalidParameterException",
                "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must start with a letter and "
                "can only contain lowercase letters, numbers, hyphens, underscores, periods and forward slashes'",
            )
        try:
            self._connection.execute(
                "INSERT INTO repositories (account, region, name, created_at, mutability, exclusion_filters,"
                " scan_on_push, encryption, tags, policy) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    registry.account, registry.region, name, wanted.created_at, wanted.mutability,
                    json.dumps(list(wanted.exclusion_filters)), wanted.scan_on_push,
                    json.dumps(wanted.encryption or {"encryptionType": "AES256"}), json.dumps(dict(wanted.tags or {})),
                    wanted.policy,
                ),
            )  # fmt: skip
        except sqlite3.IntegrityError as error:
            raise Refusal(
                "RepositoryAlreadyExistsException",
                f"The repository with name '{name}' already exists in the registry with id '{registry.account}'",
            ) from error
        return self.get(registry, name)

    def set_policy(self, repository: Repository, text: str | None, now: float, lag: float) -> None:
        """Replace the policy's text, None for no policy; what was in force so far stays so for the lag (R5)."""
        self._connection.execute(
            "UPDATE repositories SET former_policy = ?, policy_set_at = ?, policy = ? WHERE id = ?",
            (repository.policy_in_force(now, lag), now, text, repository.id),
        )

    def rename_principal(self, arn: str, unique: str) -> None:
        """Show a deleted principal by its unique id in every policy (R4)."""
        for column in ("policy", "former_policy"):
            self._connection.execute(
                f"UPDATE repositories SET {column} = replace({column}, ?, ?)",  # noqa: S608 - from the line above
                (json.dumps(arn), json.dumps(unique)),
            )

    def update(self, repository: Repository, **changes: Any) -> Repository:
        """Change columns of a repository."""
        if unknown := set(changes) - _UPDATABLE:
            raise AssertionError(unknown)
        for column, value in changes.items():
            stored = json.dumps(value) if column in _JSON else value
            self._connection.execute(
                f"UPDATE repositories SET {column} = ? WHERE id = ?",  # noqa: S608 - column is one of _UPDATABLE
                (stored, repository.id),
            )
        return self.get(repository.registry, repository.name)

    def delete(self, repository: Repository) -> None:
        """Forget a repository and everything in it; the bytes stay behind, unreachable."""
        self._connection.execute("DELETE FROM repositories WHERE id = ?", (repository.id,))


def missing(registry: Registry, name: str) -> Refusal:
    """Build the refusal for a repository that is not there (fact 5)."""
    return Refusal(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{registry.account}'",
    )


def _repository(row: sqlite3.Row) -> Repository:
    return Repository(
        id=row["id"],
        registry=Registry(row["account"], row["region"]),
        name=row["name"],
        created_at=row["created_at"],
        mutability=row["mutability"],
        exclusion_filters=tuple(json.loads(row["exclusion_filters"])),
        scan_on_push=bool(row["scan_on_push"]),
        encryption=json.loads(row["encryption"]),
        tags=json.loads(row["tags"]),
        policy=row["policy"],
        lifecycle_policy=row["lifecycle_policy"],
        former_policy=row["former_policy"],
        policy_set_at=row["policy_set_at"],
    )
