"""Ways around the hook: Argo CD applies without running it, and the watch of workloads promotes all the same."""

import pytest

from argocd.shop import HOOK, Shop, deployment, hook, resource_of
from endtoend.scene import POLICIES, Resource, template
from endtoend.waiting import eventually


def test_self_heal_skips_the_hook_and_what_it_applies_is_promoted(shop: Shop) -> None:
    policy = shop.scene.policy(watch={"workloads": False})["metadata"]["name"]
    commit = shop.commit(hook(), deployment())
    application = shop.application(automated=True)
    assert application.until_ended(commit).phase == "Succeeded"
    uid = shop.hook_uid()
    shop.scene.admin.delete(shop.scene.path("Deployment", "checkout"))
    shop.forget("v1.4.2")
    shop.scene.admin.patch(f"{POLICIES}/{policy}", {"spec": {"watch": {"workloads": True}}})

    application.patch({"spec": {"syncPolicy": {"automated": {"selfHeal": True}}}})

    shop.until_deployed("v1.4.2")
    assert shop.hook_uid() == uid, "the hook did not run"
    shop.until_promoted("v1.4.2")
    assert shop.scene.requests_of("checkout") != []


def test_self_heal_of_an_edited_deployment_is_no_promotion(shop: Shop) -> None:
    application = shop.promoted(tag="v1.4.2", automated=True, self_heal=True)
    uid = shop.hook_uid()
    eventually(lambda: application.sync_status == "Synced", "it is synced")
    before = shop.writes()

    shop.scene.admin.patch(shop.scene.path("Deployment", "checkout"), {"spec": {"replicas": 1}})

    eventually(lambda: shop.scene.get("Deployment", "checkout")["spec"]["replicas"] == 0, "the edit is undone")
    assert (shop.hook_uid(), shop.writes()) == (uid, before)
    shop.assert_deployed("v1.4.2")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"resources": [resource_of("Deployment", "checkout")]}, id="a selective sync"),
        pytest.param(
            {"resources": [resource_of("Job", HOOK), resource_of("Deployment", "checkout")]},
            id="a selective sync that names the hook",
        ),
        pytest.param({"strategy": "apply"}, id="the strategy apply"),
    ],
)
def test_a_sync_that_runs_no_hooks_is_not_gated_and_what_it_applies_is_promoted(shop: Shop, options: Resource) -> None:
    application = shop.promoted(tag="v1.4.1")
    uid = shop.hook_uid()
    shop.commit(tag="v1.4.2")
    with shop.operator_paused():
        application.sync(**options)
        ended = application.until_ended()
        assert ended.phase == "Succeeded"
        assert shop.deployed() == shop.scene.image("v1.4.2"), "nothing waited"
        assert shop.scene.tags() == {"v1.4.1"}

    shop.until_promoted("v1.4.2")
    assert shop.hook_uid() == uid, "the hook did not run"
    (request,) = shop.scene.requests_of("checkout")
    assert request["spec"]["trigger"]["kind"] == "Deployment"


def test_a_commit_that_changes_only_the_hook_starts_no_sync_and_copies_nothing(shop: Shop) -> None:
    application = shop.promoted(tag="v1.4.1", automated=True)
    uid = shop.hook_uid()
    before = shop.writes()

    commit = shop.commit(hook(shop.scene.image("v1.5.0")), deployment(), tag="v1.4.1")
    application.refresh()

    eventually(lambda: application.get()["status"]["sync"]["revision"] == commit, "the commit was compared")
    assert application.sync_status == "Synced"
    assert (shop.hook_uid(), shop.writes()) == (uid, before)


def test_an_image_that_the_hook_does_not_name_is_promoted_when_its_deployment_is_applied(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(hook(shop.scene.image("v1.4.1")), deployment())
    application = shop.application()

    application.sync()

    assert application.until_ended().phase == "Succeeded"
    shop.until_promoted("v1.4.2")
    shop.assert_deployed("v1.4.2")
    assert shop.scene.tags() == {"v1.4.1", "v1.4.2"}
    uid = shop.scene.get("Deployment", "checkout")["metadata"]["uid"]
    told = eventually(
        lambda: [each["note"] for each in shop.scene.events_of(uid) if each["reason"] == "Uncovered"], "it is told"
    )
    assert f"the hook of application {application.name} does not name the image of c0" in told[0]


def test_an_image_that_kubectl_sets_is_promoted(shop: Shop) -> None:
    shop.promoted(tag="v1.4.1")
    change = {"spec": {"template": template(shop.scene.image("v1.5.0"))}}

    shop.scene.admin.patch(shop.scene.path("Deployment", "checkout"), change)

    shop.until_promoted("v1.5.0")


def test_a_deployment_without_any_hook_is_promoted_after_it_was_applied(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(deployment())
    application = shop.application()

    application.sync()

    assert application.until_ended().phase == "Succeeded"
    shop.until_promoted("v1.4.2")
