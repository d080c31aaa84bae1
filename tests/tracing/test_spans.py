"""Spans without a cluster: what is told of errors, other threads, collectors that are away, and when nobody listens."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from io import StringIO

import kopf
import pytest
import structlog
from kopf._core.actions.loggers import ObjectLogger

from localworld.ports import free_ports
from oci.images import image
from tracing.collector import Collector
from transship import logs
from transship.cli.traces import build_spans
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.spans import UNTRACED
from transship.oci.threads import Threads
from transship.settings import Settings
from transship.tracing import Tracing

UNTOLD = "a-secret-in-somebody-elses-exception"
MANY = 5000


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


@pytest.fixture
def said() -> Iterator[StringIO]:
    """The log as the operator writes it."""
    root = logging.getLogger()
    before = root.handlers, root.level
    logs.configure("info", "json")
    written = StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers, root.level = before
    structlog.reset_defaults()


def lines(said: StringIO) -> list[dict[str, object]]:
    return [json.loads(each) for each in said.getvalue().splitlines()]


def test_a_span_ends_with_our_sentence_and_of_a_foreign_exception_with_its_type_only(collector: Collector) -> None:
    tracing = Tracing("1.2.3")
    ours = RetryLater(Reason.THROTTLED, "registry.example wants to be left alone", side=Side.SOURCE, step="resolve")
    with suppress(RetryLater), tracing.span("resolve"):
        raise ours
    with suppress(ValueError), tracing.span("blob"):
        raise ValueError(UNTOLD)
    tracing.close()

    errors = {each.name: each.error for each in collector.spans()}
    assert errors == {
        "resolve": "source resolve: registry.example wants to be left alone",
        "blob": "unexpected ValueError",
    }
    assert not any(UNTOLD.encode() in each for each in collector.bodies)


def test_what_another_thread_does_for_a_span_is_inside_of_it_and_so_are_its_log_lines(
    collector: Collector, said: StringIO
) -> None:
    tracing, threads = Tracing("1.2.3"), Threads(2, "blob")
    log = structlog.get_logger("test")

    def work() -> None:
        with tracing.span("blob"):
            log.info("moved")

    for name in ("first", "second"):
        with tracing.span(name):
            threads.submit(work).result()
    log.info("nothing is open")
    tracing.close()

    spans = {each.id: each for each in collector.spans()}
    blobs = [each for each in spans.values() if each.name == "blob"]
    assert {spans[each.parent].name for each in blobs} == {"first", "second"}
    *moved, outside = lines(said)
    assert {(each["trace_id"], each["span_id"]) for each in moved} == {(each.trace, each.id) for each in blobs}
    assert "trace_id" not in outside


def test_facts_that_are_empty_are_left_out_and_numbers_stay_numbers(collector: Collector) -> None:
    tracing = Tracing("1.2.3")
    digest = image([b"content"]).root.descriptor.digest
    with tracing.span("copy", digest=digest, application="", tag=None) as span:
        span.note(bytes_copied=12)
    tracing.close()

    (span_received,) = collector.spans()
    assert span_received.facts == {"transship.digest": str(digest), "transship.bytes.copied": 12}


def test_the_name_of_the_service_is_the_environments_where_that_has_one(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "transship-production")
    tracing = Tracing("1.2.3")
    with tracing.span("copy"):
        pass
    tracing.close()

    (resource,) = collector.resources()
    assert (resource["service.name"], resource["service.version"]) == ("transship-production", "1.2.3")


def test_with_nobody_at_the_other_end_spans_cost_no_time_and_are_told_of_once(
    monkeypatch: pytest.MonkeyPatch, said: StringIO
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    tracing = Tracing("1.2.3")

    began = time.monotonic()
    for _ in range(MANY):
        with tracing.span("blob"):
            pass
    took = time.monotonic() - began
    tracing.close()

    assert took < MANY * 0.001
    (line,) = lines(said)
    assert (line["level"], line["message"]) == ("warning", "traces cannot be sent and are dropped")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in str(line["note"])


def test_while_they_cannot_be_sent_no_more_than_so_many_spans_wait(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.status = HTTPStatus.SERVICE_UNAVAILABLE
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    tracing = Tracing("1.2.3")
    for _ in range(MANY):
        with tracing.span("blob"):
            pass
    collector.status = HTTPStatus.OK
    tracing.close()

    assert 0 < len(collector.spans()) <= 110, "those that wait, and those under way"


def test_a_collector_that_never_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracing = Tracing("1.2.3")
        with tracing.span("blob"):
            pass

        began = time.monotonic()
        tracing.close()

        assert time.monotonic() - began < 4


def test_nobody_listens_unless_asked_to_and_then_nothing_is_imported() -> None:
    assert build_spans(Settings(), "1.2.3") is UNTRACED
    with UNTRACED.span("blob", digest="d") as span:
        span.note(bytes=1)
        span.fail("nobody hears of it")
    program = (
        "import sys; from transship.cli import wiring, traces; from transship.settings import Settings; "
        "traces.build_spans(Settings(), ''); print([each for each in sys.modules if 'opentelemetry' in each])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_wanting_traces_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "transship.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)

    with pytest.raises(NeedsHuman, match=r"TRANSSHIP_TRACES is set, .* install transship\[otel\], or unset it"):
        build_spans(Settings(traces=True), "1.2.3")


def test_a_line_of_kopf_about_a_request_names_it_as_ours_do(said: StringIO) -> None:
    about = {"namespace": "shop", "name": "release", "uid": "a-uid"}
    for kind in ("PromotionRequest", "Deployment"):
        body = {"apiVersion": "transship.dev/v1alpha1", "kind": kind, "metadata": about}
        ObjectLogger(body=kopf.Body(body), settings=kopf.OperatorSettings()).warning("Something about it")

    ours, others = lines(said)

    assert (ours["request"], ours["request_uid"]) == ("shop/release", "a-uid")
    assert "request" not in others
