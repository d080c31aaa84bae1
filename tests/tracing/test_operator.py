"""What a traced operator sends to a collector, and how its log is joined with that."""

import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from endtoend.scene import DESTINATION, POLICIES, SOURCE, Resource, Scene
from endtoend.waiting import eventually
from localworld.controller import Controller
from localworld.ledger import fault
from tracing.collector import Collector, Received
from transship import __version__


def trace_of(collector: Collector, request: Resource) -> Sequence[Received]:
    """The first trace of a request, once its root has come."""
    uid = request["metadata"]["uid"]
    return eventually(lambda: collector.traces_of(uid), "its trace was sent")[0]


def tree(trace: Sequence[Received]) -> Mapping[str, set[str]]:
    """For each name of a span the names of what it is inside of."""
    names = {each.id: each.name for each in trace}
    return {
        name: {names.get(each.parent, "nothing") for each in trace if each.name == name} for name in set(names.values())
    }


def lines_about(operator: Controller, request: Resource) -> list[Resource]:
    """What the log says of a request."""
    uid = request["metadata"]["uid"]
    return [each for each in operator.log_lines() if each.get("request_uid") == uid]


def test_a_promotion_is_a_tree_of_what_took_time(scene: Scene, operator: Controller, collector: Collector) -> None:
    scene.deploy(scene.image())
    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    trace = trace_of(collector, request)

    assert tree(trace) == {
        "promote": {"nothing"},
        "plan": {"promote"},
        "resolve": {"plan"},
        "copy": {"promote"},
        "blob": {"copy"},
        "tag": {"copy"},
        "verify": {"promote"},
    }
    assert [each.error for each in trace] == [None] * len(trace)
    root = trace[0]
    assert root.facts == {
        "transship.request.uid": request["metadata"]["uid"],
        "transship.namespace": scene.namespace,
        "transship.name": request["metadata"]["name"],
        "transship.trigger.kind": "Deployment",
        "transship.trigger.name": "checkout",
        "transship.policy": scene.namespace,
        "transship.phase": "Promoted",
        "transship.reason": "Promoted",
    }
    by_name = {each.name: each for each in trace}
    assert by_name["copy"].facts == {
        "transship.source": f"{SOURCE}/shop/checkout:v1.4.2",
        "transship.destination": scene.image(),
        "transship.digest": scene.digests["v1.4.2"],
        "transship.bytes.copied": request["status"]["images"][0]["bytesCopied"],
        "transship.bytes.skipped": request["status"]["images"][0]["bytesSkipped"],
    }
    blobs = [each for each in trace if each.name == "blob"]
    digests = {each.facts["transship.digest"] for each in blobs}
    assert len(digests) == len(blobs) == request["status"]["images"][0]["blobsTotal"]
    assert all(int(each.facts["transship.bytes"]) > 0 for each in blobs)
    assert by_name["tag"].facts == {"transship.tag": "v1.4.2"}
    assert by_name["tag"].start >= max(each.end for each in blobs), "the tag comes last"
    assert all(root.start <= each.start <= each.end <= root.end for each in trace)


def test_each_image_of_a_request_has_its_own_copy_in_one_trace(
    scene: Scene, operator: Controller, collector: Collector
) -> None:
    scene.request(*[scene.image(tag) for tag in ("v1.4.1", "v1.4.2", "v1.5.0")])

    trace = trace_of(collector, scene.until_request("by-hand", "Promoted"))

    counted = Counter(each.name for each in trace)
    assert (counted["promote"], counted["copy"], counted["tag"], counted["verify"]) == (1, 3, 3, 3)
    copies = {each.id: each.facts["transship.destination"] for each in trace if each.name == "copy"}
    assert set(copies.values()) == {scene.image(tag) for tag in ("v1.4.1", "v1.4.2", "v1.5.0")}
    assert {each.parent for each in trace if each.name == "blob"} <= copies.keys()
    assert all(each.facts["transship.tag"] in str(copies[each.parent]) for each in trace if each.name == "tag")


def test_every_line_about_a_request_carries_its_uid_and_that_of_a_look_the_ids_of_its_trace(
    scene: Scene, operator: Controller, collector: Collector
) -> None:
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")
    request = scene.until_request(scene.request_for("promote-images")["metadata"]["name"], "Promoted")
    root = trace_of(collector, request)[0]

    def told() -> set[str]:
        return {each["message"] for each in lines_about(operator, request)}

    eventually(lambda: {"request made", "request transitioned", "hook ended"} <= told(), "the lines are there")
    lines = lines_about(operator, request)
    key = f"{scene.namespace}/{request['metadata']['name']}"
    assert {each["request"] for each in lines} == {key}
    mentioned = [each for each in operator.log_lines() if each.get("request") == key]
    assert all("request_uid" in each for each in mentioned)
    (transition,) = [each for each in lines if each["message"] == "request transitioned"]
    assert (transition["trace_id"], transition["span_id"]) == (root.trace, root.id)
    assert not any("trace_id" in each for each in operator.log_lines() if "request" not in each)


def test_what_goes_wrong_is_told_by_the_span_it_went_wrong_in_with_our_sentence(
    scene: Scene, operator: Controller, collector: Collector
) -> None:
    scene.request(scene.image("v9.9.9"))
    request = scene.until_request("by-hand", "Stalled", "SourceMissing")

    trace = trace_of(collector, request)

    sentence = request["status"]["images"][0]["message"]
    assert "v9.9.9 does not exist" in sentence
    assert {each.name: each.error for each in trace} == {
        "promote": f"c0: {sentence}",
        "plan": f"c0: {sentence}",
        "resolve": None,
    }
    assert trace[0].facts["transship.reason"] == "SourceMissing"


def test_a_registry_that_fails_is_an_error_of_the_step_and_the_next_look_is_another_trace(
    scene: Scene, operator: Controller, collector: Collector
) -> None:
    with fault(scene.world.registries, "status", action="PutImage", status=500, times=0):
        scene.request(scene.image())
        request = scene.until_request("by-hand", "Retrying", seconds=60)
    scene.until_request("by-hand", "Promoted", seconds=90)

    traces = eventually(
        lambda: (
            [each for each in collector.traces_of(request["metadata"]["uid"]) if each[0].error is None]
            and collector.traces_of(request["metadata"]["uid"])
        ),
        "the good one was sent",
    )

    assert len({each[0].trace for each in traces}) == len(traces) >= 2
    errors = {each.name: each.error for each in traces[0]}
    assert errors["copy"] == request["status"]["images"][0]["message"]
    assert DESTINATION in str(errors["copy"])
    assert errors["blob"] is None
    assert "verify" not in errors


def test_nothing_is_traced_of_what_is_done_already(scene: Scene, operator: Controller, collector: Collector) -> None:
    scene.request(scene.image())
    request = scene.until_request("by-hand", "Promoted")
    trace_of(collector, request)

    # A policy that changes has everything looked at again.
    scene.admin.patch(f"{POLICIES}/{scene.namespace}", {"spec": {"tags": {"deny": ["x"]}}})
    scene.request(scene.image("v1.4.1"), name="another")
    trace_of(collector, scene.until_request("another", "Promoted"))

    assert len(collector.traces_of(request["metadata"]["uid"])) == 1


def test_whoever_sends_says_who_that_is(scene: Scene, operator: Controller, collector: Collector) -> None:
    scene.request(scene.image())
    trace_of(collector, scene.until_request("by-hand", "Promoted"))

    wanted = {
        "service.name": "transship",
        "service.version": __version__,
        "deployment.environment.name": "production",
    }
    assert all(wanted.items() <= each.items() for each in collector.resources())
    assert set(collector.paths) == {"/v1/traces"}


def test_a_collector_that_is_away_delays_no_promotion_and_is_told_of_once(
    scene: Scene, operator: Controller, collector: Collector
) -> None:
    def told(message: str) -> int:
        return sum(each["message"] == message for each in operator.log_lines())

    collector.status = HTTPStatus.SERVICE_UNAVAILABLE
    try:
        for number, tag in enumerate(("v1.4.1", "v1.4.2", "v1.5.0")):
            began = time.monotonic()
            scene.request(scene.image(tag), name=f"request-{number}")
            scene.until_request(f"request-{number}", "Promoted", seconds=15)
            assert time.monotonic() - began < 15
        eventually(lambda: collector.refused >= 2, "it was tried again")
        eventually(lambda: told("traces cannot be sent and are dropped") == 1, "it is said")
    finally:
        collector.status = HTTPStatus.OK
    scene.request(scene.image("v1.4.2"), name="after")
    trace_of(collector, scene.until_request("after", "Promoted"))

    eventually(lambda: told("traces are sent again") == 1, "that is said, too")
    assert told("traces cannot be sent and are dropped") == 1
    loud = [each for each in operator.log_lines() if "opentelemetry" in each["logger"] or "urllib3" in each["logger"]]
    assert loud == []


def test_when_it_stops_what_was_not_sent_yet_is(scene: Scene, operator: Controller, collector: Collector) -> None:
    scene.request(scene.image())
    request = scene.until_request("by-hand", "Promoted")
    operator.child.process.send_signal(signal.SIGTERM)

    assert operator.child.process.wait(30) == 0

    assert len(collector.traces_of(request["metadata"]["uid"])) == 1
    operator.start()
