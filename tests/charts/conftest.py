"""Both Helms, each with a home that goes at the end, and kustomize."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from argocd_manifests.rendering import Kustomize
from charts.chart import Helm


@pytest.fixture(scope="session", params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest, helms: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 3, and Helm 4."""
    return Helm(helms[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def one_helm(helms: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """For what does not depend on which one it is."""
    return Helm(helms["helm4"], tmp_path_factory.mktemp("helm"))


@pytest.fixture
def folders(kustomize: Path, tmp_path: Path) -> Kustomize:
    """kustomize, and a directory to write folders in."""
    return Kustomize(kustomize, tmp_path)
