"""The list of a manifest's referrers that clients keep under a tag, where a registry keeps none itself.

distribution-spec 1.1, "Referrers Tag Schema": an index under the tag `sha256-<hex>` of the subject. It is the one
manifest that this project ever writes rather than copies.
"""

import json
from collections.abc import Container, Mapping
from typing import Any

from transship.oci.digest import Digest
from transship.oci.manifest import INDEX_TYPES, OCI_INDEX, Manifest
from transship.oci.reference import Tag

_MAX_HEX = 64


def fallback_tag(subject: Digest) -> Tag:
    """The tag of the list: algorithm and hex, the latter cut to 64 characters."""
    return Tag(f"{subject.algorithm}-{subject.hex[:_MAX_HEX]}")


def listing(index: Manifest | None, referrer: Manifest) -> Manifest | None:
    """The list with one more entry; None when the entry is there already.

    Entries of others stay as they are, byte for byte as far as JSON goes.

    Args:
        index: what is under the tag now; None when nothing is.
        referrer: who is to be listed.

    Raises:
        ValueError: what is under the tag is not a list of manifests, or would become too large for one.
    """
    if index is not None and index.descriptor.media_type not in INDEX_TYPES:
        raise ValueError("what is under the tag is not an index")
    if index is not None and any(each.digest == referrer.descriptor.digest for each in index.children):
        return None
    document = _read(index)
    return _index({**document, "manifests": [*document["manifests"], _entry(referrer)]})


def without(index: Manifest, gone: Container[Digest]) -> Manifest:
    """The list without entries for manifests that are gone."""
    document = _read(index)
    pairs = zip(document["manifests"], index.children, strict=True)
    return _index({**document, "manifests": [entry for entry, child in pairs if child.digest not in gone]})


def _read(index: Manifest | None) -> dict[str, Any]:
    if index is None:
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    document: dict[str, Any] = json.loads(index.content)
    return {"manifests": [], **document}


def _index(document: Mapping[str, Any]) -> Manifest:
    content = json.dumps(document, separators=(",", ":")).encode()
    return Manifest.parse(content, document.get("mediaType", OCI_INDEX), Digest.of(content))


def _entry(referrer: Manifest) -> dict[str, Any]:
    """What the list says of a manifest: its artifact type, or its config's type, and its annotations, too."""
    document = json.loads(referrer.content)
    entry: dict[str, Any] = {
        "mediaType": referrer.descriptor.media_type,
        "digest": str(referrer.descriptor.digest),
        "size": referrer.descriptor.size,
    }
    kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
    more = {"artifactType": kind, "annotations": document.get("annotations")}
    return entry | {name: value for name, value in more.items() if value}
