"""Small images made on the spot: real manifests over random-looking blobs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from transship.oci.memory import MemoryRepository
from transship.oci.store import Fetcher

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
SIGNATURE_TYPE = "application/vnd.example.signature"
DOCKER_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Content:
    """A root with everything below it, children first."""

    manifests: tuple[Manifest, ...]
    blobs: tuple[bytes, ...]

    @property
    def root(self) -> Manifest:
        return self.manifests[-1]

    def in_memory(self) -> MemoryRepository:
        """A repository that holds just this, untagged."""
        repository = MemoryRepository()
        repository.blobs.update({Digest.of(blob): blob for blob in self.blobs})
        repository.manifests.update({each.descriptor.digest: each for each in self.manifests})
        return repository


def bytes_of(repository: Fetcher, blob: Descriptor, start: int = 0, stop: int | None = None) -> bytes:
    """Read a blob, or a part of it, through its port."""
    room, content = memoryview(bytearray(64 * 1024)), b""
    with repository.read_blob(blob).open(start, stop) as stream:
        while count := stream.readinto(room):
            content += room[:count]
    return content


def as_json(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size}


def blob_descriptor(content: bytes, media_type: str = LAYER_TYPE) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def manifest_of(document: dict[str, object]) -> Manifest:
    # Unusual white space on purpose: whoever re-serialises it gets another digest.
    content = json.dumps(document, indent=3).encode()
    return Manifest.parse(content, str(document["mediaType"]), Digest.of(content))


def image(layers: Sequence[bytes], *, config: bytes = b"{}", docker: bool = False) -> Content:
    config_type, layer_type = (DOCKER_CONFIG_TYPE, DOCKER_LAYER_TYPE) if docker else (CONFIG_TYPE, LAYER_TYPE)
    manifest = manifest_of(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": as_json(blob_descriptor(config, config_type)),
            "layers": [as_json(blob_descriptor(layer, layer_type)) for layer in layers],
        }
    )
    return Content((manifest,), (config, *layers))


def index(children: Iterable[Content], *, docker: bool = False, note: str = "") -> Content:
    below = list(children)
    manifest = manifest_of(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST if docker else OCI_INDEX,
            "manifests": [as_json(child.root.descriptor) for child in below],
            "annotations": {"note": note},
        }
    )
    manifests = {each.descriptor.digest: each for child in below for each in child.manifests}
    blobs = {blob: None for child in below for blob in child.blobs}
    return Content((*manifests.values(), manifest), tuple(blobs))


def artifact(subject: Descriptor | None, payload: bytes, *, kind: str = SIGNATURE_TYPE, note: str = "") -> Content:
    """A manifest that is attached to another by naming it, or by a tag only."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": as_json(blob_descriptor(b"{}", EMPTY_TYPE)),
        "layers": [as_json(blob_descriptor(payload, "application/octet-stream"))],
        "annotations": {"note": note},
    }
    named = {"subject": as_json(subject)} if subject is not None else {}
    return Content((manifest_of(document | named),), (b"{}", payload))


def multi_arch(*, seed: bytes = b"", layer_bytes: int = 100_000) -> Content:
    """An index of two images that share one layer."""
    shared = (b"shared" + seed).ljust(layer_bytes, b".")
    return index(image([shared, arch + seed], config=b'{"architecture":"%s"}' % arch) for arch in (b"amd64", b"arm64"))
