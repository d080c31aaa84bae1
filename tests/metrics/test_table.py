"""The table of metrics: what it says, the code does, and nothing else."""

import re
import time

import pytest

from metrics.scraping import differences, samples
from transship.errors import Reason
from transship.metrics import AdmissionMetrics, Metrics
from transship.metrics.families import FAMILIES, PREFIX, Kind, Process
from transship.promotion.advice import ADVICE, Next
from transship.promotion.status import Outcome

CONTRACT = {
    "promotions_total": {"result", "reason"},
    "promotion_duration_seconds": {"result"},
    "requests": {"phase"},
    "queue_depth": set(),
    "queue_oldest_seconds": set(),
    "copied_bytes_total": {"policy"},
    "deduplicated_bytes_total": {"policy"},
    "registry_requests_total": {"registry", "method", "code"},
    "registry_throttled_seconds_total": {"registry"},
    "token_errors_total": {"registry"},
    "watch_last_event_timestamp_seconds": {"resource"},
    "leader": set(),
    "build_info": {"version"},
    "gates_not_enforced_total": set(),
    "uncovered_total": set(),
    "pods_recreated_total": set(),
    "reviews_total": {"result"},
}
"""What dashboards and alerts of others are made of: these stay as they are."""
FORBIDDEN = {"image", "tag", "digest", "repository", "namespace", "name", "pod", "request", "uid", "message"}


def value(text: str, metric: str, **labels: str) -> float | None:
    """Of one sample; None when it is not there."""
    return next(
        (number for name, found, number in samples(text) if (name, found) == (f"{PREFIX}{metric}", labels)), None
    )


def test_names_and_labels_that_others_rely_on_stay() -> None:
    known = {each.name: set(each.labels) for each in FAMILIES}

    assert {name: known.get(name) for name in CONTRACT} == CONTRACT


@pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.name)
def test_each_metric_is_named_as_prometheus_names_them_and_has_no_label_that_grows(family: object) -> None:
    assert isinstance(family, type(FAMILIES[0]))
    assert re.fullmatch(r"[a-z][a-z_]*[a-z]", family.name)
    assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
    assert not FORBIDDEN & set(family.labels)
    for sentence in (family.meaning, family.use):
        assert sentence.endswith("."), sentence
        assert "|" not in sentence, "it is a cell of a table"


def test_the_webhook_serves_what_the_table_says_it_does() -> None:
    metrics = AdmissionMetrics("1.2.3")
    metrics.registry_known("registry.example")
    metrics.registry_answered("registry.example", "HEAD", 200)

    assert differences(metrics.render().decode(), Process.ADMISSION) == []


def test_every_reason_is_there_with_0_before_the_first_promotion() -> None:
    text = Metrics("1.2.3").render().decode()

    assert value(text, "promotions_total", result="success", reason="Promoted") == 0
    failures = {
        found["reason"] for name, found, _ in samples(text) if found.get("result") == "failure" and "reason" in found
    }
    assert failures == {reason for reason in Reason if ADVICE[reason].next is Next.STALLS}
    assert all(number == 0 for name, _, number in samples(text) if name.endswith("_total"))


def test_a_policy_has_its_counters_as_soon_as_it_is_known() -> None:
    metrics = Metrics("1.2.3")

    metrics.policy_known("shop", ["source.example", "destination.example"])

    text = metrics.render().decode()
    assert value(text, "copied_bytes_total", policy="shop") == 0
    assert value(text, "deduplicated_bytes_total", policy="shop") == 0
    assert {value(text, "images_total", policy="shop", outcome=each) for each in Outcome} == {0}
    for registry in ("source.example", "destination.example"):
        assert value(text, "token_errors_total", registry=registry) == 0
        assert value(text, "registry_throttled_seconds_total", registry=registry) == 0


@pytest.mark.parametrize(
    ("status", "code"), [(200, "200"), (429, "429"), (503, "503"), (0, "none"), (299, "other"), (98765, "other")]
)
def test_a_registry_may_answer_any_number_and_makes_no_new_series_by_that(status: int, code: str) -> None:
    metrics = Metrics("1.2.3")

    metrics.registry_answered("registry.example", "GET", status)

    text = metrics.render().decode()
    assert value(text, "registry_requests_total", registry="registry.example", method="GET", code=code) == 1


def test_the_process_tells_its_memory_and_open_files_and_no_series_of_when_a_counter_was_made() -> None:
    metrics = Metrics("1.2.3")
    metrics.heard("leases")

    text = metrics.render().decode()

    for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds", "python_info"):
        assert re.search(rf"^{name}[ {{]", text, re.MULTILINE), name
    assert "_created" not in text
    heard = value(text, "watch_last_event_timestamp_seconds", resource="leases")
    assert heard is not None
    assert abs(time.time() - heard) < 5
