"""The sample application's image: small, for two platforms, the same bytes at every run.

It has the shape of a real one: an index of two manifests, each with a base layer that all versions share and a layer
of its own. Where a node is to run it, the base layer for this machine is a program; otherwise it is noise.
"""

import gzip
import hashlib
import io
import json
import platform
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = ("amd64", "arm64")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PROGRAM, VERSION_FILE = "usr/bin/checkout", "etc/checkout"
USER = "65532"
BASE_BYTES = 64 * 1024
APPLICATION_BYTES = 16 * 1024

Descriptor = dict[str, Any]


def write_layout(
    directory: Path, version: str, program: Path | None = None, *, arguments: Sequence[str] = (), name: str = ""
) -> str:
    """Write one version as an OCI image layout.

    Args:
        directory: Where to; it is there and empty.
        version: What the layer of its own says.
        program: A static one for this machine, for an image that runs.
        arguments: What the image gives the program.
        name: What the image is called where the layout is imported without being pulled.

    Returns:
        The digest of the image's index.
    """
    layout = _Layout(directory)
    manifests = [
        _manifest(layout, version, architecture, _base(architecture, program), arguments)
        for architecture in ARCHITECTURES
    ]
    index = layout.add_json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    if name:
        index["annotations"] = {"io.containerd.image.name": name}
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]}))
    return str(index["digest"])


def _base(architecture: str, program: Path | None) -> bytes:
    if program is not None and MACHINES.get(platform.machine()) == architecture:
        return program.read_bytes()
    return _noise(architecture, BASE_BYTES)


def _manifest(layout: "_Layout", version: str, architecture: str, base: bytes, arguments: Sequence[str]) -> Descriptor:
    own = f"checkout {version} for {architecture}\n".encode() + _noise(version, APPLICATION_BYTES)
    archives = [_archive(PROGRAM, base), _archive(VERSION_FILE, own)]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "Entrypoint": [f"/{PROGRAM}", *arguments],
            "Labels": {"org.opencontainers.image.version": version},
        },
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
