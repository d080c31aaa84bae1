"""Files are written together: all of them, or none, and one sentence says which one could not be."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from transship.errors import NeedsHuman
from transship.kustomization.hook import hook_file
from transship.kustomization.overlay import Overlay
from transship.kustomization.writing import write_together

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: "shop/web:v1"}]}}}
"""
SMALL, LARGE = 1024, 4096
"""What the disk takes, and what it does not."""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """An overlay with one image in two files, of which the second is large."""
    (tmp_path / "a.yaml").write_text(DEPLOYMENT)
    (tmp_path / "b.yaml").write_text(DEPLOYMENT.replace("{name: web}", "{name: other}") + "#" * LARGE + "\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml, b.yaml]\n")
    return tmp_path


@contextmanager
def little_room() -> Iterator[None]:
    """Files may not become large, as where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def test_where_one_file_cannot_be_written_none_is(overlay: Path) -> None:
    before = contents(overlay)
    edited = Overlay.open(overlay)
    edited.set_image("shop/web", tag="v2")
    assert len(edited.changed) == 2

    with little_room(), pytest.raises(NeedsHuman) as caught:
        edited.write()

    assert str(caught.value) == f"{overlay / 'b.yaml'} cannot be written: File too large; nothing was changed"
    assert contents(overlay) == before
    assert [each.name for each in edited.write()] == ["a.yaml", "b.yaml"]
    assert all(b"shop/web:v2" in contents(overlay)[each] for each in ("a.yaml", "b.yaml"))


def test_a_hook_that_the_kustomization_cannot_be_told_of_is_not_left_behind(overlay: Path) -> None:
    hook = hook_file(overlay, "", [("web", "shop/web:v1")])
    kustomization = overlay / "kustomization.yaml"
    kustomization.unlink()
    kustomization.mkdir()

    with pytest.raises(NeedsHuman) as caught:
        hook.write()

    assert str(caught.value) == f"{kustomization} cannot be written: Is a directory; nothing was changed"
    assert sorted(each.name for each in overlay.iterdir()) == ["a.yaml", "b.yaml", "kustomization.yaml"]


def test_what_was_written_before_another_could_not_be_is_put_back_with_its_mode(tmp_path: Path) -> None:
    first, second, third = (tmp_path / each for each in ("first", "second", "third"))
    first.write_bytes(b"old\r\n")
    first.chmod(0o640)
    third.mkdir()

    with pytest.raises(NeedsHuman, match="third cannot be written: Is a directory; nothing was changed"):
        write_together({first: "new\n", second: "new\n", third: "new\n"}, lambda file: file.name)

    assert contents(tmp_path) == {"first": b"old\r\n"}
    assert first.stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_put_back_is_said(overlay: Path) -> None:
    large, folder = overlay / "b.yaml", overlay / "folder"
    folder.mkdir()

    with little_room(), pytest.raises(NeedsHuman) as caught:
        write_together({large: "small\n", folder: "small\n"}, lambda file: file.name)

    assert str(caught.value) == (
        "folder cannot be written: Is a directory; b.yaml has changed already and cannot be put back"
    )
