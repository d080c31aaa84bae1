"""The gate: Argo CD waits for the hook, and applies the Deployment when the image was verified at the destination."""

from datetime import datetime

import pytest

from argocd.shop import HOOK, IMAGE, Shop, deployment, hook
from endtoend.scene import DESTINATION, condition
from endtoend.waiting import eventually
from localworld.controller import Controller


def _moment(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)


def test_the_deployment_is_applied_only_after_its_image_was_verified_at_the_destination(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(hook(), deployment())
    application = shop.application()
    with shop.slow_promotion(1.5):
        application.sync()
        waiting = shop.until_waiting(application)
        (request,) = eventually(lambda: shop.scene.requests_of(HOOK), "the hook's request", poll=0.02)
        assert shop.deployed() == ""
        ended = application.until_ended()

    assert waiting.message.startswith(f"waiting for completion of hook batch/Job/{HOOK}")
    assert ended.phase == "Succeeded"
    assert ended.line("Job").message == (f"1 image promoted: 1 copied (PromotionRequest {request['metadata']['name']})")
    shop.assert_deployed("v1.4.2")
    verified = shop.scene.requests_of(HOOK)[0]["status"]["finishedAt"]
    applied = shop.scene.get("Deployment", "checkout")["metadata"]["creationTimestamp"]
    assert _moment(verified).replace(microsecond=0) <= _moment(applied)


def test_a_sync_waits_while_no_operator_runs_and_goes_on_when_it_is_back(shop: Shop, operator: Controller) -> None:
    shop.scene.policy()
    shop.commit(hook(), deployment())
    application = shop.application()
    shop.kill_operator()
    application.sync()
    shop.until_waiting(application)
    assert shop.scene.get("Job", HOOK).get("status", {}) == {}, "nobody else is the Job's controller"
    assert shop.scene.admin.get(f"/api/v1/namespaces/{shop.scene.namespace}/pods")["items"] == []

    operator.start()

    assert shop.deployed() == ""
    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_a_sync_of_what_is_promoted_already_writes_nothing_to_the_registry(shop: Shop) -> None:
    application = shop.promoted()
    before, first = shop.writes(), shop.hook_uid()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Succeeded"
    assert shop.hook_uid() != first, "every sync has a hook of its own"
    assert ended.line("Job").message.startswith("1 image promoted: ")
    assert shop.writes() == before


def test_a_commit_that_changes_only_the_tag_is_promoted_and_then_deployed(shop: Shop) -> None:
    application = shop.promoted(tag="v1.4.1")
    shop.commit(tag="v1.4.2")

    application.sync()

    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")
    assert shop.scene.tags() == {"v1.4.1", "v1.4.2"}


def test_a_rollback_to_the_revision_before_copies_nothing(shop: Shop) -> None:
    application = shop.promoted(tag="v1.4.1")
    first = shop.repository.head
    shop.commit(tag="v1.4.2")
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    before = shop.writes()

    application.sync(first)

    assert application.until_ended(first).phase == "Succeeded"
    shop.assert_deployed("v1.4.1")
    assert shop.writes() == before


def test_an_automatic_sync_is_gated_like_one_by_hand(shop: Shop) -> None:
    shop.scene.policy()
    first = shop.commit(hook(), deployment(), tag="v1.4.1")
    application = shop.application(automated=True, self_heal=True)
    assert application.until_ended(first).phase == "Succeeded"
    shop.assert_deployed("v1.4.1")
    second = shop.commit(tag="v1.4.2")
    with shop.operator_paused():
        application.refresh()
        shop.until_waiting(application)
        assert shop.deployed() == shop.scene.image("v1.4.1")

    assert application.until_ended(second).phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


@pytest.mark.parametrize("option", ["ServerSideApply=true", "Replace=true", "ApplyOutOfSyncOnly=true"])
def test_the_gate_holds_with_every_sync_option_also_the_second_time(shop: Shop, option: str) -> None:
    application = shop.promoted(tag="v1.4.1", options=[option])
    first = shop.hook_uid()
    shop.commit(tag="v1.4.2")
    with shop.operator_paused():
        application.sync()
        shop.until_waiting(application)
        assert shop.deployed() == shop.scene.image("v1.4.1")

    assert application.until_ended().phase == "Succeeded"
    assert shop.hook_uid() != first
    shop.assert_deployed("v1.4.2")


def test_the_gate_holds_in_a_namespace_that_the_sync_itself_creates(shop: Shop) -> None:
    created = f"{shop.scene.namespace}-new"
    shop.scene.policy(namespaces={"names": [created]})
    shop.commit(hook(), deployment())
    application = shop.application(namespace=created, options=["CreateNamespace=true"])

    application.sync()

    ended = application.until_ended()
    shop.scene.admin.delete(f"/api/v1/namespaces/{created}")
    assert ended.phase == "Succeeded", ended
    assert ended.line("Job").message.startswith("1 image promoted: 1 copied")
    assert shop.scene.tags() == {"v1.4.2"}


def test_an_image_override_of_the_application_is_what_hook_and_deployment_mean(shop: Shop) -> None:
    shop.scene.policy()
    shop.commit(hook(), deployment(), tag="v1.4.1")
    application = shop.application(kustomize={"images": [f"{IMAGE}={shop.scene.image('v1.5.0')}"]})

    application.sync()

    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.5.0")
    assert shop.scene.tags() == {"v1.5.0"}


def test_an_init_container_of_the_hook_is_promoted_like_its_containers(shop: Shop) -> None:
    shop.scene.policy()
    resource = hook(shop.scene.image("v1.4.2"))
    resource["spec"]["template"]["spec"]["initContainers"] = [{"name": "migrate", "image": shop.scene.image("v1.5.0")}]
    shop.commit(resource, deployment())
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Succeeded"
    assert ended.line("Job").message.startswith("2 images promoted: 2 copied")
    assert shop.scene.tags() == {"v1.4.2", "v1.5.0"}


@pytest.mark.parametrize(
    ("images", "policy", "reason", "sentence"),
    [
        pytest.param(
            ["v9.9.9"], {}, "SourceMissing", "v9.9.9 does not exist; push it there or name a tag that exists",
            id="a tag that does not exist",
        ),
        pytest.param(
            ["v1.4.2"], {"repositories": ["warehouse/*"]}, "NotCovered", "ask an administrator",
            id="an image that no policy covers",
        ),
        pytest.param(
            ["v1.4.2"], {"namespaces": {"names": ["elsewhere"]}}, "NotCovered", "ask an administrator",
            id="a namespace without a policy",
        ),
        pytest.param(
            ["v1.4.2@sha256:beef"], {}, "InvalidImage", "sha256",
            id="an image string that is none",
        ),
        pytest.param(
            ["v1.4.2", "v9.9.9"], {}, "SourceMissing", "v9.9.9 does not exist",
            id="one image of two",
        ),
    ],
)  # fmt: skip
def test_a_sync_that_cannot_be_fails_with_our_sentence_and_the_reason_outlives_the_hook(
    shop: Shop, images: list[str], policy: dict[str, object], reason: str, sentence: str
) -> None:
    shop.scene.policy(**policy)
    shop.commit(hook(*(shop.scene.image(tag) for tag in images)), deployment())
    application = shop.application()

    application.sync()

    ended = application.until_ended()
    assert ended.phase == "Failed"
    line = ended.line("Job", HOOK)
    assert line.hook_phase == "Failed"
    assert sentence in line.message
    assert shop.deployed() == ""
    eventually(lambda: shop.hook_uid() == "", "HookFailed deletes the hook")
    (request,) = shop.scene.requests_of(HOOK)
    ready = condition(request, "Ready")
    assert ready["reason"] == reason, ready
    assert ready["message"] in line.message
    told = [each["note"] for each in shop.scene.events_of(request["metadata"]["uid"])]
    assert any(sentence in note for note in told), told


def test_a_failed_sync_succeeds_after_the_image_was_pushed(shop: Shop) -> None:
    shop.scene.policy()
    late = f"{shop.scene.prefix}late"
    shop.scene.world.push_sample(["v0"], late)
    image = f"{DESTINATION}/{shop.scene.prefix}{late}:v1"
    shop.commit(hook(image), deployment(image))
    application = shop.application()
    application.sync()
    assert application.until_ended().phase == "Failed"

    digest = shop.scene.world.push_sample(["v1"], late)["v1"]
    application.sync()

    assert application.until_ended().phase == "Succeeded"
    assert shop.deployed() == image
    assert shop.scene.digest(image) == digest
