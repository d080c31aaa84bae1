"""Work that ECR does by itself later, as rows; `due` does it."""

import sqlite3
from dataclasses import dataclass

from ecr_twin.repositories import Repository


@dataclass(frozen=True, slots=True)
class Signing:
    """One signature asked for by a rule of the signing configuration."""

    repository_id: int
    digest: str
    profile_arn: str
    due_at: float
    failure: str | None = None
    done: bool = False


class Pending:
    """The tables of work that waits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def sign_later(self, signing: Signing) -> None:
        """Ask for a signature, or record why there will be none."""
        self._connection.execute(
            "INSERT OR REPLACE INTO signings (repository, digest, profile_arn, due_at, failure, done)"
            " VALUES (?, ?, ?, ?, ?, 0)",
            (signing.repository_id, signing.digest, signing.profile_arn, signing.due_at, signing.failure),
        )

    def signings(self, repository: Repository, digest: str) -> list[Signing]:
        """List the signatures asked for an image."""
        rows = self._connection.execute(
            "SELECT * FROM signings WHERE repository = ? AND digest = ?", (repository.id, digest)
        )
        return [_signing(row) for row in rows]

    def clean_later(self, repository: Repository, subject: str, due_at: float) -> None:
        """Ask for the removal of a subject's referrers."""
        self._connection.execute(
            "INSERT INTO cleanings (repository, subject, due_at) VALUES (?, ?, ?)", (repository.id, subject, due_at)
        )

    def take_signings(self, now: float) -> list[Signing]:
        """Take the signatures whose time has come."""
        rows = self._connection.execute(
            "UPDATE signings SET done = 1 WHERE due_at <= ? AND done = 0 AND failure IS NULL RETURNING *", (now,)
        )
        return [_signing(row) for row in rows.fetchall()]

    def take_cleanings(self, now: float) -> list[tuple[int, str]]:
        """Take the subjects whose referrers go now."""
        rows = self._connection.execute("DELETE FROM cleanings WHERE due_at <= ? RETURNING *", (now,))
        return [(row["repository"], row["subject"]) for row in rows.fetchall()]


def _signing(row: sqlite3.Row) -> Signing:
    return Signing(
        row["repository"], row["digest"], row["profile_arn"], row["due_at"], row["failure"], bool(row["done"])
    )
