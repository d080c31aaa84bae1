"""Which pods may be evicted since they wait for what has been promoted: exactly those, and never another."""

from typing import Any

import pytest

from transship.promotion.waiting import waiting_pod, waiting_pods

IMAGE, OTHER = "registry.example/shop/checkout:v2", "registry.example/shop/worker:v7"
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-1", "uid": "u", "controller": True}


def state(name: str = "app", reason: str = "ImagePullBackOff", **more: Any) -> dict[str, Any]:
    # The status of a container may spell its image in another way than its spec does.
    return {"name": name, "image": "checkout:v2", "restartCount": 0, "state": {"waiting": {"reason": reason}}, **more}


def pod(*states: dict[str, Any], phase: str = "Pending", **change: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": IMAGE}, {"name": "worker", "image": OTHER}]
    found = {"name": "checkout-1-a", "namespace": "shop", "uid": "pod-1", "resourceVersion": "7"}
    return {
        "metadata": found | {"ownerReferences": [OWNER]} | change.pop("metadata", {}),
        "spec": {"containers": containers, "initContainers": [{"name": "prepare", "image": IMAGE}]},
        "status": {"phase": phase, "containerStatuses": list(states), **change},
    }


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_a_pod_that_waits_for_a_promoted_image_may_go(reason: str) -> None:
    found = waiting_pod(pod(state(reason=reason), state("worker", "ContainerCreating")), {IMAGE})

    assert found is not None
    assert (found.namespace, found.name, found.uid, found.version, found.images) == (
        "shop",
        "checkout-1-a",
        "pod-1",
        "7",
        (IMAGE,),
    )


def test_a_pod_whose_first_init_container_waits_may_go() -> None:
    initial = pod(state(reason="PodInitializing"), initContainerStatuses=[state("prepare")])

    assert waiting_pod(initial, {IMAGE}) is not None


@pytest.mark.parametrize(
    "stays",
    [
        pod(state(), phase="Running"),
        pod(state(), metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}),
        pod(state(), metadata={"ownerReferences": []}),
        pod(state(), metadata={"ownerReferences": [OWNER | {"kind": "Node"}]}),
        pod(state(), metadata={"ownerReferences": [OWNER | {"controller": False}]}),
        pod(state(), metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod(state(reason="ContainerCreating")),
        pod(state(reason="InvalidImageName")),
        pod(state(), state("worker")),
        pod(state("worker")),
        pod(state(restartCount=1)),
        pod(state(lastState={"terminated": {"exitCode": 1}})),
        pod(state(), state("worker", state={"running": {}})),
        pod(state(), initContainerStatuses=[state("prepare", state={"terminated": {"exitCode": 0}})]),
        pod(),
        {"metadata": pod()["metadata"], "spec": pod()["spec"]},
    ],
    ids=[
        "it runs",
        "it is being deleted",
        "nobody would make it again",
        "it is a mirror of a static pod by its owner",
        "its owner does not control it",
        "it is a mirror of a static pod by its annotation",
        "it is only being created",
        "its image cannot be pulled ever",
        "another container waits for an image that was not promoted",
        "it waits for another image",
        "it was restarted",
        "it ran before",
        "another container of it runs",
        "an init container has run",
        "nothing is known of its containers",
        "it has no status",
    ],
)
def test_a_pod_stays_when(stays: dict[str, Any]) -> None:
    assert waiting_pod(stays, {IMAGE}) is None
    assert not list(waiting_pods([stays, stays], {IMAGE}))
