"""What the watches have told: a small, thread-safe picture of the cluster.

Only what reconciling needs is kept, as values; the dicts of the events are dropped. The picture may be late or have
gaps, so whoever is about to write reads the object again (events are hints, the cluster is the truth).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import RLock
from typing import Any

from transship.promotion.conditions import Finding
from transship.promotion.policy import Namespace, PolicyError, PromotionPolicy, parse_policy
from transship.promotion.request import PromotionRequest, RequestKey, parse_request
from transship.promotion.status import Outcome, Phase
from transship.promotion.workload import Workload, WorkloadKey, parse_workload

_MAX_ANSWERED = 100


def _now() -> datetime:
    return datetime.now(UTC)


class Known:
    """The picture. Every method is safe to call from any thread.

    Args:
        clock: the time, for the age of what is new.
    """

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._lock = RLock()
        self._policies: dict[str, tuple[str, int, PromotionPolicy | PolicyError]] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._workloads: dict[WorkloadKey, Workload] = {}
        self._requests: dict[RequestKey, PromotionRequest] = {}
        self._versions: dict[RequestKey, int] = {}
        self._changed_at: dict[RequestKey, datetime] = {}
        self._asked: dict[RequestKey, set[str]] = {}
        self._answered: dict[RequestKey, set[str]] = {}
        self._waiting: dict[RequestKey, set[WorkloadKey]] = {}
        self._findings: dict[RequestKey, dict[str, Finding]] = {}

    def see_policy(self, resource: Mapping[str, Any]) -> bool:
        """Take in a PromotionPolicy; whether its spec is new."""
        metadata = resource["metadata"]
        name, version = metadata["name"], (metadata["uid"], metadata["generation"])
        with self._lock:
            if name in self._policies and self._policies[name][:2] == version:
                return False
            self._policies[name] = (*version, _policy_or_error(resource))
            return True

    def forget_policy(self, name: str, uid: str) -> None:
        """A PromotionPolicy is gone; another that has taken its name stays."""
        with self._lock:
            if name in self._policies and self._policies[name][0] == uid:
                del self._policies[name]

    def policies(self) -> list[PromotionPolicy]:
        """All policies that can be used."""
        with self._lock:
            return [policy for _, _, policy in self._policies.values() if isinstance(policy, PromotionPolicy)]

    def policy(self, name: str) -> tuple[str, int, PromotionPolicy | PolicyError] | None:
        """Uid, generation and content (or what is wrong with it) of a policy."""
        with self._lock:
            return self._policies.get(name)

    def policy_names(self) -> list[str]:
        """Names of all policies, good or bad."""
        with self._lock:
            return list(self._policies)

    def see_namespace(self, resource: Mapping[str, Any]) -> bool:
        """Take in a namespace; whether its labels are new."""
        metadata = resource["metadata"]
        namespace = Namespace(metadata["name"], dict(metadata.get("labels", {})))
        with self._lock:
            is_new = self._namespaces.get(namespace.name) != namespace
            self._namespaces[namespace.name] = namespace
            return is_new

    def forget_namespace(self, name: str) -> None:
        """A namespace is gone."""
        with self._lock:
            self._namespaces.pop(name, None)

    def namespace(self, name: str) -> Namespace | None:
        """A namespace with its labels, when it was seen."""
        with self._lock:
            return self._namespaces.get(name)

    def namespaces(self) -> list[Namespace]:
        """All namespaces."""
        with self._lock:
            return list(self._namespaces.values())

    def see_workload(self, resource: Mapping[str, Any]) -> Workload | None:
        """Take in a workload; the value when it is new or differs in what matters here, else None."""
        workload = parse_workload(resource)
        with self._lock:
            if self._workloads.get(workload.key) == workload:
                return None
            self._workloads[workload.key] = workload
            return workload

    def forget_workload(self, key: WorkloadKey, uid: str) -> None:
        """A workload is gone; another that has taken its name stays."""
        with self._lock:
            known = self._workloads.get(key)
            if known is not None and known.uid == uid:
                del self._workloads[key]

    def forget_workloads(self, namespace: str) -> list[WorkloadKey]:
        """All workloads of a namespace are of no concern any more; their keys."""
        with self._lock:
            keys = self.workload_keys(namespace)
            for key in keys:
                del self._workloads[key]
            return keys

    def workload(self, key: WorkloadKey) -> Workload | None:
        """A workload as last seen."""
        with self._lock:
            return self._workloads.get(key)

    def workload_keys(self, namespace: str | None = None) -> list[WorkloadKey]:
        """Keys of all workloads, or of those in a namespace."""
        with self._lock:
            return [key for key in self._workloads if namespace in (None, key.namespace)]

    def see_request(self, resource: Mapping[str, Any]) -> tuple[PromotionRequest, bool]:
        """Take in a PromotionRequest; the value, and whether it is new or its spec is.

        An event older than what this process wrote itself changes nothing.
        """
        request = parse_request(resource)
        version = int(resource["metadata"]["resourceVersion"])
        with self._lock:
            before = self._requests.get(request.key)
            is_same = before is not None and before.uid == request.uid
            if before is not None and is_same and version <= self._versions[request.key]:
                return before, False
            self._requests[request.key] = request
            self._versions[request.key] = version
            is_new = before is None or not is_same or before.generation != request.generation
            if is_new:
                # A first one is as old as it is; what changed its spec later has no time of its own.
                self._changed_at[request.key] = self._clock() if is_same else request.created_at
            return request, is_new

    def forget_request(self, key: RequestKey, uid: str) -> PromotionRequest | None:
        """A PromotionRequest is gone; what was known of it."""
        with self._lock:
            known = self._requests.get(key)
            if known is None or known.uid != uid:
                return None
            del self._requests[key], self._versions[key], self._changed_at[key]
            self._asked.pop(key, None)
            self._answered.pop(key, None)
            self._findings.pop(key, None)
            return known

    def forget_requests(self, namespace: str) -> list[RequestKey]:
        """All requests of a namespace are of no concern any more; their keys."""
        with self._lock:
            gone = [each for key, each in self._requests.items() if key.namespace == namespace]
            for request in gone:
                self.forget_request(request.key, request.uid)
            return [request.key for request in gone]

    def request(self, key: RequestKey) -> PromotionRequest | None:
        """A request as last seen or written."""
        with self._lock:
            return self._requests.get(key)

    def is_current(self, request: PromotionRequest) -> bool:
        """Whether this very request, with this very spec, is still there."""
        with self._lock:
            known = self._requests.get(request.key)
            return known is not None and (known.uid, known.generation) == (request.uid, request.generation)

    def phases(self) -> Mapping[str, int]:
        """How many requests there are in each phase."""
        with self._lock:
            counted = Counter(each.status.phase for each in self._requests.values())
        return {phase.value: counted[phase] for phase in Phase}

    def oldest_seconds(self) -> float:
        """The age of the oldest request that has not come to its end; 0 when all have."""
        with self._lock:
            begun = [self._begun_at(each) for each in self._requests.values() if _is_unfinished(each)]
        return max(0.0, (self._clock() - min(begun)).total_seconds()) if begun else 0.0

    def _begun_at(self, request: PromotionRequest) -> datetime:
        is_current = request.status.observed_generation == request.generation
        return (request.status.started_at if is_current else None) or self._changed_at[request.key]

    def request_keys(self) -> list[RequestKey]:
        """Keys of all requests."""
        with self._lock:
            return list(self._requests)

    def requests_of(self, owner: WorkloadKey) -> list[PromotionRequest]:
        """All requests made for a workload or hook."""
        with self._lock:
            return [each for each in self._requests.values() if each.owner == owner]

    def gates_of(self, application: str, namespace: str) -> list[PromotionRequest]:
        """All requests of a namespace that a sync of an Argo CD application waits for, or waited for.

        Only of one namespace: what the objects of another say of an application, somebody else may have written.
        """
        with self._lock:
            return [
                each
                for each in self._requests.values()
                if each.key.namespace == namespace and each.application == application and each.is_gate
            ]

    def workloads_of(self, application: str, namespace: str) -> list[WorkloadKey]:
        """Keys of all workloads of an Argo CD application in a namespace."""
        with self._lock:
            return [
                key
                for key, each in self._workloads.items()
                if key.namespace == namespace and each.origin.application == application
            ]

    def written_since(self, destination: str, moment: datetime) -> bool:
        """Whether some request has written a destination reference since a moment."""
        with self._lock:
            return any(
                each.destination == destination
                and each.outcome in {Outcome.COPIED, Outcome.TAG_ADDED}
                and each.finished_at is not None
                and each.finished_at >= moment
                for request in self._requests.values()
                for each in request.status.images
            )

    def find(self, key: RequestKey, finding: Finding) -> bool:
        """Keep what was found about a request until it is written; whether that is news."""
        with self._lock:
            request = self._requests.get(key)
            if request is None:
                return False
            kept = self._findings.setdefault(key, {})
            before, kept[finding.condition] = kept.get(finding.condition), finding
            if before is not None:
                return before != finding
            told = request.status.condition(finding.condition)
            return (
                finding.is_so if told is None else (told.status, told.message) != (str(finding.is_so), finding.message)
            )

    def findings(self, key: RequestKey) -> list[Finding]:
        """What was found about a request by this process."""
        with self._lock:
            return list(self._findings.get(key, {}).values())

    def ask(self, key: RequestKey, who: str) -> bool:
        """Somebody wants the images of a request now: no verdict counts that was begun before; whether that is news.

        Asking is known by who asks (the uid of a hook), and never by the time: a hook's creation is told by the API
        server's clock, a verdict by ours.
        """
        with self._lock:
            if who in self._asked.get(key, set()) or who in self._answered.get(key, set()):
                return False
            self._asked.setdefault(key, set()).add(who)
            return True

    def asking(self, key: RequestKey) -> frozenset[str]:
        """Who asks for the images of a request and has no answer yet."""
        with self._lock:
            return frozenset(self._asked.get(key, ()))

    def answer(self, key: RequestKey, who: frozenset[str]) -> None:
        """A verdict was found that was begun after they had asked."""
        with self._lock:
            old = self._answered.get(key, set())
            # Whoever is forgotten here asks again, which costs a look and nothing else.
            self._answered[key] = set(who) | (old if len(old) < _MAX_ANSWERED else set())
            self._asked[key] = self._asked.get(key, set()) - who

    def is_answered(self, key: RequestKey, who: str) -> bool:
        """Whether the verdict of a request is an answer to somebody."""
        with self._lock:
            return who in self._answered.get(key, ())

    def wait_for(self, key: RequestKey, hook: WorkloadKey) -> None:
        """A hook waits for a request."""
        with self._lock:
            self._waiting.setdefault(key, set()).add(hook)

    def stop_waiting(self, hook: WorkloadKey) -> None:
        """A hook waits no longer, for whatever it waited for."""
        with self._lock:
            for key in [key for key, hooks in self._waiting.items() if hook in hooks]:
                self._waiting[key].discard(hook)
                if not self._waiting[key]:
                    del self._waiting[key]

    def hooks_waiting_for(self, key: RequestKey) -> list[WorkloadKey]:
        """Hooks that wait for a request."""
        with self._lock:
            return list(self._waiting.get(key, ()))


def _is_unfinished(request: PromotionRequest) -> bool:
    if request.is_suspended:
        return False
    return request.status.finished_at is None or request.status.observed_generation != request.generation


def _policy_or_error(resource: Mapping[str, Any]) -> PromotionPolicy | PolicyError:
    try:
        return parse_policy(resource)
    except PolicyError as error:
        return error
