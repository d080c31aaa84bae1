"""Pods really run: what was promoted is pulled from the destination registry, and nothing else."""

import json
import urllib.request
from typing import Any

import yaml

from admission.conftest import until_known
from admission.hook import Hook
from endtoend.scene import Scene, condition
from endtoend.waiting import eventually
from localworld import paths
from localworld.apiserver import Resource

RUNNABLE = "shop/runnable"
WAITING = {"ErrImagePull", "ImagePullBackOff"}
LABEL = "app.kubernetes.io/name=checkout"


def deploy(scene: Scene, tag: str) -> Resource:
    """The Deployment of overlays/base, with one pod, as an overlay would name its image."""
    resource: Resource = yaml.safe_load((paths.REPOSITORY / "overlays/base/deployment.yaml").read_text())
    resource["spec"]["replicas"] = 1
    resource["spec"]["template"]["spec"]["containers"][0]["image"] = scene.image(tag, RUNNABLE)
    return scene.create("Deployment", resource)


def pods(scene: Scene) -> list[Resource]:
    listed = scene.admin.get(f"/api/v1/namespaces/{scene.namespace}/pods", labelSelector=LABEL)["items"]
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def container(pod: Resource) -> dict[str, Any]:
    return dict((pod.get("status", {}).get("containerStatuses") or [{}])[0])


def until_waiting(scene: Scene) -> Resource:
    """The pod, once the kubelet has found that its image is not there."""

    def look() -> Resource:
        (pod,) = pods(scene) or [{}]
        waiting = container(pod).get("state", {}).get("waiting", {})
        assert waiting.get("reason") in WAITING, json.dumps(pod.get("status", {}))
        return pod

    return eventually(look, "the pod waits for its image")


def until_ready(scene: Scene, *, seconds: float) -> Resource:
    """The pod, once it is Ready."""

    def look() -> Resource:
        (pod,) = pods(scene) or [{}]
        assert condition(pod, "Ready").get("status") == "True", json.dumps(pod.get("status", {}))
        return pod

    return eventually(look, "the pod is Ready", seconds=seconds)


def said_by(pod: Resource) -> bytes:
    """What the application answers: its version."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{pod['status']['podIP']}:8080/", timeout=5) as answer:
        line: bytes = answer.readline()
    return line


def test_a_pod_whose_image_is_missing_starts_by_itself_once_it_is_promoted(scene: Scene) -> None:
    deploy(scene, "v1.4.2")
    waiting = until_waiting(scene)

    scene.policy()
    ready = until_ready(scene, seconds=90)  # whenever the kubelet looks again

    assert ready["metadata"]["uid"] == waiting["metadata"]["uid"]
    assert container(ready)["imageID"] == f"{scene.image('', RUNNABLE).rstrip(':')}@{scene.digests['v1.4.2']}"
    assert said_by(ready).startswith(b"checkout v1.4.2 for ")


def test_a_pod_that_waits_is_made_anew_and_starts_at_once_where_the_policy_says_so(scene: Scene) -> None:
    deploy(scene, "v1.5.0")
    waiting = until_waiting(scene)

    scene.policy(watch={"recreateWaitingPods": True})
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    ready = until_ready(scene, seconds=20)

    assert ready["metadata"]["uid"] != waiting["metadata"]["uid"]
    assert container(ready)["imageID"].endswith(scene.digests["v1.5.0"])
    assert said_by(ready).startswith(b"checkout v1.5.0 for ")


def test_a_pod_that_the_webhook_holds_starts_without_ever_failing_to_pull(scene: Scene, hook: Hook) -> None:
    place = f"/api/v1/namespaces/{scene.namespace}"
    scene.admin.patch(place, {"metadata": {"labels": {"transship.dev/admission": "enabled"}}})
    eventually(lambda: scene.admin.get(f"{place}/serviceaccounts")["items"], "pods can be made in the namespace")
    scene.policy(watch={"workloads": False})
    until_known(scene)

    deploy(scene, "v1.4.1")
    ready = until_ready(scene, seconds=30)

    assert said_by(ready).startswith(b"checkout v1.4.1 for ")
    told = {event["reason"] for event in scene.events_of(ready["metadata"]["uid"])}
    assert "Pulled" in told
    assert not told & {"Failed", "BackOff"}
