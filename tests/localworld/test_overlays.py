"""The sample application's overlays render to what the README, the demo and Argo CD rely on."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from localworld import paths

DEVELOPMENT = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout"
PRODUCTION = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout"
OVERLAYS = {
    "dev": f"{DEVELOPMENT}:v1.5.0",
    "production": f"{PRODUCTION}:v1.4.2",
    "production-patch": f"{PRODUCTION}:v1.4.2",
}


def render(kustomize: Path, overlay: str) -> str:
    command = [str(kustomize), "build", str(paths.REPOSITORY / "overlays" / overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def resources_of(kustomize: Path, overlay: str) -> dict[str, Any]:
    return {resource["kind"]: resource for resource in yaml.safe_load_all(render(kustomize, overlay))}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_hook_names_exactly_the_image_that_the_deployment_runs(kustomize: Path, overlay: str) -> None:
    resources = resources_of(kustomize, overlay)

    images = {
        kind: [container["image"] for container in resources[kind]["spec"]["template"]["spec"]["containers"]]
        for kind in ("Deployment", "Job")
    }

    assert images == {"Deployment": [OVERLAYS[overlay]], "Job": [OVERLAYS[overlay]]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_hook_is_a_job_that_only_transship_controls(kustomize: Path, overlay: str) -> None:
    job = resources_of(kustomize, overlay)["Job"]

    assert job["spec"]["managedBy"] == "transship.dev/promotion"
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_lives_in_the_namespace_of_the_shop(kustomize: Path, overlay: str) -> None:
    resources = resources_of(kustomize, overlay)

    assert {resource["metadata"]["namespace"] for resource in resources.values()} == {"shop"}
    assert set(resources) == {"Deployment", "Service", "Job"}


def test_the_api_server_takes_the_production_overlay_and_leaves_the_hook_alone(
    control_plane: Any, kustomize: Path, namespace: str
) -> None:
    rendered = render(kustomize, "production")
    control_plane.kubectl("apply", "-f", "-", stdin=rendered.replace("namespace: shop", f"namespace: {namespace}"))

    # The Deployment's controller is at work, so the Job's would be too.
    control_plane.kubectl(
        "wait", f"-n={namespace}", "deployment/checkout", "--for=jsonpath={.status.observedGeneration}=1"
    )
    job = control_plane.admin.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/promote-images")

    assert job["spec"]["managedBy"] == "transship.dev/promotion"
    assert job["status"] == {}
