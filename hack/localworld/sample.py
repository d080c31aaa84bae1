"""The sample application's image: small, for two platforms, the same bytes at every run.

It has the shape of a real one (an index of two manifests, each with a base layer that all versions share and a layer
of its own) and nothing in it can be executed: no node of the local world runs it.
"""

import gzip
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = ("amd64", "arm64")
BASE_BYTES = 64 * 1024
APPLICATION_BYTES = 16 * 1024

Descriptor = dict[str, Any]


def write_layout(directory: Path, version: str) -> str:
    """Write one version as an OCI image layout, and return the digest of its index."""
    layout = _Layout(directory)
    manifests = [_manifest(layout, version, architecture) for architecture in ARCHITECTURES]
    index = layout.add_json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]}))
    return str(index["digest"])


def _manifest(layout: "_Layout", version: str, architecture: str) -> Descriptor:
    archives = [
        _archive("usr/lib/base", _noise(architecture, BASE_BYTES)),
        _archive("app", f"checkout {version} for {architecture}\n".encode() + _noise(version, APPLICATION_BYTES)),
    ]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/app"], "Labels": {"org.opencontainers.image.version": version}},
        "rootfs": {"type": "layers", "diff_ids": [_digest(archive) for archive in archives]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add_json(CONFIG, config),
        "layers": [layout.add(LAYER, gzip.compress(archive, mtime=0)) for archive in archives],
    }
    return layout.add_json(MANIFEST, manifest) | {"platform": {"os": "linux", "architecture": architecture}}


class _Layout:
    """The blobs of an OCI image layout."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def add(self, media_type: str, content: bytes) -> Descriptor:
        digest = _digest(content)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add_json(self, media_type: str, content: dict[str, Any]) -> Descriptor:
        return self.add(media_type, json.dumps(content).encode())


def _archive(name: str, content: bytes) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o755
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def _noise(seed: str, size: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
