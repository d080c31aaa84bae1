"""The component gives an application a hook that names what its Deployment runs, whichever way the images are set."""

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from argocd_manifests.rendering import Kustomize, Resource, images, of_kind
from localworld.cluster import Cluster
from transship.promotion.workload import HOOK_MANAGER

REGISTRY = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = f"sha256:{'a' * 64}"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout}
spec:
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      restartPolicy: Always
      initContainers:
        - {name: migrate, image: shop/migrate}
      containers:
        - name: checkout
          image: shop/checkout
          volumeMounts: [{name: settings, mountPath: /settings}, {name: model, mountPath: /model}]
        - {name: proxy, image: shop/proxy}
      volumes:
        - name: settings
          configMap: {name: settings}
        - name: model
          image: {reference: shop/model}
"""
BASE = {"deployment.yaml": DEPLOYMENT, "kustomization.yaml": "namespace: shop\nresources: [deployment.yaml]\n"}
SET = [
    {"name": f"shop/{name}", "newName": f"{REGISTRY}/shop/{name}", "newTag": "v1.4.2"}
    for name in ("checkout", "proxy", "migrate", "model")
]
EXPECTED = {
    "migrate": f"{REGISTRY}/shop/migrate:v1.4.2",
    "checkout": f"{REGISTRY}/shop/checkout:v1.4.2",
    "proxy": f"{REGISTRY}/shop/proxy:v1.4.2",
    "volume model": f"{REGISTRY}/shop/model:v1.4.2",
}


def kustomization(**content: Any) -> dict[str, str]:
    return {"kustomization.yaml": yaml.safe_dump({"namespace": "shop", **content})}


def hook_in(folders: Kustomize, folder: str) -> list[str]:
    return [folders.manifests("components/promotion-hook", folder)]


def images_of(resources: list[Resource]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return images(of_kind(resources, "Deployment")), images(of_kind(resources, "Job"))


@pytest.fixture
def production(folders: Kustomize) -> Kustomize:
    """A base, and an overlay that takes the component in and sets the images."""
    folders.write("base", BASE)
    overlay = kustomization(resources=["../base"], components=hook_in(folders, "production"), images=SET)
    folders.write("production", overlay)
    return folders


def test_in_an_overlay_the_hook_names_every_image_that_the_deployment_runs(production: Kustomize) -> None:
    assert images_of(production.build("production")) == (EXPECTED, EXPECTED)


def test_in_the_base_it_follows_what_each_overlay_sets(folders: Kustomize) -> None:
    components = hook_in(folders, "base")
    folders.write("base", BASE | kustomization(resources=["deployment.yaml"], components=components))
    folders.write("production", kustomization(resources=["../base"], images=SET))

    assert images_of(folders.build("production")) == (EXPECTED, EXPECTED)


def test_it_follows_kustomize_edit_set_image_as_pipelines_and_argo_cds_overrides_run_it(production: Kustomize) -> None:
    production.edit("production", "set", "image", f"shop/checkout={REGISTRY}/shop/checkout:v2.0.0")
    production.edit("production", "set", "image", f"shop/proxy={REGISTRY}/shop/proxy@{DIGEST}")
    changed = {"checkout": f"{REGISTRY}/shop/checkout:v2.0.0", "proxy": f"{REGISTRY}/shop/proxy@{DIGEST}"}

    assert images_of(production.build("production")) == (EXPECTED | changed, EXPECTED | changed)


def test_above_an_overlay_that_patches_images_it_follows_the_patch(folders: Kustomize) -> None:
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": EXPECTED["checkout"]}]
    patches = [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(patch)}]
    folders.write("base", BASE)
    folders.write("patched", kustomization(resources=["../base"], patches=patches))
    folders.write("above", kustomization(resources=["../patched"], components=hook_in(folders, "above")))
    folders.write(
        "beside", kustomization(resources=["../base"], components=hook_in(folders, "beside"), patches=patches)
    )

    deployment, hook = images_of(folders.build("above"))
    _, hook_beside = images_of(folders.build("beside"))

    assert deployment["checkout"] == EXPECTED["checkout"]
    assert hook == deployment
    # What the page warns of: components come before the patches of the kustomization that names them.
    assert hook_beside["checkout"] == "shop/checkout"


def test_the_hook_is_one_that_argo_cd_waits_for_and_no_cluster_starts(production: Kustomize) -> None:
    job = of_kind(production.build("production"), "Job")

    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("promote-images", "shop")
    assert job["metadata"]["annotations"] == {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookFailed",
        "argocd.argoproj.io/sync-wave": "-5",
        "transship.dev/hook": "true",
    }
    assert (job["spec"]["managedBy"], job["spec"]["suspend"]) == (HOOK_MANAGER, True)


@pytest.mark.parametrize("kinds", [("Deployment", "Deployment"), ("StatefulSet",)], ids=["two", "none"])
def test_where_there_is_not_exactly_one_deployment_nothing_is_built(folders: Kustomize, kinds: tuple[str, ...]) -> None:
    files = {
        f"{index}.yaml": DEPLOYMENT.replace("kind: Deployment", f"kind: {kind}").replace("checkout", f"w{index}")
        for index, kind in enumerate(kinds)
    }
    components = hook_in(folders, "production")
    folders.write("production", files | kustomization(resources=sorted(files), components=components))

    with pytest.raises(subprocess.CalledProcessError) as refused:
        folders.build("production")

    assert "Deployment" in refused.value.stderr


def test_the_api_server_takes_it_starts_no_pod_and_lets_it_be_completed_or_failed_while_it_is_suspended(
    control_plane: Cluster, production: Kustomize, namespace: str
) -> None:
    rendered = production.text("production").replace("namespace: shop", f"namespace: {namespace}")
    control_plane.kubectl("apply", "-f", "-", stdin=rendered)
    control_plane.kubectl(
        "wait", f"-n={namespace}", "deployment/checkout", "--for=jsonpath={.status.observedGeneration}=1"
    )
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/promote-images"
    job = control_plane.admin.get(path)
    began = job["metadata"]["creationTimestamp"]
    assert job["status"] == {}

    def ended(*types: str, **more: str) -> dict[str, Any]:
        told = {"status": "True", "reason": "Promoted", "message": "1 image promoted", "lastTransitionTime": began}
        return {"status": {"startTime": began, "conditions": [{"type": each, **told} for each in types], **more}}

    failed = control_plane.admin.patch(f"{path}/status?dryRun=All", ended("FailureTarget", "Failed"))
    complete = control_plane.admin.patch(
        f"{path}/status", ended("SuccessCriteriaMet", "Complete", completionTime=began)
    )

    assert failed["status"]["conditions"][1]["type"] == "Failed"
    assert complete["status"]["conditions"][1]["type"] == "Complete"


def test_where_managed_by_is_dropped_it_starts_no_pod_either(
    control_plane: Cluster, production: Kustomize, namespace: str
) -> None:
    job = of_kind(production.build("production"), "Job")
    del job["spec"]["managedBy"], job["metadata"]["namespace"]
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", stdin=yaml.safe_dump(job))

    # The Job controller has seen it.
    control_plane.kubectl("wait", f"-n={namespace}", "job/promote-images", "--for=condition=Suspended", "--timeout=30s")
    pods = control_plane.admin.get(f"/api/v1/namespaces/{namespace}/pods")

    assert pods["items"] == []
