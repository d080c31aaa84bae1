"""Gated pods, step by step: which verdict counts, who is asked for, and that nobody waits for ever."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from transship.errors import NeedsHuman, Reason
from transship.metrics import Metrics
from transship.operator.gated import SWEEP, GatedReconciler, Waiting
from transship.operator.known import Known
from transship.operator.picture import Picture
from transship.operator.queue import WorkQueue
from transship.promotion.workload import WorkloadKey

from . import world
from .world import MemoryCluster

START = datetime.fromisoformat(world.CREATED)
POD = WorkloadKey("Pod", "shop", "checkout")
GATE = {"name": "transship.dev/promotion"}


def pod(name: str = "checkout", *, uid: str = "uid-1", image: str = world.IMAGE, **more: Any) -> world.Resource:
    containers = [{"name": "app", "image": image}]
    labels = {"transship.dev/gated": "true", **more.pop("labels", {})}
    return {
        "metadata": world.metadata(name, uid=uid, labels=labels, **more),
        "spec": {"schedulingGates": [GATE], "containers": containers},
    }


class MemoryGates:
    """Scheduling gates in memory."""

    def __init__(self) -> None:
        self.pods: dict[str, world.Resource] = {}
        self.lifted: list[str] = []

    def gated_pods(self) -> Iterator[dict[str, Any]]:
        yield from list(self.pods.values())

    def lift(self, namespace: str, name: str, uid: str) -> bool:
        if name not in self.pods or self.pods[name]["metadata"]["uid"] != uid:
            return False
        del self.pods[name]
        self.lifted.append(uid)
        return True


class Scene:
    """A reconciler with a policy, and what it has done."""

    def __init__(self) -> None:
        self.cluster, self.known, self.gates, self.waiting = MemoryCluster(), Known(), MemoryGates(), Waiting()
        self.promoted: list[Any] = []
        self.now = START + timedelta(seconds=1)
        self.cluster.put("Namespace", world.namespace())
        self.cluster.put("PromotionPolicy", world.policy())
        picture = Picture(self.known, self.cluster, lambda: None, lambda _: None)
        picture.load()
        self.queue: WorkQueue[WorkloadKey] = WorkQueue("test", lambda _: None, 1)
        self.reconciler = GatedReconciler(
            waiting=self.waiting,
            gates=self.gates,
            known=self.known,
            picture=picture,
            cluster=self.cluster,
            metrics=Metrics("test"),
            clock=lambda: self.now,
            history_limit=2,
            promote=self.promoted.append,
        )

    def hold(self, resource: world.Resource) -> None:
        """A gated pod is there and was seen."""
        self.gates.pods[resource["metadata"]["name"]] = resource
        assert self.waiting.see(resource) is not None

    def look(self, key: WorkloadKey = POD) -> None:
        self.reconciler.reconcile(key, self.queue)

    def end(self, phase: str, reason: str = "", finished: datetime | None = None) -> None:
        """The one request comes to an end."""
        (made,) = (each for (kind, _, _), each in self.cluster.objects.items() if kind == "PromotionRequest")
        told = (finished or self.now).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "False", "reason": reason or phase, "message": "so it is"}
        status: Mapping[str, Any] = {
            "phase": phase,
            "observedGeneration": 1,
            "finishedAt": told,
            "conditions": [{**ready, "lastTransitionTime": told}],
        }
        self.known.see_request(self.cluster.put("PromotionRequest", {**made, "status": status}))

    def answer(self) -> None:
        """What was asked until now is answered."""
        for key in self.known.request_keys():
            self.known.answer(key, self.known.asking(key))

    @property
    def requests(self) -> list[world.Resource]:
        return [each for (kind, _, _), each in self.cluster.objects.items() if kind == "PromotionRequest"]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_gate_is_lifted_by_a_verdict_that_was_found_for_this_pod(scene: Scene) -> None:
    scene.hold(pod())
    scene.look()
    assert (scene.gates.lifted, len(scene.promoted)) == ([], 2)

    scene.answer()
    scene.end("Promoted")
    scene.look()

    assert (scene.gates.lifted, scene.cluster.events) == (["uid-1"], ["Promoting", "Promoted"])


@pytest.mark.parametrize("phase", ["Promoted", "Stalled"])
def test_a_verdict_from_before_is_none_even_while_the_new_one_is_being_written(scene: Scene, phase: str) -> None:
    scene.hold(pod(uid="first"))
    scene.look()
    scene.answer()
    scene.end(phase)
    scene.look()
    scene.now += timedelta(minutes=1)
    scene.hold(pod(uid="second"))

    scene.look()
    assert scene.gates.lifted == ["first"], "nobody has answered the second pod"
    scene.answer()
    scene.look()
    assert scene.gates.lifted == ["first"], "the status is still the one from before"
    scene.end("Promoted")
    scene.look()

    assert scene.gates.lifted == ["first", "second"]


def test_a_pod_that_comes_while_others_are_promoted_for_has_them_looked_at_again(scene: Scene) -> None:
    owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-1", "uid": "rs", "controller": True}]
    scene.hold(pod("a", uid="a", ownerReferences=owner))
    scene.look(WorkloadKey("Pod", "shop", "a"))
    scene.promoted.clear()

    scene.hold(pod("b", uid="b", ownerReferences=owner))
    scene.look(WorkloadKey("Pod", "shop", "b"))
    scene.look(WorkloadKey("Pod", "shop", "b"))

    assert len(scene.promoted) == 1
    assert len(scene.requests) == 1


def test_a_stalled_promotion_lets_the_pod_go_with_its_reason_whatever_that_is(scene: Scene) -> None:
    scene.hold(pod())
    scene.look()
    scene.answer()
    scene.end("Stalled", "Denied")

    scene.look()

    assert (scene.gates.lifted, scene.cluster.events[-1]) == (["uid-1"], "Denied")


def test_somebody_elses_request_of_that_name_opens_nothing(scene: Scene) -> None:
    scene.hold(pod())
    scene.look()
    (made,) = scene.requests
    made["spec"]["containers"] = [{"name": "app", "image": f"{world.IMAGE}-other"}]
    scene.known.see_request(scene.cluster.put("PromotionRequest", made))
    scene.answer()
    scene.end("Promoted")

    scene.look()

    assert scene.cluster.events[-1] == "InvalidRequest", "it is let go, and nobody says that it was promoted"


def test_while_the_api_server_refuses_us_the_pod_is_looked_at_again(scene: Scene) -> None:
    scene.hold(pod())
    scene.cluster.failure = NeedsHuman(Reason.DENIED, "the API server refused")

    with pytest.raises(NeedsHuman):
        scene.look()

    scene.cluster.failure = None
    scene.look()
    assert len(scene.requests) == 1


def test_the_longest_wait_counts_from_the_pods_creation(scene: Scene) -> None:
    scene.hold(pod())
    scene.now = START + timedelta(seconds=599)
    scene.look()
    assert scene.gates.lifted == []

    scene.now = START + timedelta(seconds=600)
    scene.look()

    assert (scene.gates.lifted, scene.cluster.events[-1]) == (["uid-1"], "Timeout")


def test_a_pod_that_is_gone_is_forgotten_and_its_successor_is_not(scene: Scene) -> None:
    scene.hold(pod(uid="new"))
    scene.waiting.forget(POD, "old")
    assert scene.waiting.pod(POD) is not None

    del scene.gates.pods["checkout"]
    scene.waiting.forget(POD, "new")
    scene.look()

    assert (scene.gates.lifted, scene.cluster.events) == ([], [])


def test_the_sweep_finds_what_no_watch_told_of(scene: Scene) -> None:
    lost = pod(image="elsewhere.example/app:v1")
    del lost["metadata"]["labels"]
    scene.gates.pods["checkout"] = lost

    scene.look(SWEEP)
    scene.look()

    assert (scene.gates.lifted, scene.cluster.events) == (["uid-1"], ["NotCovered"])


@pytest.mark.parametrize(
    ("kind", "name", "label", "expected"),
    [
        ("ReplicaSet", "checkout-5d9", "5d9", ("Deployment", "checkout")),
        ("ReplicaSet", "checkout-5d9", "other", ("ReplicaSet", "checkout-5d9")),
        ("ReplicaSet", "checkout-5d9", "", ("ReplicaSet", "checkout-5d9")),
        ("ReplicaSet", "unknown-5d9", "5d9", ("ReplicaSet", "unknown-5d9")),
        ("Rollout", "checkout-5d9", "5d9", ("Rollout", "checkout-5d9")),
    ],
)
def test_the_request_is_the_deployments_where_there_is_one_with_the_same_images(
    scene: Scene, kind: str, name: str, label: str, expected: tuple[str, str]
) -> None:
    scene.known.see_workload(world.deployment())
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "o", "controller": True}
    scene.hold(pod(ownerReferences=[owner], labels={"pod-template-hash": label}))

    scene.look()

    (made,) = scene.requests
    assert (made["spec"]["trigger"]["kind"], made["spec"]["trigger"]["name"]) == expected


def test_the_deployment_is_left_out_when_it_runs_another_image_by_now(scene: Scene) -> None:
    scene.known.see_workload(world.deployment(image=f"{world.IMAGE}-next"))
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-5d9", "uid": "o", "controller": True}
    scene.hold(pod(ownerReferences=[owner], labels={"pod-template-hash": "5d9"}))

    scene.look()

    (made,) = scene.requests
    assert made["spec"]["trigger"]["kind"] == "ReplicaSet"
