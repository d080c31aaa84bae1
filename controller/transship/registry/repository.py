"""A repository of a registry, behind the store ports."""

from collections.abc import Iterable, Iterator, Mapping

from transship.errors import Side
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.reference import Repository, Tag
from transship.oci.store import BlobReader, Chunk
from transship.registry.auth import Credentials
from transship.registry.blobs import Blobs
from transship.registry.exchange import Exchange
from transship.registry.manifests import Manifests
from transship.registry.pace import Pace
from transship.registry.patience import Patience
from transship.registry.referrers import Knowledge, Referrers
from transship.registry.tags import Tags
from transship.registry.transport import Transport


class HttpRepository:
    """Implements `Source` and `Destination` for one repository, one side and one identity.

    Thread-safe and cheap to make: connections belong to the transport. The distribution API has no batches, and
    promises nothing about what is below a manifest.
    """

    targets_per_request = 1
    keeps_whole = False

    def __init__(  # noqa: PLR0913 - where, as whom, over what, and how hard to try
        self,
        repository: Repository,
        side: Side,
        transport: Transport,
        credentials: Credentials,
        pace: Pace | None = None,
        *,
        patience: Patience | None = None,
    ) -> None:
        exchange = Exchange(transport, repository, credentials, pace, patience)
        self.repository = repository
        self._manifests = Manifests(exchange, repository, side)
        self._blobs = Blobs(exchange, repository, side)
        self._referrers = Referrers(exchange, repository, side, self._manifests, Knowledge.of(transport))
        self._tags = Tags(exchange, repository, side)

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        """See `Resolver`."""
        return self._manifests.resolve(target)

    def resolve_all(self, targets: Iterable[Tag | Digest]) -> Mapping[Tag | Digest, Descriptor | None]:
        """See `Resolver`."""
        return {target: self.resolve(target) for target in targets}

    def is_archived(self, target: Tag | Digest) -> bool:  # noqa: ARG002 - the port's signature
        """See `Resolver`; the distribution API knows no such thing."""
        return False

    def fetch_manifest(self, target: Tag | Digest) -> Manifest | None:
        """See `Fetcher`."""
        return self._manifests.read(target)

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """See `Fetcher`."""
        return (manifest for digest in digests if (manifest := self.fetch_manifest(digest)) is not None)

    def read_blob(self, blob: Descriptor) -> BlobReader:
        """See `Fetcher`."""
        return self._blobs.read(blob)

    def list_referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """See `Referrals`."""
        return self._referrers.all(subject)

    def missing_manifests(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """See `Inventory`."""
        return self._manifests.missing(digests)

    def missing_blobs(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """See `Inventory`."""
        return self._blobs.missing(blobs)

    def list_tags(self) -> Iterator[Tag]:
        """See `Lister`; what is listed to its end also tells which derived tags need not be asked for."""
        listed = tuple(self._tags.all())
        self._manifests.listed = frozenset(listed)
        return iter(listed)

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        """See `Pusher`."""
        return self._blobs.push(blob, chunks, mount)

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        """See `Pusher`; what the registry does not list among its subject's referrers, is listed by us."""
        is_noted = self._manifests.push(manifest, target)
        if manifest.subject is not None and not is_noted:
            self._referrers.add(manifest, manifest.subject.digest)
