"""Reconciling PromotedImages: for each namespace that asks for the gate, the list its workloads are held to.

A reference is listed before anybody is told that it is promoted (`admit`), and leaves some time after the last that
named it: watches of different kinds are not in step, a restarted operator sees its workloads one by one, and Argo CD
deletes what it is about to create again. What another hand wrote into the list is taken out at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any

import structlog

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.operator.known import Known
from transship.operator.ports import Metrics, PromotedLists
from transship.operator.queue import WorkQueue
from transship.promotion.promoted import (
    KIND,
    MAX_REFERENCES,
    Mention,
    bounded,
    is_gated,
    mentions,
    promoted,
    to_resource,
)
from transship.promotion.request import PromotionRequest
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey

_DEBOUNCE = 0.5
_WRITES = 3
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _List:
    """What is known of the list of one namespace.

    Attributes:
        lock: held while the list is worked on.
        seen: the object as it was last read, written or told of; None when there is none.
        held: references that are to be listed, their digests, and when each was last derived.
        is_recalled: what an earlier process had listed has been taken into `held`.
    """

    lock: RLock = field(default_factory=RLock)
    seen: Mapping[str, Any] | None = None
    held: dict[str, tuple[str, float]] = field(default_factory=dict)
    is_recalled: bool = False

    def digests(self) -> dict[str, str]:
        return {reference: digest for reference, (digest, _) in self.held.items()}

    def hold(self, references: Mapping[str, str], now: float) -> None:
        self.held |= {reference: (digest, now) for reference, digest in references.items()}

    def content(self) -> Mapping[str, str] | None:
        return self.seen["spec"]["references"] if self.seen is not None else None


class Gate:
    """Keeps the lists; does nothing at all when the gate is not installed (`is_on`).

    Args:
        known: what the watches told.
        lists: where they are written.
        metrics: counts.
        is_on: whether the gate is installed.
        grace: seconds that a reference stays listed after the last that named it.
        resync: seconds after which a list is looked at again.
        now: a clock that only goes forward, in seconds.
        look: called with a namespace whose list is to be looked at, and in how many seconds.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        known: Known,
        lists: PromotedLists,
        metrics: Metrics,
        is_on: bool,
        grace: float,
        resync: float,
        now: Callable[[], float],
        look: Callable[[str, float], None],
    ) -> None:
        self._known = known
        self._lists = lists
        self._metrics = metrics
        self.is_on = is_on
        self._grace = grace
        self._resync = resync
        self._now = now
        self._look = look
        self._lock = Lock()
        self._by_namespace: dict[str, _List] = {}
        self._news: dict[str, tuple[Mapping[str, Any], bool]] = {}
        self._judged: dict[WorkloadKey, tuple[tuple[ContainerImage, ...], Mapping[str, str]]] = {}

    def changed(self, namespace: str) -> None:
        """Something in a namespace may change its list."""
        if self.is_on and (namespace in self._by_namespace or is_gated(self._known.namespace(namespace))):
            self._look(namespace, _DEBOUNCE)

    def all_changed(self) -> None:
        """Nothing has been looked at yet."""
        for namespace in self._known.namespaces():
            self.changed(namespace.name)

    def judged(self, workload: Workload, found: Mapping[str, str]) -> None:
        """It was looked which images of a workload are at the destination: their digests, or empty."""
        if not self.is_on:
            return
        verdict = (workload.images, dict(found))
        with self._lock:
            is_news = self._judged.get(workload.key) != verdict
            self._judged[workload.key] = verdict
        if is_news:
            self.changed(workload.key.namespace)

    def see(self, resource: Mapping[str, Any], *, is_gone: bool) -> None:
        """A list was seen by the watch. Never waits for a list that is being written."""
        namespace = resource["metadata"]["namespace"]
        self._list(namespace)
        with self._lock:
            self._news[namespace] = (resource, is_gone)
        self.changed(namespace)

    def forget(self, namespace: str) -> None:
        """A namespace is watched no longer: its list stays as it is."""
        with self._lock:
            self._by_namespace.pop(namespace, None)
            self._news.pop(namespace, None)

    def admit(self, request: PromotionRequest) -> None:
        """Have what a request has proven listed, before anybody is told.

        Raises:
            NeedsHuman: the operator may not write the list, or the list is full.
            RetryLater: it cannot be written now.
        """
        namespace = request.key.namespace
        if not self.is_on or not is_gated(self._known.namespace(namespace)):
            return
        references = promoted((each for each in mentions(request) if each.digest), {})
        one = self._list(namespace)
        with one.lock:
            self._catch_up(namespace, one)
            one.hold(references, self._now())
            if references.keys() <= (one.content() or {}).keys():
                return
            if not self._write(namespace, one):
                raise RetryLater(Reason.PENDING, f"the PromotedImages of namespace {namespace} cannot be written now")
            if references.keys() - (one.content() or {}).keys():
                raise NeedsHuman(
                    Reason.INVALID_REQUEST,
                    f"the PromotedImages of namespace {namespace} are full ({MAX_REFERENCES} references, or their "
                    "length); delete PromotionRequests and workloads that are not needed",
                )

    def reconcile(self, namespace: str, queue: WorkQueue[str]) -> None:
        """Make the list of a namespace what it ought to be, and set when to look again."""
        queue.forget(namespace)
        if not self.is_on:
            return
        one = self._list(namespace)
        with one.lock:
            if not is_gated(self._known.namespace(namespace)):
                self._read_news(namespace, one)
                self._remove(namespace, one)
                return
            self._catch_up(namespace, one)
            now = self._now()
            one.hold(promoted(self._mentions(namespace), one.digests()), now)
            one.held = {name: each for name, each in one.held.items() if each[1] > now - self._grace}
            if not self._write(namespace, one):
                queue.retry(namespace)
                return
            is_leaving = any(since < now for _, since in one.held.values())
        queue.add(namespace, min(self._grace, self._resync) if is_leaving else self._resync)

    def _mentions(self, namespace: str) -> Iterator[Mention]:
        for key in self._known.request_keys():
            request = self._known.request(key) if key.namespace == namespace else None
            if request is not None:
                yield from mentions(request)
        for workload in self._workloads(namespace):
            images, found = self._judged.get(workload.key, ((), {}))
            digests = found if images == workload.images else {}
            for each in workload.images:
                yield Mention(each.image, digests.get(each.image, ""), is_open=each.image not in digests)

    def _workloads(self, namespace: str) -> Iterable[Workload]:
        keys = self._known.workload_keys(namespace)
        with self._lock:
            gone = {key for key in self._judged if key.namespace == namespace}.difference(keys)
            for key in gone:
                del self._judged[key]
        found = (self._known.workload(key) for key in keys)
        return [each for each in found if each is not None and not each.is_hook]

    def _list(self, namespace: str) -> _List:
        with self._lock:
            return self._by_namespace.setdefault(namespace, _List())

    def _catch_up(self, namespace: str, one: _List) -> None:
        """Take in what the watch told; at first, what an earlier process had listed."""
        self._read_news(namespace, one)
        if not one.is_recalled:
            one.seen = self._lists.promoted_images(namespace)
            one.hold(one.content() or {}, self._now())
            one.is_recalled = True

    def _read_news(self, namespace: str, one: _List) -> None:
        with self._lock:
            resource, is_gone = self._news.pop(namespace, (None, False))
        # What is older than what this process has written itself is no news.
        if resource is not None and (one.seen is None or _version(resource) > _version(one.seen)):
            one.seen = None if is_gone else resource

    def _write(self, namespace: str, one: _List) -> bool:
        """See that the list holds what is held; whether it does."""
        for _ in range(_WRITES):
            wanted = bounded(one.digests(), one.content() or ())
            if len(wanted) < len(one.held):
                left_out = len(one.held) - len(wanted)
                _log.error("promoted images do not fit into their list", namespace=namespace, left_out=left_out)
            if one.content() == wanted:
                return True
            version = one.seen["metadata"]["resourceVersion"] if one.seen is not None else ""
            written = self._lists.write_promoted_images(to_resource(namespace, wanted, version))
            if written is not None:
                one.seen = written
                self._metrics.reconciled(KIND, "written")
                _log.info("promoted images listed", namespace=namespace, references=len(wanted))
                return True
            one.seen = self._lists.promoted_images(namespace)
        return False

    def _remove(self, namespace: str, one: _List) -> None:
        """The gate is not asked for any more: the list goes, and nothing of it is remembered."""
        if one.seen is not None:
            self._lists.delete_promoted_images(namespace, one.seen["metadata"]["uid"])
            _log.info("promoted images removed", namespace=namespace)
        one.seen, one.held, one.is_recalled = None, {}, False
        with self._lock:
            self._by_namespace.pop(namespace, None)


def _version(resource: Mapping[str, Any]) -> int:
    return int(resource["metadata"]["resourceVersion"])
