"""The gate and Argo CD: a sync that waited for its hook comes in, one that went around it is told why it does not."""

from collections.abc import Iterator

import pytest

from argocd.shop import Shop, deployment, hook
from endtoend.waiting import eventually
from gate.scene import GatedScene
from localworld.application import Application
from localworld.argocd import ArgoCD
from localworld.controller import Controller


@pytest.fixture
def shop(scene: GatedScene, argocd: ArgoCD, operator: Controller) -> Iterator[Shop]:
    """An overlay in a git repository of this test, in a gated namespace."""
    scene.ask_for_gate()
    shop = Shop(scene, argocd, operator)
    yield shop
    shop.close()


def synced(shop: Shop, tag: str, **options: object) -> Application:
    """An Application of hook and Deployment whose first sync, under the gate, has succeeded."""
    shop.commit(hook(), deployment(), tag=tag)
    application = shop.application(**options)
    application.sync()
    ended = application.until_ended()
    assert ended.phase == "Succeeded", ended.message
    shop.assert_deployed(tag)
    return application


def test_a_sync_with_its_hook_comes_in_and_one_without_is_told_what_to_do(shop: Shop) -> None:
    application = synced(shop, "v1.4.1")
    shop.commit(tag="v1.4.2")

    application.sync(strategy="apply")
    ended = application.until_ended()

    assert ended.phase == "Failed"
    assert (
        "deployments.apps \"checkout\" is forbidden: ValidatingAdmissionPolicy 'transship-gate' with binding "
        f"'transship-gate-changes' denied request: image {shop.scene.image('v1.4.2')} is not promoted for namespace "
        f"{shop.scene.namespace}; sync with the promotion hook"
    ) in ended.line("Deployment").message
    assert shop.deployed() == shop.scene.image("v1.4.1"), "what runs is left alone"
    assert shop.scene.tags() == {"v1.4.1"}
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_self_heal_puts_back_what_was_promoted(shop: Shop) -> None:
    application = synced(shop, "v1.4.2", automated=True, self_heal=True)
    eventually(lambda: application.sync_status == "Synced", "it is synced")

    shop.scene.admin.delete(shop.scene.path("Deployment", "checkout"))

    shop.until_deployed("v1.4.2")


def test_a_server_side_diff_is_no_reason_not_to_sync(shop: Shop) -> None:
    application = synced(shop, "v1.4.1", options=["ServerSideApply=true"])
    compare = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}
    application.patch({"metadata": {"annotations": compare}})
    revision = shop.commit(tag="v1.4.2")

    application.refresh("hard")

    eventually(
        lambda: (application.get()["status"]["sync"]["revision"], application.sync_status) == (revision, "OutOfSync"),
        "the new commit has been compared",
    )
    assert "ComparisonError" not in application.conditions
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")
