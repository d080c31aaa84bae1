"""Pods of a test's namespace."""

import json
from typing import Any

from admission.hook import GATE, GATED
from endtoend.scene import Resource, Scene
from endtoend.waiting import eventually


def path(scene: Scene, name: str = "") -> str:
    """Where pods are."""
    return f"/api/v1/namespaces/{scene.namespace}/pods/{name}".rstrip("/")


def resource(*images: str, name: str = "checkout", **pod: Any) -> Resource:
    """A pod whose containers run the images."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **pod}}


def create(scene: Scene, pod: Resource, query: str = "") -> Resource:
    """Create a pod; what the API server made of it."""
    return scene.admin.create(f"{path(scene)}{query}", pod)


def gates(pod: Resource) -> list[dict[str, str]]:
    """The scheduling gates of a pod."""
    return list(pod["spec"].get("schedulingGates", []))


def is_held(pod: Resource) -> bool:
    """Whether a pod has our gate, and the label that says so."""
    has_gate = GATE in gates(pod)
    assert has_gate == (GATED in pod["metadata"].get("labels", {})), json.dumps(pod["metadata"])
    return has_gate


def until_free(scene: Scene, name: str = "checkout", seconds: float = 45.0) -> Resource:
    """A pod, once it has neither gate nor label of ours."""

    def look() -> Resource | None:
        pod = scene.admin.get(path(scene, name))
        return None if is_held(pod) else pod

    return eventually(look, f"pod {name} is free", seconds=seconds)


def until_told(scene: Scene, pod: Resource, reason: str, note: str = "") -> Resource:
    """An event on a pod, once there is one for that reason, whose note begins like that."""

    def look() -> Resource | None:
        told = scene.events_of(pod["metadata"]["uid"])
        return next((each for each in told if each["reason"] == reason and each["note"].startswith(note)), None)

    return eventually(look, f"an event {reason} on the pod")
