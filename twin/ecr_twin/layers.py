"""Layers and the uploads that make them, as rows. To ECR every blob is a layer, the image config too."""

import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ecr_twin.errors import Refusal
from ecr_twin.repositories import Repository

#: B4, fact 11: every part but the last is at least this long.
SMALLEST_PART = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a repository."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way.

    Attributes:
        location: where the distribution process continues the upload.
        received: bytes stored so far.
        first_part: length of the first part, None before it; v2 keeps answering a Range of it (B3, fact 10).
        small_part: whether the newest part is too small to be followed by another (B4).
        small_middle: whether a part that was too small has been followed by another (B4).
    """

    id: str
    location: str
    received: int
    first_part: int | None
    small_part: bool
    small_middle: bool
    started_at: float = 0.0


class Layers:
    """The tables of layers and uploads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, repository: Repository, digest: str) -> Layer | None:
        """Look a layer up by digest."""
        row = self._connection.execute(
            "SELECT * FROM layers WHERE repository = ? AND digest = ?", (repository.id, digest)
        ).fetchone()
        return Layer(row["digest"], row["size"], row["media_type"]) if row else None

    def absent(self, repository: Repository, digests: Iterable[str]) -> list[str]:
        """List those of the digests that are no layer of the repository."""
        return [digest for digest in digests if self.find(repository, digest) is None]

    def add(self, repository: Repository, layer: Layer) -> None:
        """Record a layer whose bytes are stored."""
        self._connection.execute(
            "INSERT OR IGNORE INTO layers (repository, digest, size, media_type) VALUES (?, ?, ?, ?)",
            (repository.id, layer.digest, layer.size, layer.media_type),
        )

    def name_types(self, repository: Repository, blobs: Mapping[str, tuple[int, str]]) -> None:
        """Record the media types that a manifest gives its layers; an upload alone does not tell them."""
        self._connection.executemany(
            "UPDATE layers SET media_type = ? WHERE repository = ? AND digest = ?",
            [(media_type, repository.id, digest) for digest, (_, media_type) in blobs.items()],
        )

    def start(self, repository: Repository, location: str, now: float) -> Upload:
        """Record a new upload."""
        upload_id = str(uuid.uuid4())
        self._connection.execute(
            "INSERT INTO uploads (id, repository, location, started_at) VALUES (?, ?, ?, ?)",
            (upload_id, repository.id, location, now),
        )
        return self.upload(repository, upload_id)

    def upload(self, repository: Repository, upload_id: str) -> Upload:
        """Look an upload up.

        Raises:
            Refusal: UploadNotFoundException.
        """
        row = self._connection.execute(
            "SELECT * FROM uploads WHERE repository = ? AND id = ?", (repository.id, upload_id)
        ).fetchone()
        if row is None:
            raise no_upload(repository, upload_id)
        return Upload(
            id=row["id"],
            location=row["location"],
            received=row["received"],
            first_part=row["first_part"],
            small_part=bool(row["small_part"]),
            small_middle=bool(row["small_middle"]),
            started_at=row["started_at"],
        )

    def grow(self, upload: Upload, location: str, length: int) -> None:
        """Record that a part of the given length was stored."""
        self._connection.execute(
            "UPDATE uploads SET location = ?, received = received + ?, first_part = coalesce(first_part, ?),"
            " small_middle = max(small_middle, small_part), small_part = ? WHERE id = ?",
            (location, length, length, length < SMALLEST_PART, upload.id),
        )

    def finish(self, upload: Upload) -> None:
        """Forget an upload, whether it succeeded or not."""
        self._connection.execute("DELETE FROM uploads WHERE id = ?", (upload.id,))

    def forget(self, upload_id: str) -> None:
        """Forget an upload by its id alone (X6, and uploads that are cancelled)."""
        self._connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def purge(self, repository: Repository) -> int:
        """Remove the layers that no image uses (B7, fact 26); gives how many there were."""
        return self._connection.execute(
            "DELETE FROM layers WHERE repository = ? AND digest NOT IN"
            " (SELECT child FROM uses WHERE uses.repository = layers.repository)",
            (repository.id,),
        ).rowcount


def no_upload(repository: Repository, upload_id: str) -> Refusal:
    """Build the refusal for an upload that is not, or no longer, there."""
    return Refusal(
        "UploadNotFoundException",
        f"The upload with ID '{upload_id}' does not exist in the repository with name '{repository.name}' in "
        f"the registry with id '{repository.registry.account}'",
    )
