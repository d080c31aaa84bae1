"""kopf, as a source of events only.

`on.event` handlers keep nothing on the objects: no annotations, no finalizers, no progress (docs/facts/kubernetes.md
§3). They put what they saw into `known` and a key on a queue, and return at once.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from transship.operator.known import Known
from transship.operator.promoted import Gate
from transship.operator.queue import WorkQueue
from transship.promotion.request import RequestKey
from transship.promotion.workload import WorkloadKey

GROUP, VERSION = "transship.dev", "v1alpha1"
WORKLOADS = (
    ("apps", "v1", "deployments", "Deployment"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
    ("apps", "v1", "daemonsets", "DaemonSet"),
    ("batch", "v1", "jobs", "Job"),
    ("batch", "v1", "cronjobs", "CronJob"),
)
_DELETION_FOLLOWS = 2.0
_SERVER_TIMEOUT, _CLIENT_TIMEOUT, _CONNECT_TIMEOUT, _CHUNK, _IDLE = 300, 330, 30, 500, 0.1


class Queues:
    """Where keys go.

    What is quick, what copies, what looks after AWS, gates nobody waited at, waiting pods, and what the gate is told.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one for each kind of work
        self,
        workloads: WorkQueue[WorkloadKey],
        policies: WorkQueue[str],
        requests: WorkQueue[RequestKey],
        upkeep: WorkQueue[str],
        gates: WorkQueue[RequestKey],
        pods: WorkQueue[RequestKey],
        promoted: WorkQueue[str],
    ) -> None:
        self.workloads = workloads
        self.policies = policies
        self.requests = requests
        self.upkeep = upkeep
        self.gates = gates
        self.pods = pods
        self.promoted = promoted


class Pulse:
    """When the watches were last heard of: the active replica renews its own Lease, and has to see that."""

    def __init__(self) -> None:
        self._heard_at: float | None = None

    def beat(self) -> None:
        """A watch delivered something."""
        self._heard_at = time.monotonic()

    def silence(self) -> float | None:
        """Seconds since a watch delivered something; None before the first time."""
        heard_at = self._heard_at
        return None if heard_at is None else time.monotonic() - heard_at


class Events:
    """The handlers: what is seen goes into the picture, what is new onto a queue; `heard` is told that it came."""

    def __init__(self, known: Known, queues: Queues, pulse: Pulse, gate: Gate, heard: Callable[[str], None]) -> None:
        self._known = known
        self._gate = gate
        self._queues = queues
        self._pulse = pulse
        self._heard = heard

    def workload(self, kind: str, api_version: str) -> Callable[..., Any]:
        """A handler for one kind of workload."""

        async def handle(event: Mapping[str, Any], **_: Any) -> None:
            resource = {**event["object"], "apiVersion": api_version, "kind": kind}
            key = WorkloadKey(kind, resource["metadata"]["namespace"], resource["metadata"]["name"])
            if event["type"] == "DELETED":
                self._known.forget_workload(key, resource["metadata"]["uid"])
            elif self._known.see_workload(resource) is None:
                return
            self._queues.workloads.add(key)
            self._gate.changed(key.namespace)

        return handle

    async def request(self, event: Mapping[str, Any], **_: Any) -> None:
        """A PromotionRequest was seen."""
        metadata = event["object"]["metadata"]
        key = RequestKey(metadata["namespace"], metadata["name"])
        self._gate.changed(key.namespace)
        if event["type"] == "DELETED":
            gone = self._known.forget_request(key, metadata["uid"])
            for hook in self._known.hooks_waiting_for(key):
                self._queues.workloads.add(hook)
            if gone is not None and gone.owner is not None:
                # Its owner may be there again under the same name, or still wait: it is judged anew.
                self._queues.workloads.add(gone.owner)
            return
        request, is_new = self._known.see_request(event["object"])
        if is_new:
            self._queues.requests.add(key)
            if request.is_gate and request.application:
                for workload in self._known.workloads_of(request.application, key.namespace):
                    self._queues.workloads.add(workload)
        if request.origin.is_let_go and request.status.finished_at is None:
            # Before it deletes a hook Argo CD takes its finalizer, too: only what stays was let go.
            self._queues.gates.add(key, _DELETION_FOLLOWS)

    async def policy(self, event: Mapping[str, Any], **_: Any) -> None:
        """A PromotionPolicy was seen: whatever it may decide differently is judged again."""
        metadata = event["object"]["metadata"]
        name = metadata["name"]
        if event["type"] == "DELETED":
            self._known.forget_policy(name, metadata["uid"])
        elif not self._known.see_policy(event["object"]):
            self._queues.policies.add(name)
            return
        self._queues.policies.add(name)
        self.policies_changed()

    async def namespace(self, event: Mapping[str, Any], **_: Any) -> None:
        """A namespace was seen: its labels may open or close policies."""
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            self._known.forget_namespace(name)
        elif self._known.see_namespace(event["object"]):
            self.namespace_changed(name)

    async def promoted_images(self, event: Mapping[str, Any], **_: Any) -> None:
        """The list of a namespace was seen."""
        self._gate.see(event["object"], is_gone=event["type"] == "DELETED")

    async def lease(self, **_: Any) -> None:
        """Our own Lease was seen: the watches are alive."""
        self._pulse.beat()

    def policies_changed(self) -> None:
        """Judge everything again that policies decide."""
        for name in self._known.policy_names():
            self._queues.policies.add(name)
        self._judge_again(namespace=None)

    def namespace_changed(self, name: str) -> None:
        """Judge everything again in a namespace whose labels are new."""
        self._gate.changed(name)
        self._judge_again(namespace=name)

    def _judge_again(self, namespace: str | None) -> None:
        for workload in self._known.workload_keys(namespace):
            self._queues.workloads.add(workload)
        for request in self._known.request_keys():
            if namespace in (None, request.namespace):
                self._queues.requests.add(request)

    def namespace_read(self, resource: Mapping[str, Any]) -> None:
        """A namespace was read that no watch tells of: its labels may open or close policies."""
        name = resource["metadata"]["name"]
        if self._known.see_namespace(resource):
            for policy in self._known.policy_names():
                self._queues.policies.add(policy)
            self.namespace_changed(name)

    def namespace_closed(self, name: str) -> None:
        """A namespace is watched no longer: what is known of it is forgotten, and not worked on."""
        self._known.forget_namespace(name)
        self._gate.forget(name)
        for workload in self._known.forget_workloads(name):
            self._queues.workloads.add(workload)
        for request in self._known.forget_requests(name):
            self._queues.requests.add(request)

    def register_namespaced(self, registry: kopf.OperatorRegistry) -> None:
        """The handlers of what is in namespaces."""
        for group, version, plural, kind in WORKLOADS:
            on_event(registry, (group, version, plural), self.workload(kind, f"{group}/{version}"), self._heard)
        on_event(registry, (GROUP, VERSION, "promotionrequests"), self.request, self._heard)
        if self._gate.is_on:
            on_event(registry, (GROUP, VERSION, "promotedimages"), self.promoted_images, self._heard)

    def register_cluster(self, registry: kopf.OperatorRegistry) -> None:
        """The handlers of policies, and of our own Lease."""
        on_event(registry, (GROUP, VERSION, "promotionpolicies"), self.policy, self._heard)
        on_event(registry, ("coordination.k8s.io", "v1", "leases"), self.lease, self._heard)

    def register_namespaces(self, registry: kopf.OperatorRegistry) -> None:
        """The handler of namespaces, where they are watched."""
        on_event(registry, ("", "v1", "namespaces"), self.namespace, self._heard)


def new_registry() -> kopf.OperatorRegistry:
    """A registry of handlers that has nothing but our credentials."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_log_in)
    return registry


def on_event(
    registry: kopf.OperatorRegistry,
    resource: tuple[str, str, str],
    handler: Callable[..., Any],
    heard: Callable[[str], None],
) -> None:
    """Have a handler called for each event of a resource (group, version and plural), and `heard` before it."""
    group, version, plural = resource

    async def handle(**arguments: Any) -> None:
        heard(plural)
        await handler(**arguments)

    kopf.on.event(group, version, plural, id=plural, registry=registry)(handle)


async def _log_in(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
    """Credentials as a pod has them, or as a person has them; kopf asks again when they expire."""
    return kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)


def watch_settings(lease_name: str) -> kopf.OperatorSettings:
    """How kopf watches: every time-out set, lists in chunks, of Leases only our own."""
    chosen = kopf.OperatorSettings()
    chosen.watching.server_timeout = _SERVER_TIMEOUT
    chosen.watching.client_timeout = _CLIENT_TIMEOUT
    chosen.watching.connect_timeout = _CONNECT_TIMEOUT
    chosen.watching.chunk_size = _CHUNK
    chosen.watching.field_selectors["coordination.k8s.io", "v1", "leases"] = f"metadata.name={lease_name}"
    # A task for each object keeps the last event whole until it ends; after a first list that is all of them at once.
    # Nothing is lost by ending early: the next event starts another.
    chosen.queueing.idle_timeout = _IDLE
    chosen.scanning.disabled = True  # the kinds are known, and watching CRDs needs rights we do not want
    chosen.posting.enabled = False
    return chosen
