"""A world of two CNCF distribution registries as they are: what is measured there is mostly they."""

import os
import shutil
import socket
import uuid
from functools import partial
from pathlib import Path

import yaml

from copying.content import REPOSITORY, Content
from copying.world import START_SECONDS, Counts, World
from localworld import tools
from localworld.processes import wait_until_ready

_STORAGE = Path("docker", "registry", "v2")


class DistributionWorld(World):
    """Speaks plain HTTP without credentials, over no distance, and counts nothing."""

    def _start(self) -> None:
        put(self.content, self._root("source"))
        for name, place in (("source", self.places.source), ("destination", self.places.destination)):
            self._root(name).mkdir(exist_ok=True)
            file = self._directory / f"{name}.yaml"
            file.write_text(yaml.safe_dump(self._settings(self._root(name), place.listen)))
            binary = tools.TOOLS["distribution"].path("registry")
            environment = {"OTEL_TRACES_EXPORTER": "none"}
            child = self._processes.start(name, [str(binary), "serve", str(file)], env=environment)
            wait_until_ready(child, partial(_answers, place.listen), seconds=START_SECONDS)

    @property
    def inspect_address(self) -> str:
        """The registry itself: it hides nothing."""
        return self.places.destination.listen

    def reset(self) -> None:
        """Empty the destination; it has no memory but its files."""
        shutil.rmtree(self._root("destination") / "docker", ignore_errors=True)

    def counts(self) -> Counts | None:
        """Nothing: distribution is measured as it is."""
        return None

    def _root(self, name: str) -> Path:
        return self._directory / f"{name}-storage"

    def _settings(self, root: Path, address: str) -> dict[str, object]:
        return {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(root)},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": address, "secret": uuid.uuid4().hex, "relativeurls": True},
        }


def put(content: Content, root: Path) -> None:
    """Write images into the storage of a registry that does not run: the layout of distribution's file system driver.

    Blobs are hard links, so that gigabytes are not written twice.
    """
    storage = root / _STORAGE
    repository = storage / "repositories" / REPOSITORY
    for blob in content.blobs:
        data = _data(storage, blob.digest)
        os.link(content.path.parent / "blobs" / blob.digest.removeprefix("sha256:"), data)
        _link(repository / "_layers", blob.digest)
    for image in content.images:
        _data(storage, image.digest).write_text(image.manifest)
        manifests = repository / "_manifests"
        _link(manifests / "revisions", image.digest)
        _link(manifests / "tags" / image.tag / "index", image.digest)
        current = manifests / "tags" / image.tag / "current" / "link"
        current.parent.mkdir(parents=True)
        current.write_text(image.digest)


def _data(storage: Path, digest: str) -> Path:
    encoded = digest.removeprefix("sha256:")
    folder = storage / "blobs" / "sha256" / encoded[:2] / encoded
    folder.mkdir(parents=True)
    return folder / "data"


def _link(below: Path, digest: str) -> None:
    folder = below / "sha256" / digest.removeprefix("sha256:")
    folder.mkdir(parents=True)
    (folder / "link").write_text(digest)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
