"""Manifests: reading one as strictly as ECR does, and converting between the two single-image formats."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ecr_twin.errors import Refusal, invalid
from ecr_twin.names import is_digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_SINGLE = frozenset((DOCKER_MANIFEST, OCI_MANIFEST))
_MULTI = frozenset((DOCKER_LIST, OCI_INDEX))
#: M3, facts §1 [M]: largest manifest.
MANIFEST_BYTES = 4 * 1024 * 1024
#: M3, fact 16: undocumented limit.
LAYERS = 500

_TO_OCI = {
    DOCKER_MANIFEST: OCI_MANIFEST,
    "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
_TO_DOCKER = {oci: docker for docker, oci in _TO_OCI.items()}


def digest_of(body: bytes) -> str:
    """Digest of the raw bytes (M1)."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that parsed.

    Attributes:
        body: the very bytes that were pushed; the digest is over them.
        blobs: digest -> (size, media type) of the config and the layers.
        children: digests of an index's manifests.
        subject: digest of the manifest this one refers to (F1).
        artifact_type: the artifactType field, or else the config's media type.
    """

    body: bytes
    media_type: str
    digest: str
    blobs: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    children: tuple[str, ...] = ()
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Bytes of config and layers, each once."""
        return sum(size for size, _ in self.blobs.values())


def parse(body: bytes, media_type: str | None) -> Manifest:
    """Read a manifest.

    Args:
        body: the bytes as sent.
        media_type: from the Content-Type header or the API's imageManifestMediaType, None when not given.

    Raises:
        Refusal: InvalidParameterException (M3, facts 14, 15 and 16), which the v2 face wraps in 405 UNSUPPORTED.
    """
    if len(body) > MANIFEST_BYTES:
        raise invalid("ImageManifest", f"must have length less than or equal to {MANIFEST_BYTES}")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise invalid("ImageManifest", "Invalid JSON syntax") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:  # noqa: PLR2004 - the schema's name
        raise invalid("ImageManifest", "Invalid JSON syntax")
    kind = _media_type(document, media_type)
    try:
        manifest = _single(body, kind, document) if kind in _SINGLE else _multi(body, kind, document)
    except (KeyError, TypeError, AttributeError) as error:
        raise invalid("ImageManifest", f"a descriptor is malformed: {error}") from error
    digests = (*manifest.blobs, *manifest.children, *filter(None, [manifest.subject]))
    if bad := [digest for digest in digests if not is_digest(digest)]:
        raise invalid("ImageManifest", f"'{bad[0]}' is not a valid digest")
    return manifest


def _media_type(document: Mapping[str, Any], given: str | None) -> str:
    stated = document.get("mediaType")
    if stated and given and stated != given:
        raise invalid("ImageManifest", f"media type '{given}' does not match the manifest's mediaType '{stated}'")
    kind = stated or given
    if kind not in _SINGLE | _MULTI:
        raise invalid("ImageManifest", f"manifest media type '{kind}' is not supported" if kind else
                      "must provide a mediaType")  # fmt: skip
    return str(kind)


def _single(body: bytes, kind: str, document: Mapping[str, Any]) -> Manifest:
    layers = document.get("layers", [])
    if len(layers) > LAYERS:
        raise invalid("ImageManifest", "Limit on number of layers per image exceeded")
    descriptors = [document["config"], *layers]
    for value in (document.get("artifactType"), *(item["mediaType"] for item in descriptors)):
        if value and ";" in value:
            raise invalid("ImageManifest", f"'{value}' is not a valid media type")
    return Manifest(
        body=body,
        media_type=kind,
        digest=digest_of(body),
        blobs={item["digest"]: (int(item["size"]), item["mediaType"]) for item in descriptors},
        subject=_subject(document),
        artifact_type=document.get("artifactType") or document["config"]["mediaType"],
        annotations=document.get("annotations") or {},
    )


def _multi(body: bytes, kind: str, document: Mapping[str, Any]) -> Manifest:
    artifact_type = document.get("artifactType")
    if artifact_type and ";" in artifact_type:
        raise invalid("ImageManifest", f"'{artifact_type}' is not a valid media type")
    return Manifest(
        body=body,
        media_type=kind,
        digest=digest_of(body),
        children=tuple(item["digest"] for item in document["manifests"]),
        subject=_subject(document),
        artifact_type=artifact_type,
        annotations=document.get("annotations") or {},
    )


def _subject(document: Mapping[str, Any]) -> str | None:
    subject = document.get("subject")
    return str(subject["digest"]) if subject else None


def convert(body: bytes, media_type: str, accepted: frozenset[str]) -> tuple[bytes, str]:
    """Convert a manifest asked for by tag to a type the client accepts (M5, fact 23).

    Returns:
        The bytes and their media type: as stored when that is acceptable, else the other single-image format.

    Raises:
        Refusal: ImageNotFound when no accepted type can be made from the stored one.
    """
    if not accepted or media_type in accepted or accepted & {"*/*", "application/*"}:
        return body, media_type
    table = _TO_OCI if media_type == DOCKER_MANIFEST else _TO_DOCKER
    wanted = table.get(media_type)
    if media_type not in _SINGLE or wanted not in accepted:
        raise Refusal("ImageNotFound", f"The image is stored as {media_type}, which the request does not accept")
    document = json.loads(body) | {"mediaType": wanted}
    for descriptor in (document["config"], *document.get("layers", [])):
        descriptor["mediaType"] = table.get(descriptor["mediaType"], descriptor["mediaType"])
    return json.dumps(document, indent=3).encode(), wanted
