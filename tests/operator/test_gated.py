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
from transship.promotion.request import RequestKey
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

    def lose_request(self) -> None:
        """The one request is gone, and that was seen."""
        (made,) = self.requests
        metadata = made["metadata"]
        del self.cluster.objects["PromotionRequest", metadata["namespace"], metadata["name"]]
        self.known.forget_request(RequestKey(metadata["namespace"], metadata["name"]), metadata["uid"])

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
    owner(scene, "ReplicaSet")
    scene.hold(pod("a", uid="a", ownerReferences=controlled_by("ReplicaSet")))
    scene.look(WorkloadKey("Pod", "shop", "a"))
    scene.promoted.clear()

    scene.hold(pod("b", uid="b", ownerReferences=controlled_by("ReplicaSet")))
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


def controlled_by(kind: str, name: str = "", uid: str = "", api_version: str = "apps/v1") -> list[world.Resource]:
    named = {"apiVersion": api_version, "kind": kind, "name": name or f"a-{kind.lower()}"}
    return [{**named, "uid": uid or f"uid-of-{named['name']}", "controller": True}]


def owner(scene: Scene, kind: str, *, image: str = world.IMAGE, **more: Any) -> None:
    """A controller of pods is there, as the API server has it."""
    made = world.deployment(f"a-{kind.lower()}", image=image)
    spec = {**made["spec"], **more.pop("spec", {})}
    scene.cluster.put(kind, {**made, "kind": kind, "spec": spec, "metadata": {**made["metadata"], **more}})


def asked_for(scene: Scene) -> tuple[str, str]:
    """Kind and uid of whom the one request was made for, and goes with."""
    (made,) = scene.requests
    (reference,) = made["metadata"]["ownerReferences"]
    assert reference["uid"] == made["spec"]["trigger"]["uid"]
    return reference["kind"], reference["uid"]


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "DaemonSet", "Job"])
def test_the_request_is_the_controllers_that_makes_such_pods(scene: Scene, kind: str) -> None:
    owner(scene, kind)
    scene.hold(pod(ownerReferences=controlled_by(kind)))

    scene.look()

    assert asked_for(scene) == (kind, f"uid-of-a-{kind.lower()}")


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        ({}, "Deployment"),
        ({"image": f"{world.IMAGE}-next"}, "ReplicaSet"),
        ({"uid": "another"}, "ReplicaSet"),
        ({"deletionTimestamp": world.CREATED}, "ReplicaSet"),
    ],
    ids=["same images", "other images by now", "another of that name", "being deleted"],
)
def test_the_request_is_the_deployments_where_there_is_one_with_the_same_images(
    scene: Scene, deployment: dict[str, str], expected: str
) -> None:
    owner(scene, "Deployment", **deployment)
    owner(scene, "ReplicaSet", ownerReferences=controlled_by("Deployment"))
    scene.hold(pod(ownerReferences=controlled_by("ReplicaSet")))

    scene.look()

    assert asked_for(scene)[0] == expected


def test_replica_sets_that_name_each_other_are_not_followed_round(scene: Scene) -> None:
    owner(scene, "ReplicaSet", ownerReferences=controlled_by("ReplicaSet"))
    scene.hold(pod(ownerReferences=controlled_by("ReplicaSet")))

    scene.look()

    assert asked_for(scene)[0] == "ReplicaSet"


@pytest.mark.parametrize(
    "controller",
    [
        {},
        {"image": f"{world.IMAGE}-other"},
        {"uid": "another"},
        {"deletionTimestamp": world.CREATED},
        {"spec": {"managedBy": "transship.dev/promotion"}},
    ],
    ids=["gone", "other images", "another of that name", "being deleted", "a hook"],
)
def test_the_request_is_the_pods_own_when_its_controller_is_not_what_it_says(
    scene: Scene, controller: dict[str, Any]
) -> None:
    if controller:
        owner(scene, "Job", **controller)
    scene.hold(pod(ownerReferences=controlled_by("Job")))

    scene.look()

    assert asked_for(scene) == ("Pod", "uid-1")


def test_the_request_is_the_pods_own_when_its_controller_cannot_be_read(scene: Scene) -> None:
    scene.hold(pod(ownerReferences=controlled_by("Rollout", api_version="argoproj.io/v1alpha1")))

    scene.look()

    assert asked_for(scene) == ("Pod", "uid-1")


@pytest.mark.parametrize("name", ["a-job?watch=true", "../jobs/a-job", "A-job", ".."])
def test_a_controller_is_not_looked_for_under_what_is_no_name(scene: Scene, name: str) -> None:
    """The API server takes anything as a name there, and this process reads by more rights than who made the pod."""
    owner(scene, "Job", name=name, uid="job")
    scene.hold(pod(ownerReferences=controlled_by("Job", name=name, uid="job")))

    scene.look()

    assert asked_for(scene) == ("Pod", "uid-1")


def test_whose_request_it_is_is_asked_again_when_it_has_gone_with_its_owner(scene: Scene) -> None:
    owner(scene, "Job")
    scene.hold(pod(ownerReferences=controlled_by("Job")))
    scene.look()

    del scene.cluster.objects["Job", "shop", "a-job"]
    scene.lose_request()
    scene.look()

    assert asked_for(scene) == ("Pod", "uid-1")


def test_a_request_that_is_deleted_each_time_is_made_later_and_later(scene: Scene) -> None:
    scene.hold(pod())
    made_after = []
    for second in range(60):
        scene.now = START + timedelta(seconds=1 + second)
        scene.look()
        scene.look()  # as every event would have it
        if scene.requests:
            made_after.append(second)
            scene.lose_request()

    assert made_after == [0, 1, 3, 7, 15, 31]
    assert scene.cluster.events == ["Promoting"] * 6


def test_a_pod_that_is_being_deleted_is_not_waited_for(scene: Scene) -> None:
    going = pod(deletionTimestamp=world.CREATED)
    scene.gates.pods["checkout"] = going

    assert scene.waiting.see(going) is None
    scene.look(SWEEP)
    scene.look()

    assert (scene.requests, scene.gates.lifted, scene.cluster.events) == ([], [], [])
