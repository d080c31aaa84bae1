"""Overlays of every shape that is met in the wild, in a copy that a test may change."""

import shutil
from pathlib import Path

import pytest

from transship.kustomization.render import Options, Renderer

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """The overlays of `golden/`."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


@pytest.fixture
def renderer(kustomize: Path) -> Renderer:
    """A renderer by the pinned kustomize."""
    return Renderer(Options(program=str(kustomize)))
