"""What an ECR repository holds, a hundred answers a call (ecr.md §1 sizes, §3 "batch economics").

BatchGetImage resolves tags and digests and brings the manifests' bytes along; BatchCheckLayerAvailability tells which
blobs are there; DescribeImages tells an archived image from a missing one. Bytes of blobs never pass here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.errors import NeedsHuman, Side, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import MANIFEST_TYPES, InvalidManifest, Manifest
from transship.oci.reference import Repository, Tag

Target: TypeAlias = Tag | Digest
T = TypeVar("T")

PER_CALL = 100
"""Image ids, and layer digests, one call may name."""
_KEPT_BYTES = 16 * 1024 * 1024
_ABSENT = frozenset({"ImageNotFound"})
_NOWHERE = frozenset({"RepositoryNotFoundException", "ImageNotFoundException"})
_ANY_STATUS = {"imageStatus": "ANY"}


@dataclass(slots=True)
class _Kept:
    """Manifests that came along with an answer, up to so many bytes; content never changes, so they stay true."""

    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    size: int = 0

    def add(self, manifest: Manifest) -> None:
        if manifest.descriptor.digest not in self.manifests and self.size + manifest.descriptor.size <= _KEPT_BYTES:
            self.manifests[manifest.descriptor.digest] = manifest
            self.size += manifest.descriptor.size


class Images:
    """One repository of an ECR registry, seen by one identity through the ECR API. Thread-safe.

    The account is named in every call (`registryId`): without it a call means the caller's own registry.
    What can be asked in the API's terms is answered; for anything else the answer is left out, and whoever asks turns
    to the distribution API.

    Args:
        clients: of AWS.
        identity: as whom.
        repository: which.
        side: the side of a promotion that it is on.
        gone: hears when ECR says that the repository does not exist.
    """

    def __init__(
        self,
        clients: Clients,
        identity: Identity,
        repository: Repository,
        side: Side,
        gone: Callable[[Repository], None] = lambda _: None,
    ) -> None:
        host = EcrHost.of(repository.registry)
        if host is None:
            raise ValueError(f"{repository.registry} is not an ECR registry")
        self._clients = clients
        self._identity = identity
        self._host = host
        self._repository = repository
        self._side = side
        self._gone = gone
        self._kept = _Kept()

    def resolve_all(self, targets: Iterable[Target]) -> Mapping[Target, Descriptor | None]:
        """See `oci.store.Resolver`; the manifests are kept for `kept`.

        Raises:
            NeedsHuman, RetryLater: of AWS, for all targets.
        """
        answers: dict[Target, Descriptor | None] = {}
        for some in _in_calls(target for target in dict.fromkeys(targets) if _can_be_named(target)):
            answers.update(self._get("resolve", some))
        return answers

    def kept(self, digest: Digest) -> Manifest | None:
        """A manifest whose bytes an earlier answer brought along."""
        return self._kept.manifests.get(digest)

    def fetch_manifests(self, digests: Iterable[Digest]) -> Iterator[Manifest]:
        """Those of the manifests that exist and can be asked for in the API's terms.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        wanted = list(digests)
        yield from (manifest for digest in wanted if (manifest := self.kept(digest)) is not None)
        for some in _in_calls(digest for digest in wanted if self.kept(digest) is None and _can_be_named(digest)):
            yield from self._images("read manifest", some)[0].values()

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those of the digests that cannot be pulled: not there, or archived.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        wanted = frozenset(digests)
        there: set[Digest] = set()
        for some in _in_calls(sorted(wanted)):
            there.update(self._available(some))
        return wanted - there

    def is_archived(self, target: Target) -> bool:
        """Whether an image is kept where it cannot be pulled (ecr.md §1, "Archive class").

        DescribeImages hides such images unless asked for any status. An identity that may pull need not be allowed to
        describe; then nothing is known, and the answer is no.

        Raises:
            RetryLater: of AWS.
        """
        if not _can_be_named(target):
            return False
        try:
            answer = self._ask("resolve", "describe_images", imageIds=[_image_id(target)], filter=_ANY_STATUS)
        except NeedsHuman:
            return False
        return any(each.get("imageStatus") in {"ARCHIVED", "ACTIVATING"} for each in answer.get("imageDetails", []))

    def repository_exists(self) -> bool:
        """Whether the repository itself is there.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        answer = self._call_named("look up", "describe_repositories", repositoryNames=[self._repository.path])
        return bool(answer.get("repositories"))

    def is_there_to_read(self, probe: Target) -> bool:
        """Whether the repository is there, as who may read images and nothing else can tell: by asking for one.

        Raises:
            NeedsHuman, RetryLater: of AWS.
        """
        return bool(self._ask("resolve", "batch_get_image", imageIds=[_image_id(probe)]))

    def _get(self, step: str, targets: Sequence[Target]) -> dict[Target, Descriptor | None]:
        """The answers of one call; of what ECR neither gives nor calls missing there is no answer."""
        manifests, absent = self._images(step, targets)
        answers: dict[Target, Descriptor | None] = dict.fromkeys(absent)
        answers.update((target, manifest.descriptor) for target, manifest in manifests.items())
        return answers

    def _images(self, step: str, targets: Sequence[Target]) -> tuple[dict[Target, Manifest], set[Target]]:
        wanted = set(targets)
        # All types are accepted, so that nothing is converted (ecr.md §2, row 23).
        ids = [_image_id(target) for target in targets]
        answer = self._ask(step, "batch_get_image", imageIds=ids, acceptedMediaTypes=list(MANIFEST_TYPES))
        if not answer:
            return {}, wanted
        found: dict[Target, Manifest] = {}
        for image in answer.get("images", []):
            manifest = _manifest(image)
            if manifest is not None:
                self._kept.add(manifest)
                found.update((target, manifest) for target in _names(image.get("imageId", {})) if target in wanted)
        gone = [each for each in answer.get("failures", []) if each.get("failureCode") in _ABSENT]
        return found, {target for each in gone for target in _names(each.get("imageId", {})) if target in wanted}

    def _available(self, digests: Sequence[Digest]) -> Iterator[Digest]:
        answer = self._ask("look up", "batch_check_layer_availability", layerDigests=[str(each) for each in digests])
        for layer in answer.get("layers", []):
            digest = _digest(layer.get("layerDigest"))
            if layer.get("layerAvailability") == "AVAILABLE" and digest is not None:
                yield digest

    def _ask(self, step: str, method: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer of one call about images; an empty one when there is nothing to answer about."""
        return self._call_named(step, method, repositoryName=self._repository.path, **arguments)

    def _call_named(self, step: str, method: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            with aws_errors(f"look into {self._repository}"):
                return self._call(method, arguments)
        except TransshipError as error:
            error.side, error.step = error.side or self._side, error.step or step
            raise

    def _call(self, method: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        call: Callable[..., Mapping[str, Any]] = getattr(self._clients.ecr(self._identity, self._host), method)
        try:
            return call(registryId=self._host.account, **arguments)
        except ClientError as error:
            if code_of(error) not in _NOWHERE:
                raise
            if code_of(error) == "RepositoryNotFoundException":
                self._gone(self._repository)
            return {}


def _in_calls(targets: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(targets)
    while some := list(islice(rest, PER_CALL)):
        yield some


def _can_be_named(target: Target) -> bool:
    """Whether the API can name it: its digests are sha256, and one it does not know would fail the whole call."""
    return isinstance(target, Tag) or target.algorithm == "sha256"


def _image_id(target: Target) -> Any:
    return {"imageTag": str(target)} if isinstance(target, Tag) else {"imageDigest": str(target)}


def _names(image_id: Mapping[str, Any]) -> Iterator[Target]:
    if "imageTag" in image_id:
        yield Tag(image_id["imageTag"])
    digest = _digest(image_id.get("imageDigest"))
    if digest is not None:
        yield digest


def _digest(text: object) -> Digest | None:
    """A digest of an answer; None when it is none: an answer that was damaged on its way answers nothing."""
    try:
        return Digest.parse(str(text))
    except ValueError:
        return None


def _manifest(image: Mapping[str, Any]) -> Manifest | None:
    """The manifest of an answer, its bytes checked; None when they are not what the digest says, or not known here."""
    try:
        digest = Digest.parse(image["imageId"]["imageDigest"])
        return Manifest.parse(image["imageManifest"].encode(), image["imageManifestMediaType"], digest)
    except (InvalidManifest, KeyError, ValueError):
        return None
