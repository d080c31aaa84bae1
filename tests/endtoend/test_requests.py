"""Requests that people write: they work like those the operator makes, and can be stopped."""

from collections.abc import Mapping

import yaml

from endtoend import bulk
from endtoend.reading import metric
from endtoend.scene import DESTINATION, POLICIES, SOURCE, Scene, condition, image_status, outcomes, seconds_between
from endtoend.waiting import eventually
from localworld import paths
from localworld.controller import Controller

SAMPLES = paths.REPOSITORY / "manifests" / "samples"


def _uploads(scene: Scene) -> int:
    return scene.ledger.requests(account="222222222222")["ecr:CompleteLayerUpload"]


def test_a_request_written_by_hand_is_promoted(scene: Scene) -> None:
    scene.policy()

    scene.request(scene.image("v1.4.2"), scene.image("v1.5.0"))

    request = scene.until_request("by-hand", "Promoted")
    assert request["status"]["summary"] == "2/2"
    assert scene.tags() == {"v1.4.2", "v1.5.0"}
    for tag in ("v1.4.2", "v1.5.0"):
        assert scene.digest(scene.image(tag)) == scene.digests[tag]
    assert "trigger" not in request["spec"]


def test_an_image_named_by_digest_only_arrives_under_that_digest_and_gets_no_tag(scene: Scene) -> None:
    scene.policy()
    image = f"{DESTINATION}/{scene.prefix}shop/checkout@{scene.digests['v1.4.2']}"

    scene.request(image)

    scene.until_request("by-hand", "Promoted")
    assert scene.digest(image) == scene.digests["v1.4.2"]
    assert scene.tags() == set()


def test_a_changed_request_is_promoted_anew(scene: Scene) -> None:
    scene.policy()
    scene.request(scene.image("v1.4.2"))
    scene.until_request("by-hand", "Promoted")

    containers = [{"name": "c0", "image": scene.image("v1.5.0")}]
    changed = scene.admin.patch(scene.path("PromotionRequest", "by-hand"), {"spec": {"containers": containers}})

    request = scene.until_request("by-hand", "Promoted", generation=changed["metadata"]["generation"])
    assert image_status(request, "c0")["digest"] == scene.digests["v1.5.0"]
    assert scene.tags() == {"v1.4.2", "v1.5.0"}


def test_a_suspended_request_copies_nothing_until_it_is_let_go(scene: Scene) -> None:
    scene.policy()
    scene.request(scene.image(), suspend=True)
    request = scene.until_request("by-hand", "Suspended", "Suspended")
    assert condition(request, "Reconciling")["status"] == condition(request, "Stalled")["status"] == "False"
    assert "images" not in request["status"]

    scene.admin.patch(scene.path("PromotionRequest", "by-hand"), {"spec": {"suspend": False}})

    scene.until_request("by-hand", "Promoted")
    assert scene.digest(scene.image()) == scene.digests["v1.4.2"]


def test_a_request_suspended_while_it_runs_stops_and_goes_on_where_it_was(
    scene: Scene, bulk_digests: Mapping[str, str]
) -> None:
    scene.policy()
    images = [scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS]
    before = _uploads(scene)
    scene.request(*images)
    eventually(lambda: _uploads(scene) > before, "the copy begins", poll=0.01)

    scene.admin.patch(scene.path("PromotionRequest", "by-hand"), {"spec": {"suspend": True}})
    scene.until_request("by-hand", "Suspended")
    copied = _uploads(scene) - before
    assert copied < bulk.BLOBS, "it was stopped in the middle"

    scene.admin.patch(scene.path("PromotionRequest", "by-hand"), {"spec": {"suspend": False}})
    scene.until_request("by-hand", "Promoted")
    assert _uploads(scene) - before == bulk.BLOBS, "no layer that had arrived was sent again"
    assert scene.digest(images[-1]) == bulk_digests[bulk.TAGS[-1]]


def test_a_request_deleted_while_it_runs_stops(
    scene: Scene, operator: Controller, bulk_digests: Mapping[str, str]
) -> None:
    scene.policy()
    before = _uploads(scene)
    scene.request(*[scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS], name="doomed")
    eventually(lambda: _uploads(scene) > before, "the copy begins", poll=0.01)

    scene.admin.delete(scene.path("PromotionRequest", "doomed"))

    # Another request shows that the workers are free again, and nothing of the deleted one goes on meanwhile.
    scene.request(scene.image("v1.4.2"), name="next")
    scene.until_request("next", "Promoted")
    copied = _uploads(scene) - before
    assert copied < bulk.BLOBS
    eventually(lambda: metric(operator, "transship_queue_depth") == 0, "the queue is empty")
    assert scene.find("PromotionRequest", "doomed") is None
    assert scene.events_of("doomed") == []
    assert _uploads(scene) - before == copied


def test_what_keeps_retrying_stalls_when_its_time_is_up(scene: Scene) -> None:
    scene.policy(sourceGrace="1h")
    scene.request(scene.image("v9.9.9"), scene.image(), timeout="10s")

    retrying = scene.until_request("by-hand", "Retrying", "SourceNotYetThere")
    assert condition(retrying, "Reconciling")["status"] == "True"
    assert outcomes(retrying)["c1"] == ("Copied", "Promoted")
    stalled = scene.until_request("by-hand", "Stalled", "Timeout")

    ready = condition(stalled, "Ready")
    assert ready["message"].startswith("not done within spec.timeout; at last: c0: ")
    assert "v9.9.9" in ready["message"]
    took = seconds_between(stalled["status"]["startedAt"], stalled["status"]["finishedAt"])
    assert 10 <= took <= 25, f"{took} s"


def test_two_requests_for_the_same_image_copy_it_once(scene: Scene, bulk_digests: Mapping[str, str]) -> None:
    scene.policy()
    before = _uploads(scene)
    image = scene.image(bulk.TAGS[0], bulk.REPOSITORY)
    for name in ("one", "two"):
        scene.request(image, name=name)

    requests = [scene.until_request(name, "Promoted") for name in ("one", "two")]

    assert sorted(outcomes(each)["c0"][0] for each in requests) == ["AlreadyPresent", "Copied"]
    assert _uploads(scene) - before == bulk.LAYERS + 1
    assert scene.digest(image) == bulk_digests[bulk.TAGS[0]]


def test_two_requests_that_want_different_content_under_one_tag_do_not_both_win(scene: Scene) -> None:
    # Two policies that map one destination name to two sources are ambiguous; a digest beside the tag is not.
    scene.policy()
    repository = f"{DESTINATION}/{scene.prefix}shop/checkout"
    for tag in ("v1.4.1", "v1.5.0"):
        scene.request(f"{repository}:release@{scene.digests[tag]}", name=tag)

    def ended() -> dict[str, str] | None:
        requests = [scene.get("PromotionRequest", tag) for tag in ("v1.4.1", "v1.5.0")]
        phases = {each["metadata"]["name"]: each.get("status", {}).get("phase", "") for each in requests}
        return phases if set(phases.values()) <= {"Promoted", "Stalled"} else None

    phases = eventually(ended, "both end")
    winner = scene.digest(f"{repository}:release")
    for tag, phase in phases.items():
        assert (phase == "Promoted") == (scene.digests[tag] == winner)
    assert sorted(phases.values()) == ["Promoted", "Stalled"]
    loser = next(tag for tag, phase in phases.items() if phase == "Stalled")
    assert condition(scene.get("PromotionRequest", loser), "Ready")["reason"] == "TagConflict"


def test_the_samples_of_the_installation_are_accepted_and_judged(scene: Scene) -> None:
    policy = yaml.safe_load((SAMPLES / "promotionpolicy.yaml").read_text())
    scene.remember_policy(policy["metadata"]["name"])
    scene.world.cluster.kubectl("apply", f"--filename={SAMPLES / 'promotionpolicy.yaml'}")
    scene.until_policy(policy["metadata"]["name"], "True", "Valid")
    scene.admin.patch(
        f"/api/v1/namespaces/{scene.namespace}", {"metadata": {"labels": {"transship.dev/promote": "shop"}}}
    )

    scene.world.cluster.kubectl(
        "apply", f"--filename={SAMPLES / 'promotionrequest.yaml'}", f"--namespace={scene.namespace}"
    )

    # The sample's roles are those of an account that the twin does not have: that is told, and nothing crashes.
    name = yaml.safe_load((SAMPLES / "promotionrequest.yaml").read_text())["metadata"]["name"]
    request = scene.until_request(name, "Stalled", "Denied")
    assert "arn:aws:iam::111111111111:role/transship-read" in condition(request, "Ready")["message"]
    assert SOURCE in str(scene.admin.get(f"{POLICIES}/{policy['metadata']['name']}"))
