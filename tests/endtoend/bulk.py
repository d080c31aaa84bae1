"""Images that are large enough for a promotion to be met in the middle."""

import gzip
import hashlib
import json
import random
import tempfile
from pathlib import Path

from localworld.accounts import DEVELOPMENT, registry
from localworld.sample import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, _archive
from localworld.world import World

REPOSITORY = "bulk/warehouse"
TAGS = tuple(f"v{number}" for number in range(8))
LAYERS, LAYER_BYTES = 6, 512 * 1024
BLOBS = len(TAGS) * (LAYERS + 1)
"""Blobs of all images: no two images share one."""


def push(world: World) -> dict[str, str]:
    """Push all tags to the development registry; returns their digests."""
    ci = world.identities["ci"]
    with world.registries.ecr(ci) as ecr:
        ecr.create_repository(repositoryName=REPOSITORY)
    return {tag: _push(world, tag) for tag in TAGS}


def _push(world: World, tag: str) -> str:
    with tempfile.TemporaryDirectory(prefix="transship-bulk-") as directory:
        digest = _write_layout(Path(directory), tag)
        reference = f"{registry(DEVELOPMENT)}/{REPOSITORY}:{tag}"
        world.registries.crane(world.identities["ci"], "push", directory, reference)
    return digest


def _write_layout(directory: Path, tag: str) -> str:
    """An OCI image layout of one image for one platform."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    noise = random.Random(tag)
    plain = [_archive(f"data-{number}", noise.randbytes(LAYER_BYTES)) for number in range(LAYERS)]
    layers = [_add(blobs, LAYER, gzip.compress(each, compresslevel=0, mtime=0)) for each in plain]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in plain]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _add(blobs, CONFIG, json.dumps(config).encode()),
        "layers": layers,
    }
    root = _add(blobs, MANIFEST, json.dumps(manifest).encode())
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]}))
    return str(root["digest"])


def _add(blobs: Path, media_type: str, content: bytes) -> Descriptor:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
