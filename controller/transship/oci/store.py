"""Ports: what this project needs of a repository in a registry.

Each port has one to three methods and they are joined by composition: a `Source` cannot write, because its type has
no way to. Implementations raise `RetryLater` or `NeedsHuman` with their side and step; "it is not there" is never an
exception but `None` or an empty set.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Tag


class Resolver(Protocol):
    """Turns a tag or a digest into a descriptor."""

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


class Fetcher(Protocol):
    """Reads content by digest."""

    def fetch_manifest(self, digest: Digest) -> Manifest | None:
        """The manifest with this digest, its bytes checked against it; None when it does not exist."""

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """Those of several manifests that exist, in any order, in as few requests as the registry allows."""

    def open_blob(self, blob: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a blob in chunks of bounded size.

        The consumer checks digest and size: a stream ends where the connection says so.
        """


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

    def push_blob(self, blob: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob from a stream whose consumer-side checks raise on a mismatch.

        When `chunks` raises, the upload is cancelled and nothing becomes visible.
        """

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        """Put the manifest's received bytes under its digest or under a tag.

        A registry that answers "already exists" for the same content has done what was asked.
        """


class Source(Resolver, Fetcher, Protocol):
    """A repository that is read."""


class Destination(Source, Inventory, Pusher, Protocol):
    """A repository that is written; it can be read as well, for the proof."""
