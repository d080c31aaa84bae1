"""A manifest is data from a stranger: what is refused before anything it says is done (threats T9 to T11)."""

import json

import pytest

from transship.oci.digest import Digest
from transship.oci.manifest import (
    DOCKER_LIST,
    MAX_DESCRIPTORS,
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    OCI_MANIFEST,
    InvalidManifest,
    Manifest,
)

ENTRY = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 2}


def parse(content: bytes, media_type: str) -> Manifest:
    return Manifest.parse(content, media_type, Digest.of(content))


@pytest.mark.parametrize("key", ["layers", "config"])
def test_bytes_that_are_an_index_and_an_image_at_once_are_neither(key: str) -> None:
    document = {"manifests": [ENTRY], key: ENTRY if key == "config" else [ENTRY]}
    for media_type in (OCI_INDEX, OCI_MANIFEST):
        with pytest.raises(InvalidManifest, match="an index and an image at once"):
            parse(json.dumps(document).encode(), media_type)


def test_what_says_it_is_another_type_than_it_was_served_as_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="but was served as"):
        parse(json.dumps({"mediaType": OCI_INDEX, "manifests": []}).encode(), DOCKER_LIST)


def test_other_bytes_than_the_digests_are_refused() -> None:
    with pytest.raises(InvalidManifest, match="do not have the digest"):
        Manifest.parse(b"{}", OCI_INDEX, Digest.of(b"{} "))


def test_a_manifest_is_as_large_as_ecr_takes_and_no_larger() -> None:
    largest = b"{}".ljust(MAX_MANIFEST_BYTES)
    assert parse(largest, OCI_INDEX).descriptor.size == MAX_MANIFEST_BYTES
    with pytest.raises(InvalidManifest, match="more than"):
        parse(largest + b" ", OCI_INDEX)


def test_an_index_lists_a_thousand_manifests_and_no_more() -> None:
    def index(entries: int) -> bytes:
        return json.dumps({"manifests": [ENTRY] * entries}).encode()

    assert len(parse(index(MAX_DESCRIPTORS), OCI_INDEX).children) == MAX_DESCRIPTORS
    with pytest.raises(InvalidManifest, match="more than"):
        parse(index(MAX_DESCRIPTORS + 1), OCI_INDEX)


@pytest.mark.parametrize("size", [-1, "2", 2.5, True, None])
def test_a_size_that_is_no_number_of_bytes_is_refused(size: object) -> None:
    with pytest.raises(InvalidManifest, match="not a number of bytes"):
        parse(json.dumps({"manifests": [{**ENTRY, "size": size}]}).encode(), OCI_INDEX)
