"""Making waiting pods anew: after a promotion, those that would otherwise wait for the kubelet's back-off.

Opt-in by `watch.recreateWaitingPods` of the policy that the image was promoted by. Through the eviction API, never
by deleting, and only what `promotion.waiting` allows.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from transship.errors import NeedsHuman, Reason
from transship.operator.known import Known
from transship.operator.ports import Cluster, Metrics
from transship.operator.queue import WorkQueue
from transship.promotion.image import find_route
from transship.promotion.policy import Namespace, PromotionPolicy
from transship.promotion.request import PromotionRequest, RequestKey
from transship.promotion.status import Phase
from transship.promotion.waiting import WaitingPod, waiting_pods

_LOOKS = (0.0, 3.0, 10.0)
"""Seconds after a promotion: a pull that had begun before may fail a little later."""
_JUST_NOW = timedelta(minutes=2)
_log = structlog.get_logger(__name__)


class PodRecreator:
    """Evicts pods that wait for what has been promoted.

    Args:
        known: what the watches told.
        cluster: where pods are listed and evicted.
        metrics: counts.
        clock: the time.
    """

    def __init__(self, known: Known, cluster: Cluster, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._known = known
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._looks: dict[RequestKey, int] = {}

    def promoted(self, request: PromotionRequest, queue: WorkQueue[RequestKey]) -> None:
        """A request has written something: look for pods that wait for it, when its policy wants that."""
        if self._images(request):
            self._looks[request.key] = 0
            queue.add(request.key)

    def reconcile(self, key: RequestKey, queue: WorkQueue[RequestKey]) -> None:
        """Look once for pods that wait, and set when to look again."""
        request = self._known.request(key)
        images = self._images(request) if request is not None else frozenset()
        look = self._looks.get(key, 0)
        queue.forget(key)
        if request is None or not images or look >= len(_LOOKS):
            self._looks.pop(key, None)
            return
        try:
            for pod in waiting_pods(self._cluster.pending_pods(key.namespace), images):
                self._evict(pod, request)
        except NeedsHuman as error:
            _log.warning("waiting pods are left alone", request=str(key), reason=error.reason, note=error.message)
            self._emit(request, f"pods that wait are not made anew: {error.message}", reason=error.reason)
            self._looks.pop(key, None)
            return
        self._looks[key] = look + 1
        if look + 1 < len(_LOOKS):
            queue.add(key, _LOOKS[look + 1] - _LOOKS[look])

    def _images(self, request: PromotionRequest) -> frozenset[str]:
        """What the request has promoted by policies that want waiting pods to be made anew."""
        wanting = [each for each in self._known.policies() if each.recreate_waiting_pods]
        if not wanting:
            return frozenset()
        namespace = self._known.namespace(request.key.namespace) or Namespace(request.key.namespace)
        status = request.status
        if status.phase is not Phase.PROMOTED or status.observed_generation != request.generation:
            return frozenset()
        # By this request or by another one just now; a pod that waits for what was there all the time lacks something
        # else.
        lately = self._clock() - _JUST_NOW
        proven = {each.name for each in status.images if self._known.written_since(each.destination, lately)}
        return frozenset(
            each.image
            for each in request.containers
            if each.name in proven and _is_covered(each.image, wanting, namespace)
        )

    def _evict(self, pod: WaitingPod, request: PromotionRequest) -> None:
        if self._cluster.evict_pod(pod):
            self._metrics.pod_recreated()
            _log.info("pod recreated", namespace=pod.namespace, pod=pod.name, images=pod.images)
            self._emit(request, f"pod {pod.name} waited for {', '.join(pod.images)} and is made anew, to start at once")

    def _emit(self, request: PromotionRequest, note: str, reason: str = Reason.POD_RECREATED) -> None:
        is_bad = reason != Reason.POD_RECREATED
        self._cluster.emit_event(request.regarding, warning=is_bad, reason=reason, note=note, now=self._clock())


def _is_covered(image: str, policies: list[PromotionPolicy], namespace: Namespace) -> bool:
    try:
        find_route(image, policies, namespace)
    except NeedsHuman:
        return False
    return True
