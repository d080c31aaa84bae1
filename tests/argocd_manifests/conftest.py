"""What these tests share: kustomize and Argo CD's command line, each with a directory of the test's own."""

from pathlib import Path

import pytest
import yaml

from argocd_manifests.asking import ArgoCommand, Resource
from argocd_manifests.rendering import MANIFESTS, Kustomize
from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests.asking import wait_until


@pytest.fixture
def folders(kustomize: Path, tmp_path: Path) -> Kustomize:
    """kustomize, and a directory to write folders in."""
    return Kustomize(kustomize, tmp_path)


@pytest.fixture
def argo(argocd_binary: Path, tmp_path: Path) -> ArgoCommand:
    """`argocd admin`, offline."""
    return ArgoCommand(argocd_binary, tmp_path)


@pytest.fixture
def argocd_cm(argocd_binary: Path, folders: Kustomize) -> Resource:
    """Argo CD's own argocd-cm, after a kustomization has taken our component in."""
    original = (argocd_binary.parent / "argocd-cm.yaml").read_text()
    component = folders.manifests("argocd", "installed")
    kustomization = {"namespace": "argocd", "resources": ["argocd-cm.yaml"], "components": [component]}
    folders.write("installed", {"argocd-cm.yaml": original, "kustomization.yaml": yaml.safe_dump(kustomization)})
    (built,) = folders.build("installed")
    return built


@pytest.fixture(scope="session")
def definitions(control_plane: Cluster) -> Cluster:
    """The API server with our custom resource definitions."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"-k={MANIFESTS / 'crd'}")
    for plural in ("promotionrequests", "promotionpolicies"):
        _until_served(control_plane, f"/apis/transship.dev/v1alpha1/{plural}")
    return control_plane


@pytest.fixture(scope="session")
def applications(definitions: Cluster, argocd_binary: Path) -> Cluster:
    """The API server with Argo CD's definition of Applications besides ours."""
    definition = argocd_binary.parent / "application-crd.yaml"
    definitions.kubectl("apply", "--server-side", "--force-conflicts", f"-f={definition}")
    _until_served(definitions, "/apis/argoproj.io/v1alpha1/applications")
    return definitions


def _until_served(control_plane: Cluster, path: str) -> None:
    # Not `kubectl wait`: it fails on a definition that has no conditions yet.
    def is_served() -> bool:
        try:
            control_plane.kubectl("get", "--raw", path)
        except WorldError:
            return False
        return True

    wait_until(is_served, f"{path} is served")
