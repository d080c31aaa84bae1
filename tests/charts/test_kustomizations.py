"""Every kustomization of the repository can be built."""

import subprocess
from pathlib import Path

import pytest
import yaml

from localworld.paths import REPOSITORY

FOLDERS = [
    file.parent.relative_to(REPOSITORY)
    for top in ("manifests", "overlays")
    for file in sorted((REPOSITORY / top).rglob("[kK]ustomization*"))
    if yaml.safe_load(file.read_text())["kind"] == "Kustomization"
]


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_it_builds(kustomize: Path, folder: Path) -> None:
    built = subprocess.run(
        [str(kustomize), "build", str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert (built.returncode, built.stderr) == (0, "")
    assert all(each["kind"] for each in yaml.safe_load_all(built.stdout))
