"""The Job that never runs: Argo CD waits for it, and its status says when to go on, or why not."""

import json
import time

import pytest

from endtoend.scene import DESTINATION, POLICIES, Scene, condition, hook_resource, next_second, seconds_between
from endtoend.waiting import eventually
from localworld.world import World
from transship.promotion.request import request_name
from transship.promotion.workload import ContainerImage, WorkloadKey

WRITES = ("ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:CompleteLayerUpload", "ecr:CreateRepository")


def _writes(scene: Scene) -> dict[str, int]:
    spent = scene.ledger.requests(account="222222222222")
    return {action: spent[action] for action in WRITES}


def test_a_hook_is_complete_when_its_images_are_there_and_no_pod_is_ever_made(scene: Scene) -> None:
    scene.policy()
    hook = scene.hook(scene.image())

    complete = scene.until_job("promote-images", "Complete", uid=hook["metadata"]["uid"])

    assert complete["status"] == "True"
    assert complete["reason"] == "Promoted"
    (request,) = scene.requests_of("promote-images")
    assert complete["message"] == f"1 image promoted: 1 copied (PromotionRequest {request['metadata']['name']})"
    assert "ownerReferences" not in request["metadata"], "the request is the hook's history and survives it"
    assert scene.digest(scene.image()) == scene.digests["v1.4.2"]
    assert scene.world.cluster.kubectl("get", "pods", f"--namespace={scene.namespace}", "--output=name") == ""


def test_a_hook_made_again_with_the_same_images_is_complete_within_seconds_and_nothing_is_copied(scene: Scene) -> None:
    scene.policy()
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")
    before = _writes(scene)
    scene.admin.delete(scene.path("Job", "promote-images"), {"propagationPolicy": "Background"})
    started = time.monotonic()

    again = scene.hook(scene.image())
    complete = scene.until_job("promote-images", "Complete", uid=again["metadata"]["uid"])

    assert time.monotonic() - started < 10
    assert complete["reason"] == "Promoted"
    assert seconds_between(again["metadata"]["creationTimestamp"], complete["lastTransitionTime"]) >= 0
    assert _writes(scene) == before
    assert len(scene.requests_of("promote-images")) == 1


def test_a_hook_that_is_made_again_many_times_always_ends(scene: Scene) -> None:
    scene.policy()
    for _ in range(4):
        hook = scene.hook(scene.image())
        scene.until_job("promote-images", "Complete", uid=hook["metadata"]["uid"])
        scene.admin.delete(scene.path("Job", "promote-images"), {"propagationPolicy": "Background"})

    assert len(scene.requests_of("promote-images")) == 1


def test_a_hook_whose_tag_does_not_exist_fails_with_the_reason_and_its_request_survives_it(scene: Scene) -> None:
    scene.policy()
    scene.hook(scene.image("v9.9.9"))

    failed = scene.until_job("promote-images", "Failed")

    assert failed["reason"] == "SourceMissing"
    assert "shop/checkout:v9.9.9 does not exist; push it there or name a tag that exists" in failed["message"]
    (request,) = scene.requests_of("promote-images")
    uid = scene.get("Job", "promote-images")["metadata"]["uid"]
    scene.admin.delete(scene.path("Job", "promote-images"), {"propagationPolicy": "Foreground"})
    eventually(lambda: scene.find("Job", "promote-images") is None, f"Job {uid} is gone")
    kept = scene.get("PromotionRequest", request["metadata"]["name"])
    assert condition(kept, "Ready")["reason"] == "SourceMissing"
    assert condition(kept, "Stalled")["status"] == "True"


def test_a_hook_that_no_policy_covers_fails_and_says_whom_to_ask(scene: Scene) -> None:
    scene.policy(repositories=["warehouse/*"])
    scene.hook(scene.image())

    failed = scene.until_job("promote-images", "Failed")

    assert failed["reason"] == "NotCovered"
    assert (
        f"no PromotionPolicy lets namespace {scene.namespace} promote {DESTINATION}/{scene.prefix}shop/checkout"
        in (failed["message"])
    )
    assert "ask an administrator" in failed["message"]


def test_a_hook_made_again_after_its_image_was_pushed_is_complete(scene: Scene, world: World) -> None:
    scene.policy()
    repository = f"{scene.prefix}late"
    image = scene.image("v1", name=repository)
    world.push_sample(["v0"], repository)
    scene.hook(image)
    failed = scene.until_job("promote-images", "Failed")
    assert failed["reason"] == "SourceMissing"

    digest = world.push_sample(["v1"], repository)["v1"]
    next_second()
    scene.admin.delete(scene.path("Job", "promote-images"), {"propagationPolicy": "Background"})
    again = scene.hook(image)

    assert scene.until_job("promote-images", "Complete", uid=again["metadata"]["uid"])["reason"] == "Promoted"
    assert scene.digest(image) == digest


@pytest.mark.parametrize("attempt", range(3))
def test_a_hook_applied_together_with_its_policy_and_the_label_of_its_namespace_is_complete(
    scene: Scene, attempt: int
) -> None:
    label = {"promote": scene.namespace}
    policy = scene.policy_resource(namespaces={"matchLabels": label})
    # The namespace has been known for a while, without the label; then everything comes at once.
    scene.hook(scene.image("v1.4.1"), name="before")
    scene.until_job("before", "Failed")
    scene.remember_policy(policy["metadata"]["name"])

    scene.admin.create(POLICIES, policy)
    scene.admin.patch(f"/api/v1/namespaces/{scene.namespace}", {"metadata": {"labels": label}})
    scene.hook(scene.image())

    def ended() -> str | None:
        job = scene.get("Job", "promote-images")
        return next((kind for kind in ("Complete", "Failed") if condition(job, kind)), None)

    assert eventually(ended, "the hook ends") == "Complete", json.dumps(scene.get("Job", "promote-images")["status"])


def test_a_hook_with_several_images_fails_for_one_and_the_others_are_promoted(scene: Scene) -> None:
    scene.policy()
    scene.hook(scene.image("v9.9.9"), scene.image("v1.4.2"), scene.image("v1.5.0"))

    failed = scene.until_job("promote-images", "Failed")

    assert failed["reason"] == "SourceMissing"
    assert scene.tags() == {"v1.4.2", "v1.5.0"}


def test_a_job_of_somebody_else_is_left_to_the_job_controller(scene: Scene) -> None:
    scene.policy()
    resource = hook_resource(scene.image(), name="theirs")
    resource["spec"] |= {"managedBy": "example.com/other", "suspend": True}

    scene.create("Job", resource)

    request = scene.request_for("theirs")
    scene.until_request(request["metadata"]["name"], "Promoted")
    assert scene.get("Job", "theirs").get("status", {}) == {}, "only the owner of a Job writes its status"


def test_a_hook_whose_request_somebody_wrote_first_and_deleted_gets_another_one(scene: Scene) -> None:
    scene.policy()
    images = [ContainerImage("c0", scene.image())]
    name = request_name(WorkloadKey("Job", scene.namespace, "promote-images"), images)
    scene.request(scene.image(), name=name, suspend=True)
    scene.until_request(name, "Suspended", "Suspended")
    hook = scene.hook(scene.image())
    eventually(
        lambda: "Suspended" in json.dumps(scene.get("Job", "promote-images").get("status", {})),
        "the hook waits for the request it found",
    )

    scene.admin.delete(scene.path("PromotionRequest", name))

    scene.until_job("promote-images", "Complete", uid=hook["metadata"]["uid"])
