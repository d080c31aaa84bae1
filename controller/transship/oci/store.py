"""Ports: what this project needs of a repository in a registry.

Each port has one to three methods and they are joined by composition: a `Source` cannot write, because its type has
no way to. Implementations raise `RetryLater` or `NeedsHuman` with their side and step; "it is not there" is never an
exception but `None` or an empty set.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Repository, Tag


class Resolver(Protocol):
    """Turns a tag or a digest into a descriptor."""

    @property
    def repository(self) -> Repository:
        """Where this is."""

    @property
    def targets_per_request(self) -> int:
        """How many targets `resolve_all` learns of in one request; 1 where each costs one of its own."""

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        """The manifest `target` names, or None when the repository (or the target in it) does not exist."""

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        """What `resolve` says of each target.

        A target whose answer is a problem of its own is left out: `resolve` it to hear of the problem.
        """

    def is_archived(self, target: Tag | Digest) -> bool:
        """Whether the registry still keeps a target that does not resolve, where nobody can pull it."""


Chunk: TypeAlias = bytes | memoryview
"""A part of a blob in memory."""


class Stream(Protocol):
    """Bytes on their way here."""

    def readinto(self, room: memoryview) -> int:
        """Put the next bytes into `room` and say how many; 0 when there are no more.

        Raises:
            RetryLater: the connection broke off; what has been read so far stays good.
        """


class BlobReader(Protocol):
    """One blob of a source, to be read in ranges. Thread-safe; remembers where the registry keeps the bytes."""

    @property
    def takes_ranges(self) -> bool:
        """False once the registry has answered with the whole blob when it was asked for its beginning."""

    def open(self, start: int = 0, stop: int | None = None) -> AbstractContextManager[Stream]:
        """The bytes from `start` up to, not including, `stop`; to the end of the blob when that is None.

        The consumer checks digest and size: a stream ends where the connection says so.

        Raises:
            NeedsHuman: SourceMissing, and whatever the registry refuses for good.
            RetryLater: it cannot be had now, or not from `start` on.
        """


class Fetcher(Protocol):
    """Reads content by digest."""

    def fetch_manifest(self, target: Tag | Digest) -> Manifest | None:
        """The manifest a tag or digest leads to, its bytes checked against the digest; None when it does not exist."""

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """Those of several manifests that exist, in any order, in as few requests as the registry allows."""

    def read_blob(self, blob: Descriptor) -> BlobReader:
        """A reader of a blob; nothing is asked before it is opened."""


class Referrals(Protocol):
    """Knows what is attached to a manifest."""

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is this one, each digest once; none when nothing is known of it.

        A registry without the Referrers API is asked for the list that clients keep under a tag of the subject
        (distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema"). A list is what somebody says: who is
        on it may be gone, and may name another subject. It may end once it is longer than anybody follows
        (`referrers.MAX_REFERRERS`).
        """


class Lister(Protocol):
    """Lists what a repository has."""

    def list_tags(self) -> Iterator[Tag]:
        """Every tag, in any order; none when the repository does not exist."""


class Inventory(Protocol):
    """Says what a repository lacks."""

    @property
    def keeps_whole(self) -> bool:
        """Whether a manifest is never there without everything below it.

        ECR takes no manifest before its layers and children, and lets neither go while something points at them
        (ecr.md §2, rows 17, 26 and 27), so that there a root vouches for all of its image. False wherever this is
        not known: each blob is asked for then.
        """

    def missing_manifests(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those of `digests` that the repository holds no manifest for."""

    def missing_blobs(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """Digests of those of `blobs` that the repository does not hold."""


class Pusher(Protocol):
    """Writes content."""

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        """Upload a blob from a stream whose consumer-side checks raise on a mismatch.

        The first chunk is asked for when the registry is ready to take bytes, and a chunk is done with when the next
        one is asked for. When the stream raises, the upload is cancelled and nothing becomes visible.

        Args:
            blob: what is to be there afterwards.
            chunks: its bytes.
            mount: a repository of the same registry that has the blob already; it need not be sent then, if the
                registry agrees.

        Returns:
            Whether the blob was mounted; nothing was asked of `chunks` then.
        """

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        """Put the manifest's received bytes under its digest or under a tag.

        A registry that answers "already exists" for the same content has done what was asked. A manifest with a
        subject is listed among its referrers afterwards, by the registry or, where it keeps no such list, by us.
        """


class Source(Resolver, Fetcher, Referrals, Protocol):
    """A repository that is read."""


class Destination(Source, Inventory, Pusher, Protocol):
    """A repository that is written; it can be read as well, for the proof."""
