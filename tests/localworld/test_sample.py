"""The sample image has the shape of a real one and is the same at every run."""

import json
from pathlib import Path
from typing import Any

from localworld import sample


def blob(layout: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    content = (layout / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
    assert len(content) == descriptor["size"]
    parsed: dict[str, Any] = json.loads(content)
    return parsed


def layers(layout: Path) -> list[list[str]]:
    root = json.loads((layout / "index.json").read_text())["manifests"][0]
    return [[layer["digest"] for layer in blob(layout, each)["layers"]] for each in blob(layout, root)["manifests"]]


def test_the_same_version_has_the_same_digest(tmp_path: Path) -> None:
    assert sample.write_layout(tmp_path / "a", "v1.4.2") == sample.write_layout(tmp_path / "b", "v1.4.2")


def test_two_versions_share_their_base_layers_and_nothing_else(tmp_path: Path) -> None:
    assert sample.write_layout(tmp_path / "a", "v1.4.2") != sample.write_layout(tmp_path / "b", "v1.5.0")

    for (old_base, old_application), (new_base, new_application) in zip(
        layers(tmp_path / "a"), layers(tmp_path / "b"), strict=True
    ):
        assert old_base == new_base
        assert old_application != new_application


def test_there_is_a_manifest_for_each_platform(tmp_path: Path) -> None:
    sample.write_layout(tmp_path / "a", "v1.4.2")
    root = json.loads((tmp_path / "a" / "index.json").read_text())["manifests"][0]

    platforms = [each["platform"] for each in blob(tmp_path / "a", root)["manifests"]]

    assert platforms == [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}]
