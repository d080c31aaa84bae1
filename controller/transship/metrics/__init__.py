"""Metrics: what an operator wants to draw and be woken by. `families` lists them all.

Labels never hold an image, a tag or a digest: their number must not grow with what is promoted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from transship.errors import Reason
from transship.metrics.families import FAMILIES, Family, Kind, Process
from transship.promotion.advice import ADVICE, Next
from transship.promotion.status import Outcome

_PROMOTION_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
SUCCESS, FAILURE = "success", "failure"
FAILURES = tuple(reason for reason, advice in ADVICE.items() if advice.next is Next.STALLS)
"""Reasons for which a promotion fails: each is there with 0 before the first time, as alerts need it."""
RETRIES = tuple(reason for reason, advice in ADVICE.items() if advice.next is Next.RETRIED)
"""Reasons for which one is tried again."""
REVIEWS = ("gated", "present", "not covered", "refused", "not ours", "failed open")
"""What comes of reviews."""
_CODES = frozenset(int(each) for each in HTTPStatus)

# A second series for each counter, with the time it was made, is nothing anybody asks for.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class _Exposed:
    """The metrics of one process in a registry of their own, and those that both kinds of processes have."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str, process: Process) -> None:
        self._registry = CollectorRegistry()
        for collector in (
            prometheus_client.ProcessCollector,
            prometheus_client.PlatformCollector,
            prometheus_client.GCCollector,
        ):
            collector(registry=self._registry)
        self._families = {each.name: each for each in FAMILIES if process in each.processes}
        self._counters = {name: self._counter(each) for name, each in self._families.items() if _counts(each)}
        Gauge(*self._about("build_info"), registry=self._registry).labels(version).set(1)

    def registry_known(self, registry: str) -> None:
        """A registry will be asked."""
        self._counters["registry_throttled_seconds_total"].labels(registry)
        self._counters["token_errors_total"].labels(registry)

    def registry_waited(self, registry: str, seconds: float) -> None:
        """A request to a registry waited for its turn."""
        self._counters["registry_throttled_seconds_total"].labels(registry).inc(seconds)

    def registry_answered(self, registry: str, method: str, status: int) -> None:
        """A request to a registry ended; the status is 0 when no answer came."""
        self._counters["registry_requests_total"].labels(registry, method, _code(status)).inc()

    def token_failed(self, registry: str) -> None:
        """A role could not be assumed, or a token not be had."""
        self._counters["token_errors_total"].labels(registry).inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)

    def _about(self, name: str) -> tuple[str, str, tuple[str, ...]]:
        family = self._families[name]
        return family.full_name, family.meaning, family.labels

    def _counter(self, family: Family) -> Counter:
        return Counter(*self._about(family.name), registry=self._registry)


class Metrics(_Exposed):
    """The operator's."""

    def __init__(self, version: str) -> None:
        super().__init__(version, Process.OPERATOR)
        self._leader = Gauge(*self._about("leader"), registry=self._registry)
        self._admission = Gauge(*self._about("admission"), registry=self._registry)
        self._heard = Gauge(*self._about("watch_last_event_timestamp_seconds"), registry=self._registry)
        self._duration = Histogram(
            *self._about("promotion_duration_seconds"), buckets=_PROMOTION_SECONDS, registry=self._registry
        )
        self._prepare()

    def _prepare(self) -> None:
        promotions, retries = self._counters["promotions_total"], self._counters["retries_total"]
        promotions.labels(SUCCESS, Reason.PROMOTED.value)
        for reason in FAILURES:
            promotions.labels(FAILURE, reason.value)
        for reason in RETRIES:
            retries.labels(reason.value)
        for result in (SUCCESS, FAILURE):
            self._duration.labels(result)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Have a gauge without labels read when it is scraped."""
        Gauge(*self._about(name), registry=self._registry).set_function(read)

    def watch_each(self, name: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Have a gauge with one label, and its value for each of them, read when it is scraped."""
        self._registry.register(_Watched(self._families[name], read))

    def reconciled(self, kind: str, result: str) -> None:
        """An object was looked at."""
        self._counters["reconciles_total"].labels(kind, result).inc()

    def policy_known(self, policy: str, registries: Iterable[str]) -> None:
        """There is a policy, with these registries."""
        self._counters["copied_bytes_total"].labels(policy)
        self._counters["deduplicated_bytes_total"].labels(policy)
        for outcome in Outcome:
            self._counters["images_total"].labels(policy, outcome.value)
        for registry in registries:
            self.registry_known(registry)

    def promoted(self, seconds: float) -> None:
        """A promotion ended well, after so many seconds."""
        self._counters["promotions_total"].labels(SUCCESS, Reason.PROMOTED.value).inc()
        self._duration.labels(SUCCESS).observe(seconds)

    def stalled(self, reason: str, seconds: float) -> None:
        """A promotion failed."""
        self._counters["promotions_total"].labels(FAILURE, reason).inc()
        self._duration.labels(FAILURE).observe(seconds)

    def retried(self, reason: str) -> None:
        """A promotion has to wait for another attempt."""
        self._counters["retries_total"].labels(reason).inc()

    def image_ended(self, policy: str, outcome: str) -> None:
        """An image ended."""
        self._counters["images_total"].labels(policy, outcome).inc()

    def moved(self, policy: str, copied: int, deduplicated: int) -> None:
        """So many more bytes were handed to a destination, or need not be."""
        self._counters["copied_bytes_total"].labels(policy).inc(copied)
        self._counters["deduplicated_bytes_total"].labels(policy).inc(deduplicated)

    def uncovered(self) -> None:
        """A workload was found to run an image that its application's hook does not name."""
        self._counters["uncovered_total"].inc()

    def gate_not_enforced(self) -> None:
        """Argo CD did not wait for a request that was to gate a sync."""
        self._counters["gates_not_enforced_total"].inc()

    def pod_recreated(self) -> None:
        """A pod that waited for a promoted image was evicted."""
        self._counters["pods_recreated_total"].inc()

    def heard(self, resource: str) -> None:
        """A watch brought something."""
        self._heard.labels(resource).set_to_current_time()

    def leads(self, is_leader: bool) -> None:  # noqa: FBT001 - a gauge is set to what it is given
        """This replica became the active one, or ceased to be."""
        self._leader.set(is_leader)

    def expects_admission(self, is_expected: bool) -> None:  # noqa: FBT001 - a gauge is set to what it is given
        """There should be an admission webhook, or there need not be one."""
        self._admission.set(is_expected)


class AdmissionMetrics(_Exposed):
    """The admission webhook's."""

    def __init__(self, version: str) -> None:
        super().__init__(version, Process.ADMISSION)
        for result in REVIEWS:
            self._counters["reviews_total"].labels(result)

    def reviewed(self, result: str) -> None:
        """The webhook was asked about a pod."""
        self._counters["reviews_total"].labels(result).inc()


class _Watched(Collector):
    """A gauge with one label that is read when it is scraped."""

    def __init__(self, family: Family, read: Callable[[], Mapping[str, float]]) -> None:
        self._family = family
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(self._family.full_name, self._family.meaning, labels=self._family.labels)
        for label, value in self._read().items():
            gauge.add_metric([label], value)
        yield gauge


def _counts(family: Family) -> bool:
    return family.kind is Kind.COUNTER


def _code(status: int) -> str:
    """A status as a label: whoever answers may write any number, and there is a bounded number of those that exist."""
    if not status:
        return "none"
    return str(status) if status in _CODES else "other"
