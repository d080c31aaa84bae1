"""What the Grafana dashboard shows: its rows and panels, as one table. `reference.dashboard` writes them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Look(StrEnum):
    """How a panel is drawn, in Grafana's words."""

    STAT = "stat"
    LINES = "timeseries"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: What stands above it.
        shows: What is seen, and what to think of it; sentences.
        queries: Expressions by the legend of what they give. `SEEN` is replaced by what the variables choose.
        unit: Grafana's name of it.
        look: How it is drawn.
        width: Of 24.
        steps: Values from which on another colour begins, after the first one's, which begins anywhere.
        first: The first colour.
        is_stacked: Whether areas stand on each other.
    """

    title: str
    shows: str
    queries: Mapping[str, str]
    unit: str = "short"
    look: Look = Look.LINES
    width: int = 12
    steps: tuple[tuple[float, str], ...] = ()
    first: str = "green"
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...] = field(default=())


SLOWEST = """\
No metric is labelled with an image: their number would grow with what is promoted. The percentiles beside this say \
*that* promotions are slow; *which* ones is in the cluster:

```
kubectl get promotionrequests.transship.dev -A --sort-by=.metadata.creationTimestamp -o custom-columns=\
NAMESPACE:.metadata.namespace,NAME:.metadata.name,PHASE:.status.phase,STARTED:.status.startedAt,\
FINISHED:.status.finishedAt,IMAGES:.status.images[*].destination
```

`transship explain NAME` says what one of them waits for, and `transship report` makes a page of all of them.
"""

ROWS: tuple[Row, ...] = (
    Row(
        "Now",
        (
            Panel(
                "Active replicas",
                "One is right. None for more than some seconds means that nothing is promoted.",
                {"": "sum(transship_leader{SEEN})"},
                look=Look.STAT,
                width=4,
                first="red",
                steps=((1, "green"), (2, "red")),
            ),
            Panel(
                "Oldest unfinished request",
                "How long the oldest request has been neither promoted nor stalled. A request has 30 minutes, unless "
                "its `spec.timeout` says otherwise.",
                {"": "max(transship_queue_oldest_seconds{SEEN})"},
                unit="s",
                look=Look.STAT,
                width=4,
                steps=((900, "orange"), (2700, "red")),
            ),
            Panel(
                "Unfinished requests",
                "Requests that wait, are being promoted, or will be tried again.",
                {"": 'sum(transship_requests{SEEN, phase!~"Promoted|Stalled|Suspended"})'},
                look=Look.STAT,
                width=4,
            ),
            Panel(
                "Stalled requests",
                "Requests that somebody has to do something about. Old ones of hooks stay as history.",
                {"": 'sum(transship_requests{SEEN, phase="Stalled"})'},
                look=Look.STAT,
                width=4,
                steps=((1, "orange"),),
            ),
            Panel(
                "Promotions that succeed",
                "The share of promotions that ended well, in the time that is looked at.",
                {
                    "": 'sum(increase(transship_promotions_total{SEEN, result="success"}[$__range])) '
                    "/ sum(increase(transship_promotions_total{SEEN}[$__range]))"
                },
                unit="percentunit",
                look=Look.STAT,
                width=4,
                first="red",
                steps=((0.5, "orange"), (0.9, "green")),
            ),
            Panel(
                "Silence of the watch",
                "How long ago the API server was last heard of. After 90 seconds `/healthz` fails.",
                {"": 'max(time() - transship_watch_last_event_timestamp_seconds{SEEN, resource="leases"})'},
                unit="s",
                look=Look.STAT,
                width=4,
                steps=((60, "orange"), (90, "red")),
            ),
        ),
    ),
    Row(
        "Promotions",
        (
            Panel(
                "Outcomes by reason",
                "Promotions that ended, by result and reason. [Reasons](../reasons.md) says what to do about each.",
                {
                    "{{result}}: {{reason}}": "sum by (result, reason) "
                    "(increase(transship_promotions_total{SEEN}[$__rate_interval])) > 0"
                },
                is_stacked=True,
            ),
            Panel(
                "Attempts that have to wait, by reason",
                "What stands in the way of promotions that are tried again; it grows before promotions fail.",
                {"{{reason}}": "sum by (reason) (increase(transship_retries_total{SEEN}[$__rate_interval])) > 0"},
                is_stacked=True,
            ),
            Panel(
                "Time of a promotion",
                "How long promotions take that succeed: half of them, 95 and 99 of 100. It is what a sync waits for.",
                {
                    f"{percent} %": f"histogram_quantile({percent / 100}, sum by (le) (rate("
                    'transship_promotion_duration_seconds_bucket{SEEN, result="success"}[$__rate_interval])))'
                    for percent in (50, 95, 99)
                },
                unit="s",
            ),
            Panel("Slowest images", SLOWEST, {}, look=Look.TEXT),
            Panel(
                "Images by outcome",
                "What was done about the images of requests that ended: `AlreadyPresent` costs next to nothing.",
                {"{{outcome}}": "sum by (outcome) (increase(transship_images_total{SEEN}[$__rate_interval])) > 0"},
                is_stacked=True,
            ),
            Panel(
                "Images that failed or were refused, by policy",
                "Which policy they belong to; `none` are images that no policy covers.",
                {
                    "{{policy}}: {{outcome}}": "sum by (policy, outcome) (increase("
                    'transship_images_total{SEEN, outcome=~"Failed|Refused"}[$__rate_interval])) > 0'
                },
                is_stacked=True,
            ),
        ),
    ),
    Row(
        "Queue",
        (
            Panel(
                "Requests by phase",
                "Where the requests stand that there are now.",
                {"{{phase}}": "sum by (phase) (transship_requests{SEEN})"},
                is_stacked=True,
            ),
            Panel(
                "Age of the oldest unfinished request",
                "A line that climbs is a promotion that hangs; the alert TransshipStuck begins at 45 minutes.",
                {"oldest": "max(transship_queue_oldest_seconds{SEEN})"},
                unit="s",
            ),
            Panel(
                "Waiting for a worker",
                "Requests that are due. Above 0 for long: all `TRANSSHIP_PROMOTION_WORKERS` are busy, or wait for a "
                "registry.",
                {"requests": "sum(transship_queue_depth{SEEN})"},
            ),
            Panel(
                "Looks at objects",
                "What the workers do, by kind and what came of it.",
                {
                    "{{kind}}: {{result}}": "sum by (kind, result) (rate(transship_reconciles_total{SEEN}"
                    "[$__rate_interval])) > 0"
                },
                unit="ops",
            ),
        ),
    ),
    Row(
        "Bytes",
        (
            Panel(
                "Copied, by policy",
                "Bytes handed to destinations.",
                {"{{policy}}": "sum by (policy) (rate(transship_copied_bytes_total{SEEN}[$__rate_interval]))"},
                unit="Bps",
                is_stacked=True,
            ),
            Panel(
                "Not copied, by policy",
                "Bytes of copied images that the destination held, mounted, or got with another image.",
                {"{{policy}}": "sum by (policy) (rate(transship_deduplicated_bytes_total{SEEN}[$__rate_interval]))"},
                unit="Bps",
                is_stacked=True,
            ),
            Panel(
                "Blobs on their way",
                "At `TRANSSHIP_COPY_BLOBS` for long, more of them may help.",
                {"blobs": "sum(transship_copy_blobs{SEEN})"},
            ),
            Panel(
                "Memory of blobs on their way",
                "At `TRANSSHIP_COPY_MEMORY_MIB` for long, more of it may help.",
                {"memory": "sum(transship_copy_memory_bytes{SEEN})"},
                unit="bytes",
            ),
        ),
    ),
    Row(
        "Registries",
        (
            Panel(
                "Throttling",
                "How many requests wait for their turn, on average: under a quota of ECR, or because a registry said "
                "so.",
                {
                    "{{registry}}": "sum by (registry) "
                    "(rate(transship_registry_throttled_seconds_total{SEEN}[$__rate_interval]))"
                },
            ),
            Panel(
                "Tokens that could not be had",
                "Roles that could not be assumed, and tokens that were refused; `transship login-check` says which.",
                {"{{registry}}": "sum by (registry) (increase(transship_token_errors_total{SEEN}[$__rate_interval]))"},
            ),
            Panel(
                "Requests by code",
                "429 is a quota, 401 and 403 are credentials, 5xx and `none` a registry in trouble.",
                {
                    "{{registry}}: {{code}}": "sum by (registry, code) "
                    "(rate(transship_registry_requests_total{SEEN}[$__rate_interval])) > 0"
                },
                unit="reqps",
            ),
            Panel(
                "Requests by method",
                "What is asked of registries: HTTP methods, and actions of ECR's API.",
                {
                    "{{registry}}: {{method}}": "sum by (registry, method) "
                    "(rate(transship_registry_requests_total{SEEN}[$__rate_interval])) > 0"
                },
                unit="reqps",
            ),
        ),
    ),
    Row(
        "Gates and admission",
        (
            Panel(
                "Syncs that did not wait",
                "Requests that were to gate a sync, and workloads whose images the hook does not name.",
                {
                    "gates not enforced": "sum(increase(transship_gates_not_enforced_total{SEEN}[$__rate_interval]))",
                    "workloads not covered": "sum(increase(transship_uncovered_total{SEEN}[$__rate_interval]))",
                },
            ),
            Panel(
                "Pods the webhook was asked about",
                "By what came of it; `failed open` were not held though nobody knows. Empty without admission.",
                {"{{result}}": "sum by (result) (increase(transship_reviews_total{SEEN}[$__rate_interval])) > 0"},
                is_stacked=True,
            ),
            Panel(
                "Pods made anew",
                "Pods that waited for an image and were evicted once it was there.",
                {"pods": "sum(increase(transship_pods_recreated_total{SEEN}[$__rate_interval]))"},
            ),
        ),
    ),
    Row(
        "Replicas",
        (
            Panel(
                "Who is active",
                "1 is the active replica.",
                {"{{instance}}": "max by (instance) (transship_leader{SEEN})"},
            ),
            Panel(
                "Silence of watches, by resource",
                "How long ago each watch last brought something. Only `leases` has to be near 0: where nothing "
                "changes, nothing is brought.",
                {"{{resource}}": "time() - max by (resource) (transship_watch_last_event_timestamp_seconds{SEEN})"},
                unit="s",
            ),
            Panel(
                "Memory",
                "What each process holds.",
                {
                    "{{instance}}": "max by (instance) (process_resident_memory_bytes{SEEN} "
                    "and on (instance) transship_build_info{SEEN})"
                },
                unit="bytes",
            ),
            Panel(
                "Processor",
                "Cores that each process uses.",
                {
                    "{{instance}}": "max by (instance) (rate(process_cpu_seconds_total{SEEN}[$__rate_interval]) "
                    "and on (instance) transship_build_info{SEEN})"
                },
            ),
            Panel(
                "Versions",
                "Replicas of each version: two of them while an upgrade goes on.",
                {"{{version}}": "count by (version) (transship_build_info{SEEN})"},
            ),
        ),
    ),
)
