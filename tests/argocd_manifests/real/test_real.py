"""What is supplied for Argo CD, in a real Argo CD with the real operator: component, health check, notifications."""

import json
import shutil
import time
from collections.abc import Iterator

import pytest
import yaml

from argocd.shop import IMAGE, Shop, deployment, request
from argocd_manifests.asking import ArgoCommand
from argocd_manifests.rendering import MANIFESTS
from endtoend.waiting import eventually
from localworld.argocd import ArgoCD

CHECK = yaml.safe_load((MANIFESTS / "argocd" / "argocd-cm.yaml").read_text())["data"]
NOTIFICATIONS = yaml.safe_load((MANIFESTS / "argocd" / "notifications" / "argocd-notifications-cm.yaml").read_text())
USUAL_WAVE_DELAY = 2  # seconds; the tests' Argo CD has none
READ_ANEW_SECONDS = 3  # after a change of argocd-cm the cache of the cluster is built again, and nothing tells when


@pytest.fixture
def _health_check(argocd: ArgoCD) -> Iterator[None]:
    argocd.configure(CHECK)
    time.sleep(READ_ANEW_SECONDS)
    yield
    argocd.configure(dict.fromkeys(CHECK))
    time.sleep(READ_ANEW_SECONDS)


@pytest.fixture
def _usual_wave_delay(argocd: ArgoCD) -> Iterator[None]:
    usual, argocd.wave_delay = argocd.wave_delay, USUAL_WAVE_DELAY
    _restart_controller(argocd)
    yield
    argocd.wave_delay = usual
    _restart_controller(argocd)


def _restart_controller(argocd: ArgoCD) -> None:
    argocd.stop_controller()
    argocd.start_controller()


def commit_with_the_component(shop: Shop, tag: str, **more: object) -> None:
    """The overlay as the how-to has it."""
    shutil.copytree(MANIFESTS / "components", shop.repository.directory / "components", dirs_exist_ok=True)
    overlay = {
        "resources": ["../base"],
        "components": ["../components/promotion-hook"],
        "images": [{"name": IMAGE, "newName": shop.scene.image(tag).rpartition(":")[0], "newTag": tag}],
        **more,
    }
    base = {"base/kustomization.yaml": '{"resources": ["all.yaml"]}', "base/all.yaml": json.dumps(deployment())}
    shop.repository.commit(base | {"production/kustomization.yaml": json.dumps(overlay)})


def test_the_components_hook_gates_a_sync_and_the_notification_of_its_failure_has_the_reason(
    shop: Shop, argo: ArgoCommand
) -> None:
    shop.scene.policy()
    commit_with_the_component(shop, "v1.4.2")
    application = shop.application()

    application.sync()
    promoted = application.until_ended()
    told = argo.triggered("on-promoted", application.get(), NOTIFICATIONS)
    commit_with_the_component(shop, "v9.9.9")
    application.sync()
    failed = application.until_ended()

    assert (promoted.phase, failed.phase) == ("Succeeded", "Failed")
    assert promoted.line("Job").message.startswith("1 image promoted: 1 copied")
    shop.assert_deployed("v1.4.2")
    assert told
    assert argo.triggered("on-promotion-failed", application.get(), NOTIFICATIONS)
    said = argo.notification("app-promotion-failed", application.get(), NOTIFICATIONS)["message"]
    assert "v9.9.9 does not exist; push it there or name a tag that exists" in failed.line("Job").message
    assert said.rstrip().endswith(f"- Job {shop.scene.namespace}/promote-images: {failed.line('Job').message}")


def test_the_components_hook_without_managed_by_starts_no_pod_and_keeps_the_gate_closed(shop: Shop) -> None:
    # As where it was forgotten, or before Kubernetes 1.32: the Job controller takes the Job for its own.
    shop.scene.policy()
    dropped = {"target": {"kind": "Job"}, "patch": '[{"op": "remove", "path": "/spec/managedBy"}]'}
    commit_with_the_component(shop, "v1.4.2", patches=[dropped])
    application = shop.application()

    application.sync()
    shop.until_waiting(application)
    shop.until_promoted("v1.4.2")
    hook = shop.hook_uid()
    eventually(
        lambda: any(each["reason"] == "ManagedByMissing" for each in shop.scene.events_of(hook)),
        "the operator says what is missing",
    )
    application.refresh()
    time.sleep(READ_ANEW_SECONDS)

    assert shop.until_waiting(application).phase == "Running"
    assert shop.deployed() == ""
    assert shop.scene.world.cluster.kubectl("get", "pods", f"-n={shop.scene.namespace}", "-o=name") == ""


@pytest.mark.usefixtures("_health_check")
def test_a_request_in_wave_minus_one_fails_the_sync_with_its_reason_and_need_not_degrade_the_application(
    shop: Shop,
) -> None:
    shop.scene.policy()
    resource = request(wave="-1")
    resource["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"] = "true"
    shop.commit(resource, deployment(), tag="v9.9.9")
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Failed"
    assert ended.line("PromotionRequest").message.startswith("SourceMissing: ")
    assert ended.line("PromotionRequest").message.endswith("push it there or name a tag that exists")
    assert application.health != "Degraded"
    assert shop.deployed() == ""


@pytest.mark.usefixtures("_health_check", "_usual_wave_delay")
def test_a_request_in_wave_minus_one_gates_each_change_of_the_tag_with_argo_cds_usual_delay_between_waves(
    shop: Shop,
) -> None:
    # Without that delay Argo CD may judge a changed request by the verdict that its watch brought before the change.
    shop.scene.policy()
    shop.commit(request(wave="-1"), deployment(), tag="v1.4.1")
    application = shop.application()
    seen = []

    for tag in ("v1.4.1", "v9.9.9", "v1.4.2", "v8.8.8"):
        shop.commit(tag=tag)
        application.sync()
        seen.append((application.until_ended().phase, shop.deployed().rpartition(":")[2]))

    assert seen == [("Succeeded", "v1.4.1"), ("Failed", "v1.4.1"), ("Succeeded", "v1.4.2"), ("Failed", "v1.4.2")]
