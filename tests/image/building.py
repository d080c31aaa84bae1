"""The image, built here from local files by Debian's buildah, and what is in it."""

import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipping import image, offline
from shipping.builders import Builder, Wanted

# What a container runtime does with a restricted pod, in short: its root file system cannot be written to.
START = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
root="$1"; shift; exec chroot --userspec=65532:65532 "$root" "$@"
"""
SECONDS = 60


@dataclass(frozen=True)
class Built:
    """One image in an OCI image layout."""

    layout: Path

    @property
    def manifest(self) -> dict[str, Any]:
        (descriptor,) = json.loads((self.layout / "index.json").read_text())["manifests"]
        return self._json(descriptor["digest"])

    @property
    def config(self) -> dict[str, Any]:
        return self._json(self.manifest["config"]["digest"])

    def files(self, layer: int) -> list[tarfile.TarInfo]:
        """What is in a layer, but for its folders."""
        with tarfile.open(self._blob(self.manifest["layers"][layer]["digest"])) as archive:
            return [entry for entry in archive if not entry.isdir()]

    def unpack(self, folder: Path) -> "Tree":
        """All layers, one over the other, as a container would see them."""
        for layer in self.manifest["layers"]:
            archive = str(self._blob(layer["digest"]))
            subprocess.run(["tar", "--extract", "--gzip", f"--file={archive}", f"--directory={folder}"], check=True)
        folder.chmod(0o755)
        return Tree(folder, self.config["config"])

    def _json(self, digest: str) -> dict[str, Any]:
        return dict(json.loads(self._blob(digest).read_text()))

    def _blob(self, digest: str) -> Path:
        return self.layout / "blobs" / digest.replace(":", "/")


@dataclass(frozen=True)
class Tree:
    """The file system of an image, and its settings."""

    root: Path
    config: Mapping[str, Any]

    def run(self, arguments: Sequence[str], **environment: str) -> "subprocess.CompletedProcess[str]":
        """What the image's entry point does with arguments, as its user, with a root that is read-only."""
        own = dict(each.split("=", 1) for each in self.config["Env"])
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            START,
            "sh",
            str(self.root),
            *self.config["Entrypoint"],
            *arguments,
        ]
        return subprocess.run(
            command, env=own | environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def programs(self) -> set[str]:
        """The names of all that can be executed in the places where programs are."""
        folders = [self.root / name for name in ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")]
        return {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}


def build(builder: Builder, bases: Mapping[str, str], layout: Path, *, is_fresh: bool = False) -> Built:
    """Build the Dockerfile of this project, on local bases."""
    builder.build(
        Wanted(
            image.NAME,
            arguments={**image.arguments(), **bases},
            layout=layout,
            folders={offline.wheels(): offline.PLACE},
            is_fresh=is_fresh,
        )
    )
    return Built(layout)
