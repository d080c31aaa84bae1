"""The table of metrics: every one this project exposes, what it counts, and what to do with it.

The code makes its metrics from this table, and `docs/reference/metrics.md` is written from it. What is not here cannot
be counted.
"""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "transship_"


class Kind(StrEnum):
    """What Prometheus calls a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Process(StrEnum):
    """Who exposes a metric."""

    OPERATOR = "operator"
    ADMISSION = "admission"


OPERATOR = frozenset({Process.OPERATOR})
ADMISSION = frozenset({Process.ADMISSION})
BOTH = OPERATOR | ADMISSION


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: as it is queried, without the prefix; the counters' with `_total`.
        kind: what Prometheus calls it.
        labels: their names. None ever holds an image, a tag or a digest, nor anything else that tenants choose.
        unit: of a value.
        meaning: what is counted, as a sentence.
        use: what to do with it, as a sentence.
        processes: who exposes it.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str
    use: str
    processes: frozenset[Process] = OPERATOR

    @property
    def full_name(self) -> str:
        """As it is queried."""
        return f"{PREFIX}{self.name}"


FAMILIES: tuple[Family, ...] = (
    Family(
        "promotions_total",
        Kind.COUNTER,
        ("result", "reason"),
        "promotions",
        "Promotions that ended: `success` with the reason `Promoted`, or `failure` with the reason for which the "
        "request stalled. A request that is asked again, or heals, ends once more; looking again at one that has "
        "stalled does not count while its reason stays.",
        "The share of failures by reason is what to be woken by; [Reasons](../reasons.md) says what to do about each.",
    ),
    Family(
        "promotion_duration_seconds",
        Kind.HISTOGRAM,
        ("result",),
        "seconds",
        "Time from the start of a promotion to its end, waiting for a missing source and retries included.",
        "What a sync waits for: draw the 50th and 95th percentile of `success`.",
    ),
    Family(
        "retries_total",
        Kind.COUNTER,
        ("reason",),
        "promotions",
        "Promotions that came to wait for another attempt, by what stood in their way.",
        "Grows before promotions fail: `Throttled` and `Unreachable` are the registry's, `SourceNotYetThere` is a "
        "pipeline that is slower than the merge.",
    ),
    Family(
        "requests",
        Kind.GAUGE,
        ("phase",),
        "requests",
        "PromotionRequests there are now, by phase, as the active replica sees them; 0 on a standby.",
        "`Stalled` wants somebody; the rest is how busy it is. Add the replicas up.",
    ),
    Family(
        "images_total",
        Kind.COUNTER,
        ("policy", "outcome"),
        "images",
        "Images of requests that ended, by what was done about them.",
        "How much of what is asked for was there already (`AlreadyPresent`), and which policy refuses (`Refused`).",
    ),
    Family(
        "queue_depth",
        Kind.GAUGE,
        (),
        "requests",
        "Requests that are due and wait for a worker.",
        "Stays above 0 when `TRANSSHIP_PROMOTION_WORKERS` are too few, or all of them wait for a registry.",
    ),
    Family(
        "queue_oldest_seconds",
        Kind.GAUGE,
        (),
        "seconds",
        "Age of the oldest request that has neither been promoted nor stalled, since this promotion began, or, before "
        "that, since the request was made; 0 when there is none. Suspended requests do not count.",
        "The alert for promotions that hang: no request is older than its `spec.timeout` for long.",
    ),
    Family(
        "copied_bytes_total",
        Kind.COUNTER,
        ("policy",),
        "bytes",
        "Bytes handed to destinations, as they move; what a broken upload sends again is not counted again.",
        "Throughput, and what goes over the network between accounts or Regions.",
    ),
    Family(
        "deduplicated_bytes_total",
        Kind.COUNTER,
        ("policy",),
        "bytes",
        "Bytes of copied images that were not sent, because the destination held them, mounted them, or got them with "
        "another image.",
        "Beside the copied bytes: how much sharing layers saves.",
    ),
    Family(
        "copy_blobs",
        Kind.GAUGE,
        (),
        "blobs",
        "Blobs on their way now.",
        "At `TRANSSHIP_COPY_BLOBS` for long: more of them may help, if the network is not what is slow.",
    ),
    Family(
        "copy_memory_bytes",
        Kind.GAUGE,
        (),
        "bytes",
        "Memory given to blobs on their way.",
        "At `TRANSSHIP_COPY_MEMORY_MIB` for long: more of it may help.",
    ),
    Family(
        "registry_requests_total",
        Kind.COUNTER,
        ("registry", "method", "code"),
        "requests",
        "Requests to the registries of policies, each attempt: of the distribution API with its HTTP method, of the "
        "ECR API with its action. The code is the HTTP status; 429 whenever a registry says that requests come too "
        "fast (ECR's API says so with 400), and `none` when no answer came.",
        "5xx and `none` are a registry in trouble, 401 and 403 credentials, 429 a quota.",
        BOTH,
    ),
    Family(
        "registry_throttled_seconds_total",
        Kind.COUNTER,
        ("registry",),
        "seconds",
        "Time requests waited for their turn: under the quotas of ECR, or because a registry had said that requests "
        "come too fast. Requests wait side by side, so that this may grow by more than a second in a second.",
        "Grows while a wave of promotions is limited by a quota: have AWS raise it, and tell `TRANSSHIP_QUOTAS`.",
        BOTH,
    ),
    Family(
        "token_errors_total",
        Kind.COUNTER,
        ("registry",),
        "errors",
        "Roles that could not be assumed, and tokens that could not be had, each attempt.",
        "Credentials or a trust policy are wrong, or STS is away: `transship login-check` says which. Tokens are "
        "renewed at half of their life, so that there are hours left when this begins to grow.",
        BOTH,
    ),
    Family(
        "watch_last_event_timestamp_seconds",
        Kind.GAUGE,
        ("resource",),
        "seconds since 1970",
        "When a watch of the API server last brought something, by resource; there from the first event on. The "
        "operator's own Lease (`leases`) is renewed all the time, and is watched for that.",
        "`time()` minus that of `leases` is how long nothing was heard. After 90 seconds `/healthz` fails.",
    ),
    Family(
        "leader",
        Kind.GAUGE,
        (),
        "0 or 1",
        "Whether this replica is the active one.",
        "The sum over all replicas is 1; for some seconds 0 while another one takes over.",
    ),
    Family(
        "admission",
        Kind.GAUGE,
        (),
        "0 or 1",
        "Whether the operator expects the admission webhook: `TRANSSHIP_ADMISSION`.",
        "1 while no webhook is scraped beside it: the webhook is gone, or was never there.",
    ),
    Family(
        "reconciles_total",
        Kind.COUNTER,
        ("kind", "result"),
        "looks",
        "Looks at objects, by kind and what came of them.",
        "What the workers do; `not covered` are workloads that no policy is about.",
    ),
    Family(
        "uncovered_total",
        Kind.COUNTER,
        (),
        "workloads",
        "Workloads found to run an image that the hook of their application does not name.",
        "The hook's list is not complete: `transship check --fix` writes it.",
    ),
    Family(
        "gates_not_enforced_total",
        Kind.COUNTER,
        (),
        "requests",
        "Requests that were to gate a sync, and that Argo CD did not wait for.",
        "A sync went past its gate. See [what Argo CD does not do](../how-to/argocd.md#what-argo-cd-does-not-do).",
    ),
    Family(
        "pods_recreated_total",
        Kind.COUNTER,
        (),
        "pods",
        "Pods that waited for an image and were evicted once it was there, as `watch.recreateWaitingPods` has it.",
        "How often pods came before their images.",
    ),
    Family(
        "reviews_total",
        Kind.COUNTER,
        ("result",),
        "reviews",
        "Pods the admission webhook was asked about, by what came of it.",
        "`failed open` are pods that were not held though nobody knows whether their images are there.",
        ADMISSION,
    ),
    Family(
        "build_info",
        Kind.GAUGE,
        ("version",),
        "1",
        "Always 1; the label says which version this is.",
        "Which versions run, after an upgrade for example.",
        BOTH,
    ),
)
