"""A PromotionRequest as a resource of the application: in a wave before the Deployment, or as a PreSync hook."""

import pytest

from argocd.shop import HOOK, Shop, deployment, request, resource_of
from endtoend.scene import condition
from endtoend.waiting import eventually

KIND = "PromotionRequest"
EVERY_FORM = pytest.mark.parametrize(
    "form", [{"wave": "-1"}, {"hook": "PreSync"}], ids=["in wave -1", "as a PreSync hook"]
)


@EVERY_FORM
@pytest.mark.usefixtures("health_check")
def test_the_deployment_is_applied_only_after_the_request_is_ready(shop: Shop, form: dict[str, str]) -> None:
    shop.scene.policy()
    shop.commit(request(**form), deployment())
    application = shop.application()
    with shop.operator_paused():
        application.sync()
        named = f"transship.dev/{KIND}/{HOOK}"
        application.until(lambda seen: named in seen.message, "it says what it waits for")
        assert shop.deployed() == ""

    ended = application.until_ended()
    assert ended.phase == "Succeeded", ended
    shop.assert_deployed("v1.4.2")
    assert condition(shop.scene.get(KIND, HOOK), "Ready")["status"] == "True"
    assert shop.scene.get(KIND, HOOK)["status"]["application"] == application.name


@EVERY_FORM
@pytest.mark.usefixtures("health_check")
def test_a_new_tag_is_waited_for_though_the_request_was_ready_for_the_old_one(shop: Shop, form: dict[str, str]) -> None:
    shop.scene.policy()
    shop.commit(request(**form), deployment(), tag="v1.4.1")
    application = shop.application()
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    shop.commit(tag="v1.4.2")
    with shop.operator_paused():
        application.sync()
        shop.until_waiting(application, KIND)
        assert shop.deployed() == shop.scene.image("v1.4.1")

    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


@EVERY_FORM
@pytest.mark.usefixtures("health_check")
def test_a_request_that_cannot_be_fails_the_sync_with_our_sentence(shop: Shop, form: dict[str, str]) -> None:
    shop.scene.policy()
    shop.commit(request(shop.scene.image("v9.9.9"), **form), deployment())
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Failed"
    assert "v9.9.9 does not exist; push it there or name a tag that exists" in ended.line(KIND).message
    assert shop.deployed() == ""


@pytest.mark.usefixtures("health_check")
def test_an_application_whose_request_has_stalled_is_degraded(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(request(shop.scene.image("v9.9.9"), wave="-1"), deployment())
    application = shop.application()

    application.sync()

    application.until_ended()
    eventually(lambda: application.health == "Degraded", "the application is Degraded")


@pytest.mark.usefixtures("health_check")
def test_self_heal_of_the_deployment_alone_does_not_ask_the_request_again(shop: Shop) -> None:
    shop.scene.policy()
    commit = shop.commit(request(wave="-1"), deployment())
    application = shop.application(automated=True, self_heal=True)
    assert application.until_ended(commit).phase == "Succeeded"
    made = shop.scene.get(KIND, HOOK)["metadata"]
    with shop.operator_paused():
        shop.scene.admin.delete(shop.scene.path("Deployment", "checkout"))
        shop.until_deployed("v1.4.2")

    now = shop.scene.get(KIND, HOOK)["metadata"]
    assert (now["uid"], now["generation"]) == (made["uid"], made["generation"])


@pytest.mark.usefixtures("health_check")
def test_a_selective_sync_that_names_the_request_is_gated(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(request(wave="-1"), deployment(), tag="v1.4.1")
    application = shop.application()
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    shop.commit(tag="v1.4.2")
    with shop.operator_paused():
        application.sync(resources=[resource_of(KIND, HOOK), resource_of("Deployment", "checkout")])
        shop.until_waiting(application, KIND)
        assert shop.deployed() == shop.scene.image("v1.4.1")

    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


@EVERY_FORM
@pytest.mark.usefixtures("no_health_check")
def test_without_the_health_check_the_gate_is_open_which_is_told_and_the_image_is_promoted(
    shop: Shop, form: dict[str, str]
) -> None:
    shop.scene.policy()
    shop.commit(request(**form), deployment())
    application = shop.application()
    with shop.operator_paused():
        application.sync()
        assert application.until_ended().phase == "Succeeded"
        assert shop.deployed() == shop.scene.image("v1.4.2"), "nobody waited"
        assert shop.scene.get(KIND, HOOK).get("status", {}) == {}

    shop.until_promoted("v1.4.2")
    told = eventually(lambda: condition(shop.scene.get(KIND, HOOK), "GateNotEnforced"), "the open gate is told")
    assert told["status"] == "True"
    assert "manifests/argocd" in told["message"]
    uid = shop.scene.get(KIND, HOOK)["metadata"]["uid"]
    assert "GateNotEnforced" in {each["reason"] for each in shop.scene.events_of(uid)}


@EVERY_FORM
def test_a_cluster_without_the_custom_resource_refuses_the_sync_and_says_what_is_missing(
    shop: Shop, form: dict[str, str]
) -> None:
    shop.scene.policy()
    absent = request(**form) | {"kind": "PromotionRequestOfAnotherCluster"}
    shop.commit(absent, deployment())
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert (ended.phase, ended.message) == ("Failed", "one or more synchronization tasks are not valid")
    assert ended.line(absent["kind"]).message == f'{absent["kind"]}.transship.dev "" not found'
    assert shop.deployed() == ""
