"""kustomize as it is run by Argo CD and by people, on folders that a test writes."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
Resource = dict[str, Any]


class Kustomize:
    """The binary, and a directory to write folders in."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self.directory = directory

    def write(self, folder: str, files: Mapping[str, str]) -> None:
        """Write the files of a folder."""
        for name, text in files.items():
            path = self.directory / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def manifests(self, name: str, seen_from: str) -> str:
        """How a folder names one of ours: kustomize takes no absolute paths."""
        return os.path.relpath(MANIFESTS / name, (self.directory / seen_from).resolve())

    def edit(self, folder: str, *arguments: str) -> None:
        """Run `kustomize edit`."""
        self._run(["edit", *arguments], self.directory / folder)

    def text(self, folder: str) -> str:
        """Run `kustomize build`.

        Raises:
            subprocess.CalledProcessError: it was refused; `stderr` says why.
        """
        return self._run(["build", folder], self.directory)

    def build(self, folder: str) -> list[Resource]:
        """What comes out, as resources."""
        return list(yaml.safe_load_all(self.text(folder)))

    def _run(self, arguments: list[str], folder: Path) -> str:
        command = [str(self._binary), *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout


def of_kind(resources: list[Resource], kind: str) -> Resource:
    """The one resource of a kind."""
    (found,) = (each for each in resources if each["kind"] == kind)
    return found


def images(resource: Resource) -> dict[str, str]:
    """The images of a pod template, by container or volume."""
    pod = resource["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    volumes = [each for each in pod.get("volumes", []) if "image" in each]
    return {each["name"]: each["image"] for each in containers} | {
        f"volume {each['name']}": each["image"]["reference"] for each in volumes
    }
