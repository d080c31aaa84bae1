"""Images of a given size that no compression makes smaller: the same bytes on every machine, written as a stream."""

import hashlib
import json
import random
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copying.scenarios import Images

REPOSITORY = "shop/checkout"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
BLOCK = 1024 * 1024
GZIP = 16  # of zlib's `wbits`


@dataclass(frozen=True)
class Blob:
    """A file below `blobs/`, named by its digest.

    Attributes:
        digest: `sha256:...` of the file.
        size: its bytes.
        diff_id: the digest of what it is when unpacked.
    """

    digest: str
    size: int
    diff_id: str = ""

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """How a manifest names it."""
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Image:
    """A tag and the manifest it stands for."""

    tag: str
    manifest: str

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return f"sha256:{hashlib.sha256(self.manifest.encode()).hexdigest()}"


@dataclass(frozen=True)
class Content:
    """What the source has.

    Attributes:
        path: the JSON file that the source reads.
        images: all of them, in the order of their tags.
        blobs: each once.
    """

    path: Path
    images: tuple[Image, ...]
    blobs: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Bytes that have to arrive at an empty destination."""
        return sum(blob.size for blob in self.blobs) + sum(len(image.manifest) for image in self.images)

    @property
    def largest(self) -> Blob:
        """The blob that the ceiling is measured with."""
        return max(self.blobs, key=lambda blob: blob.size)


class Generator:
    """Writes images into a directory; layers that two scenarios have in common are written once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blobs = directory / "blobs"
        self._blobs.mkdir(parents=True)
        self._layers: dict[tuple[int, int], Blob] = {}

    def write(self, name: str, images: Images) -> Content:
        """Write what a scenario copies."""
        shared = [self._layer(seed, size) for seed, size in enumerate(images.shared)]
        blobs: dict[str, Blob] = {}
        made = []
        for number in range(images.count):
            first = len(shared) + number * len(images.own)
            layers = [*shared, *(self._layer(first + index, size) for index, size in enumerate(images.own))]
            config = self._config(number, layers)
            blobs |= {blob.digest: blob for blob in (*layers, config)}
            made.append(Image(f"v{number:03}", _manifest(config, layers)))
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(_listing(made, blobs)))
        return Content(path, tuple(made), tuple(blobs.values()))

    def forget(self, content: Content) -> None:
        """Remove the blobs of a scenario, for those that fill the disk."""
        gone = {blob.digest for blob in content.blobs}
        for digest in gone:
            self._file(digest).unlink()
        self._layers = {key: blob for key, blob in self._layers.items() if blob.digest not in gone}

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _layer(self, seed: int, size: int) -> Blob:
        if (seed, size) not in self._layers:
            scratch = self._blobs / "scratch"
            blob = write_layer(scratch, seed, size)
            scratch.rename(self._file(blob.digest))
            self._layers[seed, size] = blob
        return self._layers[seed, size]

    def _config(self, number: int, layers: list[Blob]) -> Blob:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": [f"NUMBER={number}"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        content = json.dumps(config).encode()
        blob = Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        self._file(blob.digest).write_bytes(content)
        return blob


def write_layer(path: Path, seed: int, size: int) -> Blob:
    """Write a gzipped tar with one file of random bytes; it has about `size` bytes.

    gzip stores the bytes as they are. It is there all the same, because a client that finds a layer that is not
    compressed may compress it, and would be measured doing so.
    """
    unpacked, packed = hashlib.sha256(), hashlib.sha256()
    pack = zlib.compressobj(level=0, wbits=zlib.MAX_WBITS | GZIP)
    written = 0
    with path.open("wb") as file:
        for block in _tar(seed, size):
            unpacked.update(block)
            data = pack.compress(block)
            packed.update(data)
            written += file.write(data)
        data = pack.flush()
        packed.update(data)
        written += file.write(data)
    return Blob(f"sha256:{packed.hexdigest()}", written, f"sha256:{unpacked.hexdigest()}")


def _tar(seed: int, size: int) -> Iterator[bytes]:
    """An archive with one file, in pieces."""
    member = tarfile.TarInfo("data")
    member.size = size
    yield member.tobuf()
    source = random.Random(f"{seed}/{size}")
    for offset in range(0, size, BLOCK):
        yield source.randbytes(min(BLOCK, size - offset))
    yield bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def _manifest(config: Blob, layers: list[Blob]) -> str:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(CONFIG_TYPE),
        "layers": [layer.descriptor(LAYER_TYPE) for layer in layers],
    }
    return json.dumps(manifest, indent=1)


def _listing(images: list[Image], blobs: Iterable[str]) -> dict[str, Any]:
    """What `delayline serve` reads."""
    return {
        "repository": REPOSITORY,
        "blobs": [f"blobs/{digest.removeprefix('sha256:')}" for digest in blobs],
        "images": [{"tag": image.tag, "mediaType": MANIFEST_TYPE, "manifest": image.manifest} for image in images],
    }
