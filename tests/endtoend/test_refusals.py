"""What cannot be promoted says so: a closed reason, a sentence with what to do, and nobody else is held up by it."""

import json
from collections.abc import Iterable

import pytest

from endtoend.reading import metric
from endtoend.scene import (
    DESTINATION,
    OURS,
    POLICIES,
    SOURCE,
    SOURCE_ROLE,
    Resource,
    Scene,
    condition,
    image_status,
    outcomes,
)
from endtoend.waiting import eventually
from localworld.accounts import DEVELOPMENT, PRODUCTION
from localworld.controller import Controller
from localworld.world import World

UNKNOWN_REGISTRY = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"
UNKNOWN_REGION = f"{DEVELOPMENT}.dkr.ecr.ap-south-1.amazonaws.com"


def _stalls(scene: Scene, reason: str, words: Iterable[str], *bad: str) -> Resource:
    """A request for bad images and a good one stalls for the reason, in these words, and the good one is promoted."""
    scene.request(*bad, scene.image("v1.4.1"), name="mixed")
    request = scene.until_request("mixed", "Stalled", reason)
    message = condition(request, "Ready")["message"]
    for each in words:
        assert each in message, message
    assert outcomes(request)[f"c{len(bad)}"] == ("Copied", "Promoted")
    assert scene.digest(scene.image("v1.4.1")) == scene.digests["v1.4.1"]
    assert condition(request, "Stalled")["status"] == "True"
    assert condition(request, "Reconciling")["status"] == "False"
    assert request["status"]["summary"] == f"1/{len(bad) + 1}"
    return request


def test_an_image_string_that_does_not_parse_is_refused(scene: Scene) -> None:
    scene.policy()
    bad = f"{DESTINATION}/{scene.prefix}Shop/Checkout:v1!"

    request = _stalls(scene, "InvalidImage", ["v1!", "write registry/repository:tag"], bad)

    assert outcomes(request)["c0"] == ("Refused", "InvalidImage")


def test_a_deployment_whose_image_does_not_parse_is_told_so(scene: Scene) -> None:
    scene.policy()
    deployment = scene.deploy(f"{DESTINATION}/{scene.prefix}Shop/Checkout:v1!", scene.image())

    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Stalled", "InvalidImage")

    assert outcomes(request) == {"c0": ("Refused", "InvalidImage"), "c1": ("Copied", "Promoted")}
    uid = deployment["metadata"]["uid"]
    warned = eventually(lambda: [each for each in scene.events_of(uid) if each["type"] == "Warning"], "a warning")
    assert {each["reason"] for each in warned} == {"InvalidImage"}


def test_a_denied_tag_is_refused(scene: Scene) -> None:
    scene.policy(tags={"deny": ["*-SNAPSHOT", "latest"]})

    request = _stalls(scene, "TagDenied", ["denies the tag latest", "name another tag"], scene.image("latest"))

    assert scene.namespace in condition(request, "Ready")["message"], "the policy is named"


def test_an_image_outside_of_every_policy_is_refused_when_somebody_asks_for_it(scene: Scene) -> None:
    scene.policy()

    _stalls(
        scene,
        "NotCovered",
        [f"no PromotionPolicy lets namespace {scene.namespace} promote quay.example/x", "ask an administrator"],
        "quay.example/x:v1",
    )


def test_a_tag_that_the_source_lacks_stalls_and_heals_when_it_is_pushed(scene: Scene, world: World) -> None:
    scene.policy()
    repository = f"{scene.prefix}late"
    world.push_sample(["v0"], repository)
    image = scene.image("v1", name=repository)
    _stalls(scene, "SourceMissing", [f"{SOURCE}/{repository}:v1 does not exist", "push it there"], image)

    digest = world.push_sample(["v1"], repository)["v1"]

    scene.until_request("mixed", "Promoted")
    assert scene.digest(image) == digest


def test_two_policies_that_cover_the_same_image_stop_it_and_each_is_told_of_the_other(scene: Scene) -> None:
    scene.policy("broad", repositories=["shop/*"])
    scene.policy("good", repositories=["other/*"])
    scene.policy("narrow", repositories=["shop/checkout"])
    broad, narrow, good = (f"{scene.namespace}-{each}" for each in ("broad", "narrow", "good"))
    for name, other in ((broad, narrow), (narrow, broad)):
        assert other in scene.until_policy(name, "False", "PolicyAmbiguous")["message"]
    scene.until_policy(good, "True", "Valid")
    scene.request(scene.image())

    request = scene.until_request("by-hand", "Stalled", "PolicyAmbiguous")
    assert f"{broad}, {narrow} all cover" in condition(request, "Ready")["message"]

    scene.forget_policy(narrow)
    scene.until_request("by-hand", "Promoted")
    scene.until_policy(broad, "True", "Valid")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"repositories": ["shop/[a-z]+"]}, ["spec.repositories", "shop/[a-z]+"]),
        ({"tags": {"deny": ["latest", "(v.*)"]}}, ["spec.tags.deny", "(v.*)"]),
        ({"source": {"registry": SOURCE, "roleArn": "role/transship"}}, ["spec.source.roleArn", "arn:aws:iam::"]),
        ({"source": {"registry": SOURCE, "repositoryPrefix": "team"}}, ["spec.source.repositoryPrefix", "slash"]),
        ({"source": {"registry": "https://example.com/"}}, ["spec.source.registry"]),
    ],
)
def test_a_malformed_policy_says_which_field_is_wrong_and_covers_nothing(
    scene: Scene, spec: Resource, words: list[str]
) -> None:
    scene.policy("bad", **spec)

    message = scene.until_policy(f"{scene.namespace}-bad", "False", "PolicyInvalid")["message"]

    for each in words:
        assert each in message
    stalled = condition(scene.admin.get(f"{POLICIES}/{scene.namespace}-bad"), "Stalled")
    assert (stalled["status"], stalled["observedGeneration"]) == ("True", 1)
    scene.request(scene.image())
    scene.until_request("by-hand", "Stalled", "NotCovered")


def test_a_policy_that_was_malformed_works_as_soon_as_it_is_corrected(scene: Scene) -> None:
    scene.policy("late", repositories=["shop/[a-z]+"])
    name = f"{scene.namespace}-late"
    scene.until_policy(name, "False", "PolicyInvalid")
    scene.deploy(scene.image())

    scene.admin.patch(f"{POLICIES}/{name}", {"spec": {"repositories": ["shop/*"]}})

    scene.until_policy(name, "True", "Valid")
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")


def test_a_wrong_external_id_is_denied_with_who_may_not_do_what_and_what_to_do(scene: Scene) -> None:
    scene.policy("good", repositories=["shop/*"])
    wrong = {"registry": SOURCE, "roleArn": SOURCE_ROLE, "externalId": "guessed"}
    scene.policy("wrong", repositories=["other/*"], source=wrong)

    request = _stalls(
        scene,
        "Denied",
        [
            f"arn:aws:iam::{PRODUCTION}:user/transship-controller may not sts:AssumeRole on {SOURCE_ROLE}",
            "in the role's trust policy, with the external id that the PromotionPolicy names",
        ],
        scene.image(name="other/checkout"),
    )

    assert "guessed" not in json.dumps(request)


@pytest.mark.parametrize("host", [UNKNOWN_REGISTRY, UNKNOWN_REGION])
def test_a_source_registry_that_is_unknown_is_told_with_its_name(scene: Scene, host: str) -> None:
    scene.policy("good", repositories=["shop/*"])
    scene.policy("unknown", repositories=["other/*"], source={"registry": host})
    scene.request(scene.image(name="other/checkout"), scene.image("v1.4.1"), name="mixed")

    def told() -> Resource | None:
        request = scene.get("PromotionRequest", "mixed")
        return request if outcomes(request).get("c0", ("", ""))[1] else None

    request = eventually(told, "the request says what is wrong")

    image = image_status(request, "c0")
    assert image["reason"] in {"Unreachable", "Denied", "SourceMissing", "RefusedByRegistry", "HostNotAllowed"}
    assert "eu-west-1" in image["message"] or "ap-south-1" in image["message"], image["message"]
    eventually(
        lambda: outcomes(scene.get("PromotionRequest", "mixed")).get("c1") == ("Copied", "Promoted"),
        "the other image is promoted",
    )


def test_a_tag_that_points_at_other_content_is_a_conflict_and_is_not_moved(scene: Scene, world: World) -> None:
    ci = world.identities["ci"]
    repository = f"{scene.prefix}app"
    digests = world.push_sample(["v1", "v2"], repository)
    scene.policy(tagConflict="Refuse")
    image = scene.image("v1", name=repository)
    scene.request(image, name="first")
    scene.until_request("first", "Promoted")
    world.registries.crane(ci, "copy", f"{SOURCE}/{repository}:v2", f"{SOURCE}/{repository}:v1")

    request = _stalls(scene, "TagConflict", [digests["v1"], digests["v2"], "use a new tag"], image)

    assert "does not overwrite tags" in image_status(request, "c0")["message"]
    assert scene.digest(image) == digests["v1"]


def test_a_policy_that_overwrites_tags_moves_them_and_keeps_what_was_there_in_the_status(
    scene: Scene, world: World
) -> None:
    ci = world.identities["ci"]
    repository = f"{scene.prefix}app"
    digests = world.push_sample(["v1", "v2"], repository)
    scene.policy(tagConflict="Overwrite")
    image = scene.image("v1", name=repository)
    scene.request(image, name="first")
    scene.until_request("first", "Promoted")
    world.registries.crane(ci, "copy", f"{SOURCE}/{repository}:v2", f"{SOURCE}/{repository}:v1")

    scene.request(image, name="second")

    request = scene.until_request("second", "Promoted")
    assert scene.digest(image) == digests["v2"]
    assert image_status(request, "c0")["previousDigest"] == digests["v1"]


def test_a_destination_repository_that_may_not_be_created_is_asked_for(scene: Scene) -> None:
    scene.policy("good", repositories=["shop/*"])
    scene.policy("strict", repositories=["*"], destinationRepository={"create": False}, source=_source("shop/"))

    _stalls(scene, "RepositoryMissing", [f"{scene.prefix}checkout", "create"], scene.image(name="checkout"))


def _source(prefix: str) -> Resource:
    return {
        "registry": SOURCE,
        "repositoryPrefix": prefix,
        "roleArn": SOURCE_ROLE,
        "externalId": "transship-example",
    }


def test_a_stalled_request_is_looked_at_slowly_and_its_story_is_told_once(scene: Scene, operator: Controller) -> None:
    scene.policy()
    scene.request(scene.image("v9.9.9"))
    first = scene.until_request("by-hand", "Stalled", "SourceMissing")

    def looked_again() -> Resource | None:
        request = scene.get("PromotionRequest", "by-hand")
        return request if image_status(request, "c0")["attempts"] >= 3 else None

    again = eventually(looked_again, "it is looked at again, as it may heal")

    assert condition(again, "Ready")["lastTransitionTime"] == condition(first, "Ready")["lastTransitionTime"]
    told = [each for each in scene.events_of(first["metadata"]["uid"]) if each["reason"] == "SourceMissing"]
    assert len(told) == 1
    lines = [each for each in operator.log_lines() if each.get("request") == f"{scene.namespace}/by-hand"]
    assert [each["phase"] for each in lines if each["message"] == "request transitioned"] == ["Stalled"]
    assert metric(operator, "transship_promotions_total", result="failure", reason="SourceMissing") >= 1


def test_a_request_that_the_schema_refuses_never_reaches_the_operator(scene: Scene) -> None:
    with pytest.raises(Exception, match=r"spec\.containers"):
        scene.request()

    assert scene.admin.get(f"{OURS}/namespaces/{scene.namespace}/promotionrequests")["items"] == []
