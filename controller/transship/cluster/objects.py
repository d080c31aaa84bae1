"""The objects this project reads and writes, and where they live in the API."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from transship.cluster.api import Api, Conflict, NotFound
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.promotion.promoted import NAME as PROMOTED_IMAGES
from transship.promotion.request import API_VERSION, RequestKey
from transship.promotion.status import format_time
from transship.promotion.waiting import WaitingPod
from transship.promotion.workload import WorkloadKey

_OURS = f"/apis/{API_VERSION}"
_WORKLOADS = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
}
_REPORTER = "transship.dev/operator"
_MAX_NOTE = 1000
_MAX_RETOLD = 1000


class Cluster:
    """Reads and writes objects. Thread-safe. Errors are those of `Api` unless said otherwise.

    Args:
        api: the API server.
        identity: who tells events.
        namespaces: the only ones there are for us; all when there are none.
    """

    def __init__(self, api: Api, identity: str, namespaces: Sequence[str] = ()) -> None:
        self._api = api
        self._identity = identity
        self._namespaces = tuple(namespaces)
        self._retold: dict[str, int] = {}

    def policies(self) -> list[dict[str, Any]]:
        """All PromotionPolicies."""
        return list(self._api.get(f"{_OURS}/promotionpolicies")["items"])

    def namespaces(self, name: str | None = None) -> list[dict[str, Any]]:
        """All namespaces, or the one of that name if it exists."""
        names = (name,) if name else self._namespaces
        if not names:
            return list(self._api.get("/api/v1/namespaces")["items"])
        return [found for each in names if (found := self._namespace(each)) is not None]

    def _namespace(self, name: str) -> dict[str, Any] | None:
        try:
            return self._api.get(f"/api/v1/namespaces/{name}")
        except NotFound:
            return None
        except NeedsHuman as error:
            # Where namespaces are named the right is in a Role, which goes with the namespace.
            if self._namespaces and error.reason is Reason.DENIED:
                return None
            raise

    def workload(self, key: WorkloadKey) -> dict[str, Any] | None:
        """The workload as it is now; None when it is gone."""
        api_version, plural = _WORKLOADS[key.kind]
        try:
            resource = self._api.get(f"/apis/{api_version}/namespaces/{key.namespace}/{plural}/{key.name}")
        except NotFound:
            return None
        return resource | {"apiVersion": api_version, "kind": key.kind}

    def create_request(self, resource: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create a PromotionRequest; None when one of that name exists, or its namespace is going."""
        path = f"{_OURS}/namespaces/{resource['metadata']['namespace']}/promotionrequests"
        try:
            return self._api.create(path, resource)
        except (Conflict, NotFound):
            return None

    def request(self, key: RequestKey) -> dict[str, Any] | None:
        """A PromotionRequest as it is now; None when it is gone."""
        try:
            return self._api.get(f"{_OURS}/namespaces/{key.namespace}/promotionrequests/{key.name}")
        except NotFound:
            return None

    def ask_again(
        self, resource: Mapping[str, Any], annotations: Mapping[str, str], timeout: str = ""
    ) -> dict[str, Any] | None:
        """Write on this very PromotionRequest who asks for it now; None when it is gone.

        Args:
            resource: the request as it was read.
            annotations: what is to be written; an empty text takes one away.
            timeout: another one makes it a new promotion; empty leaves it as it is.
        """
        metadata = resource["metadata"]
        path = f"{_OURS}/namespaces/{metadata['namespace']}/promotionrequests/{metadata['name']}"
        operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]
        operations += _annotate(metadata.get("annotations"), annotations)
        if timeout:
            operations.append({"op": "add", "path": "/spec/timeout", "value": timeout})
        try:
            return self._api.patch(path, operations)
        except (NotFound, Conflict):
            return None

    def delete_request(self, key: RequestKey, uid: str) -> None:
        """Delete this very PromotionRequest; nothing happens when it is gone or another has its name."""
        path = f"{_OURS}/namespaces/{key.namespace}/promotionrequests/{key.name}"
        try:
            self._api.delete(path, {"preconditions": {"uid": uid}})
        except (NotFound, Conflict):
            return

    def write_request_status(self, key: RequestKey, uid: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Replace the status of this very PromotionRequest; None when it is gone."""
        return self._write_status(f"{_OURS}/namespaces/{key.namespace}/promotionrequests/{key.name}", uid, status)

    def write_policy_status(self, name: str, uid: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Replace the status of this very PromotionPolicy; None when it is gone."""
        return self._write_status(f"{_OURS}/promotionpolicies/{name}", uid, status)

    def write_job_status(self, key: WorkloadKey, uid: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Replace the status of this very Job; None when it is gone.

        Raises:
            Invalid: the Job has finished already; what is finished stays so (docs/facts/kubernetes.md §1).
        """
        return self._write_status(f"/apis/batch/v1/namespaces/{key.namespace}/jobs/{key.name}", uid, status)

    def _write_status(self, path: str, uid: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
        # The test keeps a late write from landing on an object that was re-created under the same name.
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": dict(status)},
        ]
        try:
            return self._api.patch(f"{path}/status", operations)
        except (NotFound, Conflict):
            return None

    def emit_event(self, regarding: Mapping[str, str], *, warning: bool, reason: str, note: str, now: datetime) -> None:
        """Tell a story line on an object, where `kubectl describe` shows it. A lost event is not an error.

        Args:
            regarding: apiVersion, kind, namespace, name and uid of the object.
            warning: of type Warning instead of Normal.
            reason: a word from the closed list.
            note: the sentence.
            now: when it happened.
        """
        # The same line again is one more of a series: the name says which, and that this process tells it.
        story = f"{self._identity}{dict(regarding)}{warning}{reason}{note}"
        name = f"{regarding['name'][:230]}.{hashlib.sha256(story.encode()).hexdigest()[:16]}"
        moment = format_time(now).replace("Z", ".000000Z")
        path = f"/apis/events.k8s.io/v1/namespaces/{regarding['namespace']}/events"
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding["namespace"]},
            "eventTime": moment,
            "reportingController": _REPORTER,
            "reportingInstance": self._identity[:128],
            "action": "Promote",
            "reason": reason,
            "type": "Warning" if warning else "Normal",
            "regarding": dict(regarding),
            "note": note if len(note) <= _MAX_NOTE else f"{note[: _MAX_NOTE - 3]}...",
        }
        try:
            self._api.create(path, event)
            self._retold.pop(f"{path}/{name}", None)
        except Conflict:
            self._tell_again(f"{path}/{name}", moment)
        except (NotFound, TransshipError):
            return

    def _tell_again(self, path: str, moment: str) -> None:
        if len(self._retold) >= _MAX_RETOLD:
            self._retold.clear()  # a count that begins anew is a smaller loss than memory that grows
        count = self._retold[path] = self._retold.get(path, 1) + 1
        series = {"count": count, "lastObservedTime": moment}
        try:
            self._api.patch(path, [{"op": "add", "path": "/series", "value": series}])
        except (NotFound, Conflict, TransshipError):
            self._retold.pop(path, None)

    def pending_pods(self, namespace: str) -> list[dict[str, Any]]:
        """All pods of a namespace that have not begun to run; none when it is going."""
        try:
            found = self._api.get(f"/api/v1/namespaces/{namespace}/pods", {"fieldSelector": "status.phase=Pending"})
        except NotFound:
            return []
        return list(found["items"])

    def evict_pod(self, pod: WaitingPod) -> bool:
        """Evict this very pod in this very state; False when it has changed, is gone, or may not go now.

        Raises:
            NeedsHuman: Denied when the operator may not evict pods.
        """
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid, "resourceVersion": pod.version}},
        }
        try:
            self._api.create(path, eviction)
        except (NotFound, Conflict, RetryLater):
            return False
        return True

    def serves_our_kinds(self) -> bool:
        """Whether the custom resource definitions are installed."""
        try:
            served = {each["name"] for each in self._api.get(_OURS).get("resources", [])}
        except NotFound:
            return False
        return {"promotionrequests", "promotionpolicies"} <= served

    def serves_promoted_images(self) -> bool:
        """Whether the definition of what the gate is told is installed."""
        try:
            return "promotedimages" in {each["name"] for each in self._api.get(_OURS).get("resources", [])}
        except NotFound:
            return False

    def promoted_images(self, namespace: str) -> dict[str, Any] | None:
        """The PromotedImages of a namespace; None when there are none."""
        try:
            return self._api.get(f"{_promoted_images(namespace)}/{PROMOTED_IMAGES}")
        except NotFound:
            return None

    def write_promoted_images(self, resource: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create them, or replace the version that is named; None when that is not how things are."""
        metadata = resource["metadata"]
        path = _promoted_images(metadata["namespace"])
        try:
            if "resourceVersion" in metadata:
                return self._api.replace(f"{path}/{metadata['name']}", resource)
            return self._api.create(path, resource)
        except (Conflict, NotFound):
            return None

    def delete_promoted_images(self, namespace: str, uid: str) -> None:
        """Delete these very PromotedImages."""
        try:
            self._api.delete(f"{_promoted_images(namespace)}/{PROMOTED_IMAGES}", {"preconditions": {"uid": uid}})
        except (NotFound, Conflict):
            return

    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the API server."""
        answer = self._api.get("/version")
        return int(answer["major"]), int("".join(c for c in answer["minor"] if c.isdigit()))

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The Lease by which replicas agree on the active one; None when there is none yet."""
        try:
            return self._api.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
        except NotFound:
            return None

    def write_lease(self, lease: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create a Lease, or replace it when it carries a resourceVersion; None when somebody was faster."""
        metadata = lease["metadata"]
        path = f"/apis/coordination.k8s.io/v1/namespaces/{metadata['namespace']}/leases"
        try:
            if "resourceVersion" in metadata:
                return self._api.replace(f"{path}/{metadata['name']}", lease)
            return self._api.create(path, lease)
        except (Conflict, NotFound):
            return None


def _promoted_images(namespace: str) -> str:
    return f"{_OURS}/namespaces/{namespace}/promotedimages"


def _annotate(there: Mapping[str, str] | None, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The operations of a JSON patch by which annotations become what is wanted; others stay."""
    if there is None and any(wanted.values()):
        yield {"op": "add", "path": "/metadata/annotations", "value": {}}
    for name, text in wanted.items():
        path = f"/metadata/annotations/{name.replace('~', '~0').replace('/', '~1')}"
        if text:
            yield {"op": "add", "path": path, "value": text}
        elif name in (there or {}):
            yield {"op": "remove", "path": path}
