"""Manifests: bytes first, meaning second.

A manifest travels as the bytes that were received, with the media type they came with; what is parsed here is read
from them and never written back. The limits are those of design §7 and of the threats T9 and T10: a manifest is data
from a stranger.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""ECR's own limit (ecr.md §1) and the one most clients share."""
MAX_DESCRIPTORS = 1000
"""Descriptors one manifest may list."""
MAX_INDEX_DEPTH = 4
"""Levels of indexes below a root."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
"""Every media type that is asked for and accepted, in the order of preference."""


class InvalidManifest(ValueError):  # noqa: N818 - named after the content it rejects, like InvalidReference elsewhere
    """The bytes are not a manifest this project can copy; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as received, and what it points at.

    Attributes:
        descriptor: media type, digest and size of `content`.
        content: the received bytes.
        children: manifests this index lists, in order (empty for an image).
        blobs: config and layers of this image, config first, each digest once (empty for an index).
        subject: the manifest this one is attached to (image-spec, manifest.md "subject"); it need not be there.
    """

    descriptor: Descriptor
    content: bytes
    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    subject: Descriptor | None = None

    @classmethod
    def parse(cls, content: bytes, media_type: str, digest: Digest) -> Self:
        """Read manifest bytes that were fetched as `media_type` and are wanted to be `digest`.

        Raises:
            InvalidManifest: not the wanted digest, too large, not JSON, of an unknown type, of two types at once, or
                with too many or malformed descriptors.
        """
        if len(content) > MAX_MANIFEST_BYTES:
            raise InvalidManifest(f"it has {len(content)} bytes, more than {MAX_MANIFEST_BYTES}")
        if Digest.of(content, digest.algorithm) != digest:
            raise InvalidManifest(f"its bytes do not have the digest {digest}")
        document = _read_object(content)
        _check_type(document, media_type)
        descriptor = Descriptor(media_type, digest, len(content))
        subject = _subject(document)
        if media_type in INDEX_TYPES:
            return cls(descriptor, content, _descriptors(document, "manifests"), (), subject)
        config = _descriptor(document.get("config"))
        return cls(descriptor, content, (), _unique((config, *_descriptors(document, "layers"))), subject)


def _read_object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest("it is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidManifest("it is not a JSON object")
    return document


def _check_type(document: dict[str, Any], media_type: str) -> None:
    if media_type not in INDEX_TYPES | IMAGE_TYPES:
        raise InvalidManifest(f"its media type {media_type[:100]!r} is not one of {', '.join(MANIFEST_TYPES)}")
    # T10 (GHSA-mc8v-mgrf-8f4m): the same bytes must not be an index for one reader and an image for another.
    if document.get("mediaType", media_type) != media_type:
        raise InvalidManifest(f"it says it is {str(document['mediaType'])[:100]!r} but was served as {media_type}")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidManifest("it claims to be an index and an image at once")


def _subject(document: dict[str, Any]) -> Descriptor | None:
    # Some encoders write an absent field as null.
    entry = document.get("subject")
    return None if entry is None else _descriptor(entry)


def _descriptors(document: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        raise InvalidManifest(f"its {key!r} is not a list")
    if len(entries) > MAX_DESCRIPTORS:
        raise InvalidManifest(f"its {key!r} lists {len(entries)} descriptors, more than {MAX_DESCRIPTORS}")
    return tuple(_descriptor(entry) for entry in entries)


def _descriptor(entry: object) -> Descriptor:
    if not isinstance(entry, dict):
        raise InvalidManifest("a descriptor is not a JSON object")
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise InvalidManifest("a descriptor lacks its media type or digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidManifest("a descriptor's size is not a number of bytes")
    try:
        return Descriptor(media_type, Digest.parse(digest), size)
    except ValueError as error:
        raise InvalidManifest(str(error)) from error


def _unique(descriptors: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    return tuple({descriptor.digest: descriptor for descriptor in descriptors}.values())
