"""What a report is about: which images count now, how they stand, and what somebody should look at first."""

from typing import Any

import pytest

from report.made_up import REGISTRY, ago, image, missing, promoted, request, status
from transship.errors import Reason
from transship.promotion.advice import ADVICE
from transship.promotion.overview import Standing, overview
from transship.promotion.trouble import troubles

CHECKOUT, CATALOGUE = f"{REGISTRY}/shop/checkout:v1", f"{REGISTRY}/shop/catalogue:v7"


def standings(*resources: dict[str, Any]) -> list[Standing]:
    return [each.standing for each in overview(resources).rows]


@pytest.mark.parametrize(
    ("told", "standing"),
    [
        (None, Standing.WAITING),
        (status("Pending"), Standing.WAITING),
        (status("Suspended"), Standing.WAITING),
        (status("Retrying", "Unreachable"), Standing.WAITING),
        (status("Promoting"), Standing.GOING_ON),
        (status("Stalled", "Timeout"), Standing.FAILED),
        (status("Promoted", "Promoted", "", image("c0", CHECKOUT)), Standing.READY),
        (status("Promoted", "Promoted", "", image("c0", CATALOGUE)), Standing.WAITING),
        (status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT)), Standing.FAILED),
    ],
)
def test_an_image_stands_as_its_request_does_unless_it_says_more_of_what_is_wanted_now(
    told: dict[str, Any] | None, standing: Standing
) -> None:
    assert standings(request("r", CHECKOUT, told=told)) == [standing]


def test_an_image_that_arrived_is_ready_though_another_of_its_request_failed() -> None:
    told = status("Stalled", "SourceMissing", "", image("c0", CHECKOUT), missing("c1", CATALOGUE))
    assert standings(request("r", CHECKOUT, CATALOGUE, told=told)) == [Standing.FAILED, Standing.READY]


def test_the_newest_request_of_an_owner_counts_and_the_older_ones_are_history() -> None:
    releases = [promoted(f"r{day}", CHECKOUT, owner="hook", made=ago(days=day)) for day in (3, 1, 2)]
    for each in releases:
        each["status"]["startedAt"] = each["metadata"]["creationTimestamp"]
    assert [each.request for each in overview(releases).rows if each.is_current] == ["r1"]


def test_what_was_rolled_back_to_counts_and_not_what_was_made_last() -> None:
    old = promoted("old", CHECKOUT, owner="hook", made=ago(days=9))
    new = promoted("new", CATALOGUE, owner="hook", made=ago(days=1))
    new["status"]["startedAt"] = ago(days=1)
    current = [each.request for each in overview([new, old]).rows if each.is_current]
    assert current == ["old"]


def test_while_the_newest_is_not_there_the_newest_that_is_counts_too() -> None:
    failed = request("v3", CHECKOUT, owner="hook", told=status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT)))
    before = promoted("v2", CATALOGUE, owner="hook", made=ago(days=1))
    before["status"]["startedAt"] = ago(days=1)
    oldest = promoted("v1", CATALOGUE, owner="hook", made=ago(days=2))
    oldest["status"]["startedAt"] = ago(days=2)
    rows = overview([oldest, failed, before]).rows
    assert [(each.request, each.is_current) for each in rows] == [("v3", True), ("v2", True), ("v1", False)]


def test_requests_that_people_wrote_replace_nothing() -> None:
    rows = overview([promoted("one", CHECKOUT), promoted("two", CHECKOUT)]).rows
    assert all(each.is_current for each in rows)


def test_the_counts_are_of_what_counts_now() -> None:
    told = status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT))
    replaced = request("was", CHECKOUT, owner="hook", told=told, made=ago(days=1))
    found = overview([replaced, promoted("is", CHECKOUT, CATALOGUE, owner="hook"), request("new", CHECKOUT)])
    assert found.counts == {Standing.FAILED: 0, Standing.WAITING: 1, Standing.GOING_ON: 0, Standing.READY: 2}
    assert [each.request for each in troubles(found)] == ["new"]


def test_trouble_says_what_the_operator_said_and_what_to_do() -> None:
    told = status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT, message="push it"), image("c1", CATALOGUE))
    (found,) = troubles(overview([request("r", CHECKOUT, CATALOGUE, told=told, owner="hook", application="shop")]))
    (point,) = found.points
    assert (found.standing, found.by, found.application) == (Standing.FAILED, "Job/hook", "shop")
    assert (point.reason, point.said) == ("SourceMissing", ((CHECKOUT, "push it"),))
    assert point.remedy == ADVICE[Reason.SOURCE_MISSING].remedy


def test_a_request_whose_time_is_over_says_so_and_what_it_waited_for() -> None:
    retried = missing("c0", CHECKOUT, "Unreachable", "no answer")
    del retried["outcome"]
    (found,) = troubles(overview([request("r", CHECKOUT, told=status("Stalled", "Timeout", "late", retried))]))
    assert [each.reason for each in found.points] == ["Timeout", "Unreachable"]


def test_a_request_that_nobody_has_looked_at_says_where_to_look() -> None:
    (found,) = troubles(overview([request("r", CHECKOUT)]))
    assert found.points[0].said[0][1].startswith("No operator has looked at it")


def test_a_gate_that_was_not_enforced_is_told_of_a_request_that_is_ready() -> None:
    told = promoted("r", CHECKOUT)
    told["status"]["conditions"].append(
        told["status"]["conditions"][0] | {"type": "GateNotEnforced", "status": "True", "reason": "GateNotEnforced"}
    )
    (found,) = troubles(overview([told]))
    assert (found.standing, found.points[0].reason) == (Standing.READY, "GateNotEnforced")


def test_a_reason_of_another_version_is_told_without_advice() -> None:
    told = status("Stalled", "Novelty", "", missing("c0", CHECKOUT, "Novelty"))
    (found,) = troubles(overview([request("r", CHECKOUT, told=told)]))
    assert (found.points[0].reason, found.points[0].remedy) == ("Novelty", "")


def test_too_many_images_are_left_out_from_the_end_and_counted() -> None:
    new = request("bad", CHECKOUT, told=status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT)))
    found = overview([*(promoted(f"r{number}", CHECKOUT) for number in range(5)), new], limit=2)
    assert found.rows[0].request == "bad"
    assert (len(found.rows), found.left_out, found.counts[Standing.READY]) == (2, 4, 5)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": "text", "spec": []},
        {"metadata": {"name": "x"}, "spec": {}},
        promoted("r", CHECKOUT) | {"spec": {"containers": [{"name": "c0", "image": 7}]}},
        promoted("r", CHECKOUT) | {"spec": {"containers": "none"}},
        request("r", CHECKOUT, told=status("Promoted", "Promoted", "", image("c0", CHECKOUT, bytesTotal="many"))),
        request("r", CHECKOUT, told=status("Promoted", "Promoted", "", image("c0", CHECKOUT, message=["x"]))),
        request("r", CHECKOUT, told=status("Promoted", "Promoted", "", image("c0", CHECKOUT, bytesTotal=-1))),
        request(
            "r", CHECKOUT, made="2026-01-02T03:04:05", told=status("Promoted", "Promoted", "", image("c0", CHECKOUT))
        ),
    ],
)
def test_what_no_cluster_would_hold_is_counted_and_hurts_nothing_else(broken: dict[str, Any]) -> None:
    found = overview([broken, promoted("good", CHECKOUT)])
    assert ([each.request for each in found.rows], found.unreadable) == (["good"], 1)


def test_texts_are_as_long_as_the_custom_resources_allow() -> None:
    (row,) = overview([promoted("r", "x" * 100_000)]).rows
    assert len(row.destination) == 1024
