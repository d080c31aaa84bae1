"""What a release does besides building: the chart goes to a registry, and what is signed is named by digest."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localworld import sample
from localworld.errors import WorldError
from reference.version import version
from registry.distribution import running
from shipping import chart, image, release

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def registry(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a registry that everybody may push to."""
    with running(distribution_binary, tmp_path_factory.mktemp("distribution")) as host:
        yield host


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which a step of a workflow tells others."""
    file = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    return file


def told(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_the_chart_is_packaged_pushed_and_told_by_digest(
    helms: dict[str, Path], registry: str, crane_binary: Path, tmp_path: Path, outputs: Path
) -> None:
    archive = chart.package(tmp_path)
    with tarfile.open(archive) as packed:
        assert "transship/values.yaml" in packed.getnames()

    reference = chart.push(f"oci://{registry}/charts", archive)

    name, _, digest = reference.partition("@")
    assert name == f"{registry}/charts/transship"
    assert told(outputs) == {"reference": reference, "name": name, "digest": digest}
    seen = subprocess.run(
        [crane_binary, "manifest", f"{name}:{version()}"], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(seen)["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    assert subprocess.run([crane_binary, "digest", reference], check=True, capture_output=True, text=True).stdout


def test_an_image_is_pushed_and_told_by_digest(
    registry: str, crane_binary: Path, tmp_path: Path, outputs: Path
) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    digest = sample.write_layout(layout, "v1")

    reference = image.push(layout, f"{registry}/transship:1.2.3")

    assert reference == f"{registry}/transship@{digest}"
    assert told(outputs)["digest"] == digest


def test_a_chart_that_was_not_made_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="run `make chart` first"):
        chart.push("oci://127.0.0.1:1/charts", tmp_path / "transship-9.9.9.tgz")


def test_a_tag_that_is_not_the_version_is_not_released() -> None:
    with pytest.raises(WorldError, match=rf"The tag is v99\.0\.0 and pyproject\.toml has {version()}"):
        release.check("v99.0.0")


def test_a_version_that_the_changelog_does_not_have_is_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "CHANGELOG", tmp_path / "CHANGELOG.md")
    release.CHANGELOG.write_text("# Changelog\n\n## Unreleased\n")
    with pytest.raises(WorldError, match=f"no section {version()}"):
        release.check(f"v{version()}")

    release.CHANGELOG.write_text(f"# Changelog\n\n## {version()} - 2030-01-01\n")
    release.check(f"v{version()}")


@pytest.mark.parametrize("reference", ["ghcr.io/transship/transship:0.1.0", "--key=x@" + DIGEST, DIGEST])
def test_only_what_nobody_can_move_is_signed(reference: str) -> None:
    with pytest.raises(WorldError, match="names no digest"):
        release.sign(reference)


def test_without_cosign_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorldError, match="cosign is not on PATH: install it"):
        release.sign(f"ghcr.io/transship/transship@{DIGEST}")


def test_cosign_is_told_the_digest_and_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / "said"
    cosign = tmp_path / "cosign"
    cosign.write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    cosign.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    release.sign(f"ghcr.io/transship/transship@{DIGEST}")

    assert said.read_text() == f"sign --yes ghcr.io/transship/transship@{DIGEST}\n"


@pytest.mark.parametrize(("name", "layout"), [("x,push=true", None), ("x", Path("dist/a,push=true")), ("x\ny", None)])
def test_no_name_becomes_an_option_of_a_builder(name: str, layout: Path | None) -> None:
    with pytest.raises(WorldError, match="leave out commas"):
        image.build(name, (), layout, "docker")
