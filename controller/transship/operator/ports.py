"""What the operator needs of the cluster and of the metrics; adapters fill it, the composition root joins them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from transship.promotion.request import RequestKey
from transship.promotion.waiting import WaitingPod
from transship.promotion.workload import WorkloadKey

Resource = Mapping[str, Any]


class Leases(Protocol):
    """Reads and writes the Lease that makes one replica the active one."""

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The Lease; None when there is none."""

    def write_lease(self, lease: Resource) -> dict[str, Any] | None:
        """Create or replace the Lease; None when somebody was faster."""


class PromotedLists(Protocol):
    """Reads and writes the PromotedImages of namespaces."""

    def promoted_images(self, namespace: str) -> dict[str, Any] | None:
        """The PromotedImages of a namespace; None when there are none."""

    def write_promoted_images(self, resource: Resource) -> dict[str, Any] | None:
        """Create them, or replace the version that is named; None when that is not how things are."""

    def delete_promoted_images(self, namespace: str, uid: str) -> None:
        """Delete these very PromotedImages."""


class Cluster(Leases, PromotedLists, Protocol):
    """Reads and writes objects; None means the object is gone, or another has taken its name."""

    def policies(self) -> list[dict[str, Any]]:
        """All PromotionPolicies."""

    def namespaces(self, name: str | None = None) -> list[dict[str, Any]]:
        """All namespaces, or the one of that name if it exists."""

    def workload(self, key: WorkloadKey) -> dict[str, Any] | None:
        """A workload as it is now."""

    def request(self, key: RequestKey) -> dict[str, Any] | None:
        """A PromotionRequest as it is now."""

    def create_request(self, resource: Resource) -> dict[str, Any] | None:
        """Create a PromotionRequest; None when there is one of that name."""

    def delete_request(self, key: RequestKey, uid: str) -> None:
        """Delete this very PromotionRequest."""

    def write_request_status(self, key: RequestKey, uid: str, status: Resource) -> dict[str, Any] | None:
        """Replace the status of this very PromotionRequest."""

    def write_policy_status(self, name: str, uid: str, status: Resource) -> dict[str, Any] | None:
        """Replace the status of this very PromotionPolicy."""

    def write_job_status(self, key: WorkloadKey, uid: str, status: Resource) -> dict[str, Any] | None:
        """Replace the status of this very Job."""

    def pending_pods(self, namespace: str) -> list[dict[str, Any]]:
        """All pods of a namespace that have not begun to run."""

    def evict_pod(self, pod: WaitingPod) -> bool:
        """Evict this very pod, unless it has changed; whether that was done."""

    def emit_event(self, regarding: Mapping[str, str], *, warning: bool, reason: str, note: str, now: datetime) -> None:
        """Tell a story line on an object."""


class Exposition(Protocol):
    """What is scraped."""

    @property
    def content_type(self) -> str:
        """Content type of `render`."""

    def render(self) -> bytes:
        """The exposition text."""


class Metrics(Exposition, Protocol):
    """Counts what happens."""

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Have a gauge read when it is scraped."""

    def watch_each(self, name: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Have a gauge with one label, and its value for each of them, read when it is scraped."""

    def reconciled(self, kind: str, result: str) -> None:
        """An object was looked at."""

    def policy_known(self, policy: str, registries: Iterable[str]) -> None:
        """There is a policy, with these registries."""

    def promoted(self, seconds: float) -> None:
        """A promotion ended well, after so many seconds."""

    def stalled(self, reason: str, seconds: float) -> None:
        """A promotion failed."""

    def retried(self, reason: str) -> None:
        """A promotion has to wait for another attempt."""

    def image_ended(self, policy: str, outcome: str) -> None:
        """An image ended."""

    def moved(self, policy: str, copied: int, deduplicated: int) -> None:
        """So many more bytes were handed to a destination, or need not be."""

    def heard(self, resource: str) -> None:
        """A watch brought something."""

    def uncovered(self) -> None:
        """A workload was found to run an image that its application's hook does not name."""

    def gate_not_enforced(self) -> None:
        """Argo CD did not wait for a request that was to gate a sync."""

    def pod_recreated(self) -> None:
        """A pod that waited for a promoted image was evicted."""

    def leads(self, is_leader: bool) -> None:  # noqa: FBT001 - a gauge is set to what it is given
        """This replica became the active one, or ceased to be."""
