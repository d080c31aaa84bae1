"""Jobs as hooks in their other forms: named by Argo CD, deleted at the end, or run by the Job controller."""

import re

import pytest

from argocd.shop import HOOK, Shop, deployment, hook
from endtoend.scene import Resource
from endtoend.waiting import eventually


def _generated(image: str, **spec: str) -> Resource:
    """A hook as plain manifests have it: its name is made by Argo CD, and it is deleted when all went well."""
    resource = hook(image)
    annotations = {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "HookSucceeded",
    }
    resource["metadata"] = {"generateName": "promote-", "annotations": annotations}
    resource["spec"] = {"template": resource["spec"]["template"], **spec}
    return resource


def _pods(shop: Shop) -> list[Resource]:
    return list(shop.scene.admin.get(f"/api/v1/namespaces/{shop.scene.namespace}/pods")["items"])


def _end_pod(shop: Shop) -> None:
    """Do what a node does: run the pod of a Job to its end."""
    (pod,) = eventually(lambda: _pods(shop), "the Job controller makes a pod")
    path = f"/api/v1/namespaces/{shop.scene.namespace}/pods/{pod['metadata']['name']}/status"
    ended = [{"name": "c0", "state": {"terminated": {"exitCode": 0}}, "image": "", "imageID": "", "ready": False,
              "restartCount": 0}]  # fmt: skip
    shop.scene.admin.patch(path, {"status": {"phase": "Succeeded", "containerStatuses": ended}})


def test_a_hook_that_argocd_names_and_deletes_at_the_end_is_a_gate_too(shop: Shop) -> None:
    shop.scene.policy()
    image = shop.scene.image()
    commit = shop.commit_plain(_generated(image, managedBy="transship.dev/promotion"), deployment(image))
    application = shop.application(path="plain")
    with shop.operator_paused():
        application.sync()
        waiting = application.until_waiting("Job")
        assert shop.deployed() == ""

    ended = application.until_ended()
    assert re.fullmatch(rf"promote-{commit[:7]}-presync-\d+", waiting.line("Job").name)
    assert ended.phase == "Succeeded"
    assert ended.line("Job").message.startswith("1 image promoted: 1 copied")
    shop.assert_deployed("v1.4.2")
    eventually(lambda: shop.scene.all("Job") == [], "HookSucceeded deletes the hook")
    (request,) = shop.scene.all("PromotionRequest")
    assert request["status"]["phase"] == "Promoted", "what it did is still told"


def test_kustomize_refuses_a_hook_without_a_name_and_argocd_says_which(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(_generated(shop.scene.image(), managedBy="transship.dev/promotion"), deployment())
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Error"
    assert "missing metadata.name in object {{batch/v1 Job}" in application.conditions["ComparisonError"]
    assert application.sync_status == "Unknown"
    assert shop.deployed() == ""


@pytest.mark.parametrize("is_named", [False, True], ids=["with generateName", "with a name"])
def test_the_image_of_a_hook_that_the_job_controller_runs_is_promoted_so_that_its_pod_can_start(
    shop: Shop, *, is_named: bool
) -> None:
    shop.scene.policy()
    image = shop.scene.image()
    job = _generated(image)
    if is_named:
        job["metadata"] = {"name": "migrate", "annotations": job["metadata"]["annotations"]}
    shop.commit_plain(job, deployment(image))
    application = shop.application(path="plain")

    application.sync()

    application.until_waiting("Job")
    shop.until_promoted("v1.4.2")
    assert shop.deployed() == "", "the hook's pod has not run yet"
    _end_pod(shop)
    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_a_hook_whose_author_forgot_managed_by_is_run_as_a_pod_and_its_image_promoted_all_the_same(
    shop: Shop,
) -> None:
    shop.scene.policy()
    forgotten = hook()
    del forgotten["spec"]["managedBy"]
    shop.commit(forgotten, deployment())
    application = shop.application()

    application.sync()

    shop.until_waiting(application)
    shop.until_promoted("v1.4.2")
    assert len(eventually(lambda: _pods(shop), "a pod is made")) == 1
    assert "managedBy" not in shop.scene.get("Job", HOOK)["spec"]
