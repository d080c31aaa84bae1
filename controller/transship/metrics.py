"""Metrics: what an operator wants to draw and be woken by.

Labels never hold an image, a tag or a digest: their number must not grow with what is promoted.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_PROMOTION_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """The process's metrics in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._reconciles = Counter(
            "transship_reconciles", "Looks at an object.", ["kind", "result"], registry=self._registry
        )
        self._transitions = Counter(
            "transship_request_transitions",
            "PromotionRequests that came to a phase for a reason.",
            ["phase", "reason"],
            registry=self._registry,
        )
        self._images = Counter(
            "transship_images", "Images that ended, by outcome.", ["policy", "outcome"], registry=self._registry
        )
        self._bytes = Counter(
            "transship_copied_bytes", "Bytes written to destinations.", ["policy"], registry=self._registry
        )
        self._duration = Histogram(
            "transship_promotion_duration_seconds",
            "Time from the start of a promotion to its end.",
            ["phase"],
            buckets=_PROMOTION_SECONDS,
            registry=self._registry,
        )
        self._registry_waits = Counter(
            "transship_registry_throttled_seconds",
            "Time requests waited for their turn under the quotas of an account and Region.",
            ["registry"],
            registry=self._registry,
        )
        self._registry_requests = Counter(
            "transship_registry_requests",
            "Requests to ECR by API action, whichever API they took.",
            ["registry", "action", "result"],
            registry=self._registry,
        )
        self._uncovered = Counter(
            "transship_uncovered",
            "Workloads found to run an image that their application's hook does not name.",
            ["kind"],
            registry=self._registry,
        )
        self._gates_not_enforced = Counter(
            "transship_gates_not_enforced", "Requests that Argo CD did not wait for.", registry=self._registry
        )
        self._pods_recreated = Counter(
            "transship_pods_recreated", "Pods evicted as they waited for a promoted image.", registry=self._registry
        )
        self._reviews = Counter(
            "transship_reviews", "Pods the admission webhook was asked about.", ["result"], registry=self._registry
        )
        self._leader = Gauge("transship_leader", "1 while this replica is the active one.", registry=self._registry)
        build = Gauge("transship_build_info", "Always 1.", ["version"], registry=self._registry)
        build.labels(version).set(1)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge `transship_NAME` that is read when it is scraped."""
        Gauge(f"transship_{name}", help_text, registry=self._registry).set_function(read)

    def reconciled(self, kind: str, result: str) -> None:
        """An object was looked at."""
        self._reconciles.labels(kind, result).inc()

    def transitioned(self, phase: str, reason: str) -> None:
        """A request came to a phase."""
        self._transitions.labels(phase, reason).inc()

    def image_ended(self, policy: str, outcome: str, copied_bytes: int) -> None:
        """An image ended."""
        self._images.labels(policy, outcome).inc()
        self._bytes.labels(policy).inc(copied_bytes)

    def promotion_ended(self, phase: str, seconds: float) -> None:
        """A promotion ended."""
        self._duration.labels(phase).observe(seconds)

    def registry_waited(self, registry: str, seconds: float) -> None:
        """A request to a registry waited for its turn."""
        self._registry_waits.labels(registry).inc(seconds)

    def registry_answered(self, registry: str, action: str, result: str) -> None:
        """A request to a registry ended."""
        self._registry_requests.labels(registry, action, result).inc()

    def uncovered(self, kind: str) -> None:
        """A workload was found to run an image that its application's hook does not name."""
        self._uncovered.labels(kind).inc()

    def gate_not_enforced(self) -> None:
        """Argo CD did not wait for a request that was to gate a sync."""
        self._gates_not_enforced.inc()

    def pod_recreated(self) -> None:
        """A pod that waited for a promoted image was evicted."""
        self._pods_recreated.inc()

    def reviewed(self, result: str) -> None:
        """The admission webhook was asked about a pod."""
        self._reviews.labels(result).inc()

    def leads(self, is_leader: bool) -> None:  # noqa: FBT001 - a gauge is set to what it is given
        """This replica became the active one, or ceased to be."""
        self._leader.set(is_leader)

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)
