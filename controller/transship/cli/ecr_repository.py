"""A repository of an ECR registry: what is there by the ECR API, the bytes by the distribution API.

Two adapters that do not know each other meet here. The API answers for a hundred images in a call and the distribution
API for one, so presence is asked of the first (ecr.md §9.2); what the API cannot name or vouch for is asked of the
second, which then also says what is wrong with it.
"""

from collections.abc import Iterable, Iterator, Mapping

from transship.aws.batch import PER_CALL, Images
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Repository, Tag
from transship.oci.store import BlobReader, Chunk
from transship.registry.repository import HttpRepository


class EcrRepository:
    """Implements `Source` and `Destination`. Thread-safe."""

    targets_per_request = PER_CALL
    keeps_whole = True  # ecr.md §2, rows 17, 26 and 27

    def __init__(self, images: Images, bytes_of: HttpRepository) -> None:
        self._images = images
        self._http = bytes_of
        self.repository: Repository = bytes_of.repository

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        """See `Resolver`."""
        answers = self._images.resolve_all([target])
        return answers[target] if target in answers else self._http.resolve(target)

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        """See `Resolver`."""
        return self._images.resolve_all(targets)

    def is_archived(self, target: Tag | Digest) -> bool:
        """See `Resolver`."""
        return self._images.is_archived(target)

    def fetch_manifest(self, target: Tag | Digest) -> Manifest | None:
        """See `Fetcher`; one that came along with an earlier answer costs nothing."""
        if isinstance(target, Tag):
            # The API keeps the type that was pushed; the distribution API may convert it (ecr.md §2, row 23).
            found = self.resolve(target)
            return None if found is None else self.fetch_manifest(found.digest)
        return self._images.kept(target) or self._http.fetch_manifest(target)

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """See `Fetcher`."""
        left = dict.fromkeys(digests)
        for manifest in self._images.fetch_manifests(left):
            left.pop(manifest.descriptor.digest, None)
            yield manifest
        yield from self._http.fetch_manifests(left)

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """See `Referrals`; the distribution API gives the list that ListImageReferrers gives (ecr.md §2, row 21)."""
        return self._http.list_referrers(subject)

    def exists(self) -> bool:
        """Whether the repository itself is there, with images or without.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        return self._images.repository_exists()

    def is_there_to_read(self, probe: Tag) -> bool:
        """The same by the right to read images alone, asked for one; what is no repository has none.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        return self._images.is_there_to_read(probe)

    def read_blob(self, blob: Descriptor) -> BlobReader:
        """See `Fetcher`."""
        return self._http.read_blob(blob)

    def missing_manifests(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """See `Inventory`."""
        wanted = list(digests)
        answers = self._images.resolve_all(wanted)
        return frozenset(each for each in wanted if answers.get(each) is None and not self._is_there(each, answers))

    def missing_blobs(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """See `Inventory`."""
        return self._images.missing_blobs(blob.digest for blob in blobs)

    def list_tags(self) -> Iterator[Tag]:
        """See `Lister`."""
        return self._http.list_tags()

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        """See `Pusher`."""
        return self._http.push_blob(blob, chunks, mount)

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        """See `Pusher`."""
        self._http.push_manifest(manifest, target)

    def _is_there(self, digest: Digest, answers: Mapping[Tag | Digest, Descriptor | None]) -> bool:
        return digest not in answers and not self._http.missing_manifests([digest])
