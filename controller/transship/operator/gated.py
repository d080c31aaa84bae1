"""Reconciling gated pods: have their images promoted, then take the gate off.

No pod waits for ever. The gate goes when its images are there, and as well, with an Event, when they will not come: the
promotion stalled, nothing covers them any more, or the pod has waited for as long as its policy allows. The pod then
starts, or fails to, as it would have without us. None of this needs the webhook: a sweep finds gates that no watch has
told of, also when the webhook is long gone.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Protocol

import kopf
import structlog

from transship.errors import NeedsHuman, Reason
from transship.operator.events import on_event
from transship.operator.known import Known
from transship.operator.orders import Orders
from transship.operator.picture import Picture
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.admission import GATED_LABEL, Verdict, is_waiting, judge
from transship.promotion.request import PromotionRequest, RequestKey, request_name, require_images
from transship.promotion.status import Phase
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey, parse_workload

POD = "Pod"
SWEEP = WorkloadKey(POD, "", "")
"""The key under which all pods are looked through, in the queue of workloads."""
_SWEEP_SECONDS = 60.0
_OWNERS = frozenset({"DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"})
"""Kinds of controllers that can be read."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_SOON = 1.0
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 60.0
_REMEMBERED = timedelta(minutes=10)
_log = structlog.get_logger(__name__)


class SchedulingGates(Protocol):
    """Finds and lifts our scheduling gates."""

    def gated_pods(self) -> Iterator[dict[str, Any]]:
        """All pods that have our gate."""

    def lift(self, namespace: str, name: str, uid: str) -> bool:
        """Take our gate off this very pod; False when there was nothing to take off."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom an object names as its controller. Whoever creates a pod may write there what they like."""

    key: WorkloadKey
    uid: str


@dataclass(frozen=True, slots=True)
class GatedPod:
    """A pod that waits.

    Attributes:
        pod: what it is and pulls.
        controller: whom it names as its controller; None if nobody.
    """

    pod: Workload
    controller: Claim | None


def parse_gated(resource: Mapping[str, Any]) -> GatedPod | None:
    """Read a pod as the API server sends it; None when it does not wait for us."""
    if not is_waiting(resource):
        return None
    return GatedPod(parse_workload({**resource, "apiVersion": "v1", "kind": POD}), _controller(resource["metadata"]))


def _controller(metadata: Mapping[str, Any]) -> Claim | None:
    named = next((each for each in metadata.get("ownerReferences", []) if each.get("controller")), None)
    if named is None:
        return None
    return Claim(WorkloadKey(named["kind"], metadata["namespace"], named["name"]), named["uid"])


class _Hopeless(Exception):  # noqa: N818 - what a pod's wait has turned out to be
    """A pod's images will not come; why, by a reason of the closed list and in a sentence."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why


class _NotYet(Exception):  # noqa: N818 - what a pod's wait has turned out to be
    """A request that was made is gone again and again, and is not made anew for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not for {seconds:.0f} s")
        self.seconds = seconds


class _Makings:
    """How often requests were made: one that somebody deletes each time is made later and later. Thread-safe."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._made: dict[RequestKey, tuple[int, datetime]] = {}

    def check(self, key: RequestKey) -> None:
        """Whether a request may be made now.

        Raises:
            _NotYet: it was made a short while ago.
        """
        with self._lock:
            times, last = self._made.get(key, (0, self._clock()))
        pause = min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** min(times - 1, 6)) if times else 0.0
        left = pause - (self._clock() - last).total_seconds()
        if left > 0:
            raise _NotYet(left)

    def note(self, key: RequestKey) -> None:
        """A request was made."""
        now = self._clock()
        with self._lock:
            self._made = {name: made for name, made in self._made.items() if now - made[1] < _REMEMBERED}
            self._made[key] = self._made.get(key, (0, now))[0] + 1, now


class Waiting:
    """The pods that wait. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pods: dict[WorkloadKey, GatedPod] = {}

    def see(self, resource: Mapping[str, Any]) -> WorkloadKey | None:
        """Take in a pod; its key when it waits."""
        gated = parse_gated(resource)
        metadata = resource["metadata"]
        with self._lock:
            if gated is None:
                self._pods.pop(WorkloadKey(POD, metadata["namespace"], metadata["name"]), None)
                return None
            self._pods[gated.pod.key] = gated
            return gated.pod.key

    def forget(self, key: WorkloadKey, uid: str) -> None:
        """A pod is gone or does not wait any more; another that has taken its name stays."""
        with self._lock:
            if key in self._pods and self._pods[key].pod.uid == uid:
                del self._pods[key]

    def forget_namespace(self, namespace: str) -> list[WorkloadKey]:
        """All pods of a namespace are of no concern any more; their keys."""
        with self._lock:
            keys = [key for key in self._pods if key.namespace == namespace]
            for key in keys:
                del self._pods[key]
            return keys

    def pod(self, key: WorkloadKey) -> GatedPod | None:
        """A pod that waits."""
        with self._lock:
            return self._pods.get(key)


class PodEvents:
    """The handler of gated pods: what waits goes into `waiting`, its key onto the queue.

    Args:
        waiting: the pods that wait.
        add: puts a key on the queue.
        heard: is told that something came.
    """

    def __init__(
        self, waiting: Waiting, add: Callable[[WorkloadKey], None], heard: Callable[[str], None] = lambda _: None
    ) -> None:
        self._waiting = waiting
        self._add = add
        self._heard = heard

    async def pod(self, event: Mapping[str, Any], **_: Any) -> None:
        """A pod with our label was seen."""
        metadata = event["object"]["metadata"]
        key = WorkloadKey(POD, metadata["namespace"], metadata["name"])
        if event["type"] == "DELETED":  # or its label is
            self._waiting.forget(key, metadata["uid"])
        else:
            self._waiting.see(event["object"])
        self._add(key)  # also one that waits no longer, to be forgotten

    def namespace_closed(self, name: str) -> None:
        """A namespace is watched no longer."""
        for key in self._waiting.forget_namespace(name):
            self._add(key)

    def register(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings) -> None:
        """Watch for pods with our label, and for no others."""
        settings.watching.label_selectors["", "v1", "pods"] = f"{GATED_LABEL}=true"
        on_event(registry, ("", "v1", "pods"), self.pod, self._heard)


class GatedReconciler:
    """Takes gates off.

    Args:
        waiting: the pods that wait.
        gates: finds gates and lifts them.
        known: what the watches told.
        picture: policies and namespaces, fetched when the watches are late.
        cluster: where requests are made and events are told.
        metrics: counts.
        clock: the time.
        history_limit: requests kept for one owner.
        promote: called with a request that is to be looked at now.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        waiting: Waiting,
        gates: SchedulingGates,
        known: Known,
        picture: Picture,
        cluster: Cluster,
        metrics: Metrics,
        clock: Callable[[], datetime],
        history_limit: int,
        promote: Callable[[RequestKey], None],
    ) -> None:
        self._waiting = waiting
        self._gates = gates
        self._known = known
        self._picture = picture
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._asked_at: dict[WorkloadKey, datetime] = {}
        self._owners: dict[WorkloadKey, tuple[str, Workload]] = {}
        self._makings = _Makings(clock)
        self._orders = Orders(known, cluster, history_limit, promote)
        self._promote = promote

    def reconcile(self, key: WorkloadKey, queue: WorkQueue[WorkloadKey]) -> None:
        """Take a pod as far as its images are; the end of their promotion wakes it again."""
        if key == SWEEP:
            self._sweep(queue)
            return
        gated = self._waiting.pod(key)
        if gated is None:
            self._stop_waiting(key)
            queue.forget(key)
            return
        try:
            left = self._take_further(gated)
        except _Hopeless as hopeless:
            self._let_go(gated.pod, hopeless.reason, hopeless.why)
            left = 0.0
        queue.forget(key)
        if left:
            queue.add(key, left)

    def _sweep(self, queue: WorkQueue[WorkloadKey]) -> None:
        """Find what no watch has told of: a gate without its label, or an event that was lost."""
        for resource in self._gates.gated_pods():
            key = self._waiting.see(resource)
            if key is not None:
                queue.add(key)
        queue.forget(SWEEP)
        queue.add(SWEEP, _SWEEP_SECONDS)

    def _take_further(self, gated: GatedPod) -> float:
        """Lift the gate if it is time; otherwise the seconds after which it is.

        Raises:
            _Hopeless: the images will not come.
        """
        pod = gated.pod
        verdict = self._judge(pod)
        held = (self._clock() - pod.created_at).total_seconds()
        if held >= verdict.max_hold_seconds:
            raise _Hopeless(
                Reason.TIMEOUT,
                f"its images were not promoted within {verdict.max_hold_seconds:.0f} s (spec.admission.maxHold)",
            )
        left = max(verdict.max_hold_seconds - held, _SOON)
        try:
            request = self._ensure(gated, verdict.images)
        except _NotYet as pause:
            return min(pause.seconds, left)
        if request is None or not self._is_answer(request, pod):
            return left if request is not None else _SOON
        ready = request.status.ready
        message = f"{ready.message if ready else ''} (PromotionRequest {request.key.name})"
        if request.status.phase is Phase.STALLED:
            raise _Hopeless(ready.reason if ready else Reason.INTERNAL_ERROR, message)
        if request.status.phase is not Phase.PROMOTED:
            return left
        if self._lift(pod):
            self._metrics.reconciled(POD, "promoted")
            self._tell(pod, Reason.PROMOTED, f"the pod may be scheduled: {message}", warning=False)
        return 0.0

    def _judge(self, pod: Workload) -> Verdict:
        """What policies say, as they are now: a refusal by old ones would be final."""
        namespace = pod.key.namespace
        verdict = judge(pod.images, self._known.policies(), self._picture.namespace(namespace))
        if not verdict.wishes:
            verdict = judge(pod.images, *self._picture.rules_for(pod.images, namespace))
        if not verdict.wishes:
            why = "; ".join(verdict.refusals) or f"no PromotionPolicy lets namespace {namespace} promote its images"
            raise _Hopeless(Reason.NOT_COVERED, f"{why}; see `kubectl get promotionpolicies.transship.dev`")
        return verdict

    def _ensure(self, gated: GatedPod, images: tuple[ContainerImage, ...]) -> PromotionRequest | None:
        pod = gated.pod
        owner = self._owner(gated, images)
        key = RequestKey(pod.key.namespace, request_name(owner.key, images))
        self._known.wait_for(key, pod.key)
        if self._known.request(key) is None:
            self._makings.check(key)
        # A verdict from before this pod asked may be about an image that is gone again.
        is_news = self._known.ask(key, pod.uid)
        try:
            request = self._known.request(key)
            if request is None:
                request = self._orders.place(owner, images)
                if request is None:
                    return None
                self._makings.note(key)
            require_images(request, images)
        except NeedsHuman as error:
            if error.reason is not Reason.INVALID_REQUEST:
                raise  # the API server refuses us, and will not let us lift the gate either
            raise _Hopeless(error.reason, error.message) from error
        if is_news:
            self._asked_at[pod.key] = self._clock().replace(microsecond=0)
            text = f"the pod waits for PromotionRequest {key.name}; it is scheduled once that has ended"
            self._tell(pod, Reason.PROMOTING, text, warning=False)
            self._promote(key)  # a look that is under way has begun before this pod asked
        return request

    def _owner(self, gated: GatedPod, images: tuple[ContainerImage, ...]) -> Workload:
        """For whom a pod's images are promoted, and with whom the request goes: the same as long as that is there."""
        pod = gated.pod
        uid, owner = self._owners.get(pod.key, ("", pod))
        is_there = self._known.request(RequestKey(pod.key.namespace, request_name(owner.key, images))) is not None
        if uid != pod.uid or not is_there:
            owner = self._controller(gated.controller, images) or pod
            self._owners[pod.key] = pod.uid, owner
        return owner

    def _controller(self, claim: Claim | None, images: tuple[ContainerImage, ...]) -> Workload | None:
        """Who really makes pods with these images; None when it is not who the pod says.

        The request has to go with something that exists: the garbage collector deletes what belongs to nobody.
        """
        # The name goes into a path, and the API server takes anything as one there.
        if claim is None or claim.key.kind not in _OWNERS or not _NAME.fullmatch(claim.key.name):
            return None
        resource = self._cluster.workload(claim.key)
        if resource is None or resource["metadata"]["uid"] != claim.uid or "deletionTimestamp" in resource["metadata"]:
            return None
        owner = parse_workload(resource)
        if owner.is_hook or not set(images) <= set(owner.images):
            return None
        above = _controller(resource["metadata"]) if owner.key.kind == "ReplicaSet" else None
        if above is None or above.key.kind != "Deployment":
            return owner
        # A Deployment that needs the same images has a request of its own, or is about to: it is shared.
        return self._controller(above, images) or owner

    def _is_answer(self, request: PromotionRequest, pod: Workload) -> bool:
        status = request.status
        if status.observed_generation != request.generation or status.finished_at is None:
            return False
        # Between an answer and its being written, the status is still the one from before.
        is_old = status.finished_at < self._asked_at.get(pod.key, status.finished_at)
        return not is_old and self._known.is_answered(request.key, pod.uid)

    def _let_go(self, pod: Workload, reason: str, why: str) -> None:
        if self._lift(pod):
            self._metrics.reconciled(POD, "let go")
            _log.warning("pod let go", pod=str(pod.key), reason=reason, note=why)
            self._tell(pod, reason, f"the pod is let go though images may be missing: {why}", warning=True)

    def _lift(self, pod: Workload) -> bool:
        key = pod.key
        was_there = self._gates.lift(key.namespace, key.name, pod.uid)
        self._waiting.forget(key, pod.uid)
        self._stop_waiting(key)
        return was_there

    def _stop_waiting(self, key: WorkloadKey) -> None:
        self._known.stop_waiting(key)
        self._asked_at.pop(key, None)
        self._owners.pop(key, None)

    def _tell(self, pod: Workload, reason: str, note: str, *, warning: bool) -> None:
        self._cluster.emit_event(pod.regarding, warning=warning, reason=reason, note=note, now=self._clock())
