"""Manifests of one repository (distribution-spec 1.1, "Pulling manifests" and "Pushing manifests")."""

from collections.abc import Iterable
from http import HTTPStatus

from urllib3.exceptions import HTTPError

from transship.errors import Reason, Side
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import MANIFEST_TYPES, MAX_MANIFEST_BYTES, InvalidManifest, Manifest
from transship.oci.reference import Repository, Tag
from transship.registry.answer import Answer
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure, unreachable
from transship.registry.transport import finish

# Every type is asked for, because ECR converts what is fetched by tag to a type that is (ecr.md §2, row 23).
_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_PUT_DONE = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})


class Manifests:
    """Reads and writes manifests. Thread-safe."""

    def __init__(self, exchange: Exchange, repository: Repository, side: Side) -> None:
        self._exchange = exchange
        self._repository = repository
        self._side = side
        self.listed: frozenset[Tag] | None = None
        """Every tag of the repository, when it has just been listed."""

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        """See `oci.store.Resolver`."""
        if self._is_absent(target):
            return None
        asked = self._asked("resolve", target)
        response = self._exchange.send(asked, self._request("HEAD", target))
        finish(response)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        described = _described(response) if response.status == HTTPStatus.OK else None
        if described is None or (isinstance(target, Digest) and described.digest != target):
            # The answer to GET says why, or has the bytes that HEAD did not describe.
            manifest = self._get(asked, target)
            return manifest.descriptor if manifest else None
        return described

    def read(self, target: Tag | Digest) -> Manifest | None:
        """See `oci.store.Fetcher`."""
        if self._is_absent(target):
            return None
        return self._get(self._asked("read manifest", target), target)

    def _is_absent(self, target: Tag | Digest) -> bool:
        """Whether a tag that somebody derives from a digest was not on the list; a person's tag is always asked for."""
        is_derived = isinstance(target, Tag) and target.name.startswith("sha256-")
        return is_derived and self.listed is not None and target not in self.listed

    def missing(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """See `oci.store.Inventory`."""
        return frozenset(digest for digest in digests if not self._exists(digest))

    def push(self, manifest: Manifest, target: Tag | Digest) -> bool:
        """See `oci.store.Pusher`; returns whether the registry has taken note of the manifest's subject, if it has one.

        A registry that does so says it in `OCI-Subject` (distribution-spec 1.1, "Pushing Manifests with Subject").
        A tag that the registry will not overwrite is read again: at the same digest all is well (ecr.md §2, row 19).
        """
        asked = self._asked("push tag" if isinstance(target, Tag) else "push manifest", target)
        headers = {"Content-Type": manifest.descriptor.media_type}
        response = self._exchange.send(asked, Request("PUT", self._path(target), headers, manifest.content))
        if response.status not in _PUT_DONE:
            self._judge_push(asked, Refusal.read(response), manifest, target)
            return True
        finish(response)
        stored = response.headers.get("Docker-Content-Digest", str(manifest.descriptor.digest))
        # A registry may name content by another algorithm than we did; only the same algorithm can disagree.
        if stored.startswith(manifest.descriptor.digest.algorithm) and stored != str(manifest.descriptor.digest):
            raise asked.retry(Reason.CONTENT_MISMATCH, f"{asked.host} stored {asked.what} under another digest")
        return manifest.subject is None or "OCI-Subject" in response.headers

    def _judge_push(self, asked: Asked, refusal: Refusal, manifest: Manifest, target: Tag | Digest) -> None:
        if refusal.code != "TAG_INVALID" or isinstance(target, Digest):
            raise failure(asked, refusal)
        current = self.resolve(target)
        if current is None:
            raise failure(asked, refusal)
        if current.digest != manifest.descriptor.digest:
            raise asked.human(
                Reason.TAG_CONFLICT,
                f"tag {target} of {self._repository} is immutable and at {current.digest}, not "
                f"{manifest.descriptor.digest}; name another tag",
            )

    def _exists(self, digest: Digest) -> bool:
        asked = self._asked("look up", digest)
        response = self._exchange.send(asked, self._request("HEAD", digest))
        finish(response)
        if response.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            return response.status == HTTPStatus.OK
        return self._get(asked, digest) is not None

    def _get(self, asked: Asked, target: Tag | Digest) -> Manifest | None:
        response, host = self._exchange.fetch(asked, self._request("GET", target))
        if response.status != HTTPStatus.OK:
            refusal = Refusal.read(response)
            if refusal.status == HTTPStatus.NOT_FOUND:
                return None
            raise failure(asked, refusal)
        content = read_content(asked, host, response)
        digest = target if isinstance(target, Digest) else Digest.of(content)
        if Digest.of(content, digest.algorithm) != digest:
            raise asked.retry(Reason.CONTENT_MISMATCH, f"{host} sent other bytes for the manifest {digest}")
        try:
            return Manifest.parse(content, media_type_of(response), digest)
        except InvalidManifest as error:
            raise asked.human(
                Reason.UNSUPPORTED_CONTENT, f"the manifest {asked.what} in {self._repository} cannot be copied: {error}"
            ) from error

    def _path(self, target: Tag | Digest) -> str:
        return f"{self._repository.path}/manifests/{target}"

    def _request(self, method: str, target: Tag | Digest) -> Request:
        return Request(method, self._path(target), _ACCEPT)

    def _asked(self, step: str, target: Tag | Digest) -> Asked:
        return Asked(self._side, step, self._repository, str(target))


def media_type_of(response: Answer) -> str:
    """The media type of an answer, without parameters."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _described(response: Answer) -> Descriptor | None:
    """The descriptor a HEAD answer gives, if it gives all of it; GET need not carry the digest (ecr.md §2, row 22)."""
    try:
        digest = Digest.parse(response.headers.get("Docker-Content-Digest", ""))
        size = int(response.headers.get("Content-Length", ""))
    except ValueError:
        return None
    media_type = media_type_of(response)
    return Descriptor(media_type, digest, size) if media_type in MANIFEST_TYPES and size > 0 else None


def read_content(asked: Asked, host: str, response: Answer) -> bytes:
    """The body of an answer that is a manifest.

    Raises:
        RetryLater: Unreachable, when it breaks off.
        NeedsHuman: UnsupportedContent, when it is larger than a manifest may be.
    """
    try:
        content = response.read(MAX_MANIFEST_BYTES + 1)
    except HTTPError as error:
        raise unreachable(asked, host, error) from None
    finally:
        response.close()
    if len(content) > MAX_MANIFEST_BYTES:
        raise asked.human(
            Reason.UNSUPPORTED_CONTENT, f"the manifest {asked.what} has more than {MAX_MANIFEST_BYTES} bytes"
        )
    return content
