"""A workload that names an image which the destination lacks gets it, and nothing else."""

import hashlib
import json
from typing import Any

import pytest

from endtoend.reading import metric
from endtoend.scene import DESTINATION, Resource, Scene, condition, images_of, outcomes, template
from endtoend.waiting import eventually
from localworld.controller import Controller

ELSEWHERE = "quay.example/somebody/sidecar:v1"


def _by_hand(kind: str, name: str, images: dict[str, str]) -> str:
    """The name a request must have: computed here from the reference documentation, not by the operator's code."""
    content = json.dumps([kind, name, sorted(images.items())])
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def test_a_deployment_that_names_a_missing_image_gets_that_image_and_no_other(scene: Scene) -> None:
    scene.policy()
    deployment = scene.deploy(scene.image("v1.4.2"))

    name = scene.request_for("checkout")["metadata"]["name"]
    scene.world.cluster.kubectl(
        *("wait", "--for=condition=Ready", "--timeout=45s"),
        *(f"promotionrequests.transship.dev/{name}", f"--namespace={scene.namespace}"),
    )

    assert name == _by_hand("Deployment", "checkout", {"c0": scene.image("v1.4.2")})
    assert scene.digest(scene.image("v1.4.2")) == scene.digests["v1.4.2"]
    scene.as_auditor("validate", "--remote", scene.image("v1.4.2"))
    assert scene.tags() == {"v1.4.2"}
    request = scene.get("PromotionRequest", name)
    assert request["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": deployment["metadata"]["uid"]}
    ]
    (image,) = request["status"]["images"]
    assert (image["digest"], image["outcome"]) == (scene.digests["v1.4.2"], "Copied")
    assert request["status"]["summary"] == "1/1"
    assert condition(request, "Stalled")["status"] == condition(request, "Reconciling")["status"] == "False"


def test_the_story_is_told_by_events_on_the_request_and_on_the_workload(scene: Scene) -> None:
    scene.policy()
    deployment = scene.deploy(scene.image())
    request = scene.request_for("checkout")

    scene.until_request(request["metadata"]["name"], "Promoted")

    for resource in (request, deployment):
        uid = resource["metadata"]["uid"]
        eventually(lambda uid=uid: "Promoted" in {each["reason"] for each in scene.events_of(uid)}, "an event")  # type: ignore[misc]
        reasons = [each["reason"] for each in scene.events_of(uid) if "transship" in each["reportingController"]]
        assert sorted(reasons) == ["Promoted", "Promoting"]
    described = scene.world.cluster.kubectl("describe", "deployment", "checkout", f"--namespace={scene.namespace}")
    assert "1 image promoted: 1 copied" in described


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_every_other_kind_of_workload_is_served_like_a_deployment(scene: Scene, kind: str) -> None:
    scene.policy()
    selector = {"selector": {"matchLabels": {"app": "checkout"}}}
    pod = template(scene.image(), restartPolicy="Never")
    specs: dict[str, Resource] = {
        "StatefulSet": {"replicas": 0, "serviceName": "checkout", "template": template(scene.image()), **selector},
        "DaemonSet": {"template": template(scene.image()), **selector},
        "Job": {"suspend": True, "template": pod},
        "CronJob": {"suspend": True, "schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": pod}}},
    }

    made = scene.create(kind, {"metadata": {"name": "checkout"}, "spec": specs[kind]})

    name = _by_hand(kind, "checkout", {"c0": scene.image()})
    eventually(lambda: scene.find("PromotionRequest", name), f"{name} is made")
    request = scene.until_request(name, "Promoted")
    assert request["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert scene.digest(scene.image()) == scene.digests["v1.4.2"]


def test_init_containers_and_image_volumes_are_images_too(scene: Scene) -> None:
    scene.policy()
    pod: dict[str, Any] = {
        "initContainers": [{"name": "migrate", "image": scene.image("v1.4.1")}],
        "volumes": [{"name": "model", "image": {"reference": scene.image("v1.5.0"), "pullPolicy": "IfNotPresent"}}],
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "checkout"}}, "template": template(scene.image(), **pod)}

    kept = scene.create("Deployment", {"metadata": {"name": "checkout"}, "spec": spec})

    # An API server without the feature drops image volumes: then nobody asked for that image.
    keeps_volumes = bool(kept["spec"]["template"]["spec"].get("volumes"))
    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    assert set(outcomes(request)) == {"c0", "migrate"} | ({"volume-model"} if keeps_volumes else set())
    assert scene.tags() == {"v1.4.1", "v1.4.2"} | ({"v1.5.0"} if keeps_volumes else set())


def test_only_the_covered_containers_of_a_pod_are_asked_for(scene: Scene) -> None:
    scene.policy()
    scene.deploy(scene.image(), ELSEWHERE)

    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    assert images_of(request) == {scene.image()}


def test_a_changed_tag_makes_the_next_request_and_old_ones_are_kept_to_the_limit(scene: Scene) -> None:
    scene.policy()
    scene.deploy(scene.image("v1.4.1"))
    names = []
    for tag in ("v1.4.1", "v1.4.2", "v1.5.0"):
        change = {"spec": {"template": template(scene.image(tag))}}
        scene.admin.patch(scene.path("Deployment", "checkout"), change)
        request = scene.request_for("checkout", scene.image(tag))
        names.append(request["metadata"]["name"])
        scene.until_request(names[-1], "Promoted")
        assert scene.digest(scene.image(tag)) == scene.digests[tag]

    assert len(set(names)) == 3
    left = eventually(
        lambda: made if len(made := scene.requests_of("checkout")) == 2 else None,
        "the oldest of three requests goes, as TRANSSHIP_HISTORY_LIMIT is 2",
    )
    assert {each["metadata"]["name"] for each in left} == set(names[1:])


def test_a_workload_whose_images_are_there_already_gets_no_request(scene: Scene, operator: Controller) -> None:
    scene.policy()
    scene.deploy(scene.image())
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    judged = metric(operator, "transship_reconciles_total", kind="Deployment", result="present")

    scene.deploy(scene.image(), name="second")

    eventually(
        lambda: metric(operator, "transship_reconciles_total", kind="Deployment", result="present") > judged,
        "the second Deployment is judged",
    )
    assert scene.requests_of("second") == []


def test_a_policy_that_does_not_watch_workloads_leaves_them_alone(scene: Scene, operator: Controller) -> None:
    scene.policy(watch={"workloads": False})
    judged = metric(operator, "transship_reconciles_total", kind="Deployment", result="not covered")
    scene.deploy(scene.image())

    eventually(
        lambda: metric(operator, "transship_reconciles_total", kind="Deployment", result="not covered") > judged,
        "the Deployment is judged",
    )
    assert scene.all("PromotionRequest") == []


def test_a_deployment_that_was_there_before_its_policy_is_served_when_the_policy_comes(scene: Scene) -> None:
    scene.deploy(scene.image())

    scene.policy()

    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    assert f"{DESTINATION}/{scene.prefix}" in scene.image()
    assert scene.digest(scene.image()) == scene.digests["v1.4.2"]


def test_a_request_goes_with_the_workload_it_was_made_for(scene: Scene) -> None:
    scene.policy()
    scene.deploy(scene.image())
    name = scene.request_for("checkout")["metadata"]["name"]
    scene.until_request(name, "Promoted")

    scene.admin.delete(scene.path("Deployment", "checkout"))

    eventually(lambda: scene.find("PromotionRequest", name) is None, "the request is collected with its owner")
    assert scene.tags() == {"v1.4.2"}, "what was promoted stays"
