"""Images: manifests, their tags, what they use, and who refers to them, as rows.

Bytes are not here; see `backing`.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ecr_twin.manifests import Manifest
from ecr_twin.repositories import Repository


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest of a repository; times are seconds since the epoch."""

    digest: str
    media_type: str
    artifact_type: str | None
    manifest_size: int
    image_size: int
    subject: str | None
    pushed_at: float
    pulled_at: float | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    archived_at: float | None = None
    activated_at: float | None = None
    active_at: float | None = None

    def status(self, now: float) -> str:
        """Give the image's status as the model spells it (M7); ``active_at`` is None while it is archived."""
        if self.archived_at is None:
            return "ACTIVE"
        if self.active_at is None:
            return "ARCHIVED"
        return "ACTIVE" if now >= self.active_at else "ACTIVATING"


class Images:
    """The tables of images, tags and uses."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, repository: Repository, digest: str) -> Image | None:
        """Look an image up by digest."""
        row = self._connection.execute(
            "SELECT * FROM images WHERE repository = ? AND digest = ?", (repository.id, digest)
        ).fetchone()
        return _image(row) if row else None

    def resolve(self, repository: Repository, tag: str) -> str | None:
        """Give the digest a tag points to."""
        row = self._connection.execute(
            "SELECT digest FROM tags WHERE repository = ? AND tag = ?", (repository.id, tag)
        ).fetchone()
        return str(row["digest"]) if row else None

    def tags_of(self, repository: Repository, digest: str) -> list[str]:
        """List the tags that point to a digest."""
        rows = self._connection.execute(
            "SELECT tag FROM tags WHERE repository = ? AND digest = ? ORDER BY tag", (repository.id, digest)
        )
        return [row["tag"] for row in rows]

    def all_tags(self, repository: Repository) -> dict[str, str]:
        """Give every tag of a repository with its digest."""
        rows = self._connection.execute("SELECT tag, digest FROM tags WHERE repository = ?", (repository.id,))
        return {row["tag"]: row["digest"] for row in rows}

    def all(self, repository: Repository) -> list[Image]:
        """List every image of a repository."""
        rows = self._connection.execute("SELECT * FROM images WHERE repository = ?", (repository.id,))
        return [_image(row) for row in rows]

    def absent(self, repository: Repository, digests: Iterable[str]) -> list[str]:
        """List those of the digests that are no image of the repository."""
        return [digest for digest in digests if self.find(repository, digest) is None]

    def add(self, repository: Repository, manifest: Manifest, pushed_at: float) -> None:
        """Record an image; a manifest that is already there keeps its push time."""
        self._connection.execute(
            "INSERT OR IGNORE INTO images (repository, digest, media_type, artifact_type, annotations, manifest_size,"
            " image_size, subject, pushed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                repository.id, manifest.digest, manifest.media_type, manifest.artifact_type,
                json.dumps(dict(manifest.annotations)), len(manifest.body), manifest.image_size, manifest.subject,
                pushed_at,
            ),
        )  # fmt: skip
        self._connection.executemany(
            "INSERT OR IGNORE INTO uses (repository, parent, child) VALUES (?, ?, ?)",
            [(repository.id, manifest.digest, child) for child in (*manifest.blobs, *manifest.children)],
        )

    def status(self, repository: Repository, digest: str, now: float) -> str:
        """Give the status of an image that exists (M7)."""
        image = self.find(repository, digest)
        return image.status(now) if image else "ACTIVE"

    def archive(self, repository: Repository, digest: str, now: float) -> None:
        """Move an image into the archive (M7)."""
        self._connection.execute(
            "UPDATE images SET archived_at = ?, active_at = NULL WHERE repository = ? AND digest = ?",
            (now, repository.id, digest),
        )

    def activate(self, repository: Repository, digest: str, active_at: float, now: float) -> None:
        """Bring an image back from the archive; it can be pulled from ``active_at`` on."""
        self._connection.execute(
            "UPDATE images SET activated_at = ?, active_at = ? WHERE repository = ? AND digest = ?",
            (now, active_at, repository.id, digest),
        )

    def tag(self, repository: Repository, tag: str, digest: str) -> None:
        """Point a tag to a digest."""
        self._connection.execute(
            "INSERT INTO tags (repository, tag, digest) VALUES (?, ?, ?)"
            " ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest",
            (repository.id, tag, digest),
        )

    def untag(self, repository: Repository, tag: str) -> None:
        """Remove a tag."""
        self._connection.execute("DELETE FROM tags WHERE repository = ? AND tag = ?", (repository.id, tag))

    def delete(self, repository: Repository, digest: str) -> None:
        """Remove an image with its tags."""
        for table, column in (("tags", "digest"), ("uses", "parent"), ("images", "digest")):
            self._connection.execute(
                f"DELETE FROM {table} WHERE repository = ? AND {column} = ?",  # noqa: S608 - names from the line above
                (repository.id, digest),
            )

    def used_by(self, repository: Repository, child: str) -> list[str]:
        """List the manifests that use a layer or a child manifest."""
        rows = self._connection.execute(
            "SELECT parent FROM uses WHERE repository = ? AND child = ?", (repository.id, child)
        )
        return [row["parent"] for row in rows]

    def referrers(self, repository: Repository, subject: str) -> list[Image]:
        """List the images whose subject is the digest (F1)."""
        rows = self._connection.execute(
            "SELECT * FROM images WHERE repository = ? AND subject = ? ORDER BY digest", (repository.id, subject)
        )
        return [_image(row) for row in rows]

    def pulled(self, repository: Repository, digest: str, at: float) -> None:
        """Remember when an image was last pulled."""
        self._connection.execute(
            "UPDATE images SET pulled_at = ? WHERE repository = ? AND digest = ?", (at, repository.id, digest)
        )


def _image(row: sqlite3.Row) -> Image:
    return Image(
        digest=row["digest"],
        media_type=row["media_type"],
        artifact_type=row["artifact_type"],
        manifest_size=row["manifest_size"],
        image_size=row["image_size"],
        subject=row["subject"],
        pushed_at=row["pushed_at"],
        pulled_at=row["pulled_at"],
        annotations=json.loads(row["annotations"]),
        archived_at=row["archived_at"],
        activated_at=row["activated_at"],
        active_at=row["active_at"],
    )
