import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci.images import image
from promotion.schema import Schema, request_schema, status_schema, violations
from promotion.world import DESTINATION, SOURCE, START, Desk, World, policy
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.digest import Digest
from transship.promotion.conditions import Verdict, apply
from transship.promotion.request import API_VERSION, KIND
from transship.promotion.status import (
    PROVEN_OUTCOMES,
    Condition,
    ImageStatus,
    Outcome,
    Phase,
    RequestStatus,
    format_time,
    parse_status,
    to_resource,
)

TEXTS = st.text(max_size=12)
WORDS = st.text(min_size=1, max_size=12)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
COUNTS = st.integers(0, 2**63 - 1)
DIGESTS = st.binary(max_size=2).map(lambda content: str(Digest.of(content)))
IMAGES = st.builds(
    ImageStatus,
    name=WORDS,
    source=TEXTS,
    destination=TEXTS,
    digest=DIGESTS | st.just(""),
    media_type=TEXTS,
    outcome=st.none() | st.sampled_from(Outcome),
    reason=st.sampled_from([*Reason, ""]).map(str),
    message=TEXTS,
    bytes_total=st.none() | COUNTS,
    bytes_copied=st.none() | COUNTS,
    bytes_skipped=st.none() | COUNTS,
    previous_digest=DIGESTS | st.just(""),
    attempts=st.integers(0, 2**31 - 1),
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
    verified_at=st.none() | TIMES,
)
CONDITIONS = st.builds(
    Condition,
    type=st.sampled_from(["Ready", "Reconciling", "Stalled"]),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=st.sampled_from(Reason).map(str),
    message=WORDS,
    observed_generation=COUNTS,
    last_transition_time=TIMES,
)
STATUSES = st.builds(
    RequestStatus,
    phase=st.sampled_from(Phase),
    observed_generation=COUNTS,
    conditions=st.lists(CONDITIONS, max_size=3, unique_by=lambda each: each.type).map(tuple),
    summary=TEXTS,
    progress=TEXTS,
    policy=TEXTS,
    bytes=COUNTS,
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
    checked_at=st.none() | TIMES,
    images=st.lists(IMAGES, max_size=3, unique_by=lambda each: each.name).map(tuple),
)


@given(STATUSES)
@settings(max_examples=60, deadline=None)
def test_a_status_is_read_back_as_it_was_written(status: RequestStatus) -> None:
    assert parse_status(json.loads(json.dumps(to_resource(status)))) == status


@given(STATUSES)
@settings(max_examples=30, deadline=None)
def test_what_is_written_has_a_place_in_the_custom_resource(status: RequestStatus) -> None:
    # Texts of any content are for the test above; here only their place and type count.
    found = violations(status_schema(), to_resource(status))
    assert [each for each in found if "does not fit" not in each and "characters" not in each] == []


def test_a_time_is_written_in_utc_and_whole_seconds() -> None:
    moment = datetime(2026, 3, 1, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(moment) == "2026-03-01T12:00:00Z"


def test_what_has_no_value_is_left_out_and_zero_is_a_value() -> None:
    assert to_resource(RequestStatus(images=(ImageStatus("app", bytes_copied=0),))) == {
        "phase": "Pending",
        "observedGeneration": 0,
        "bytes": 0,
        "images": [{"name": "app", "bytesCopied": 0, "attempts": 0}],
    }


def test_no_status_is_a_pending_one() -> None:
    assert parse_status({}) == RequestStatus()


def test_fields_of_a_later_version_are_ignored() -> None:
    resource = {"phase": "Promoted", "novelty": {"x": 1}, "images": [{"name": "app", "novelty": 1}]}
    assert parse_status(resource) == RequestStatus(Phase.PROMOTED, images=(ImageStatus("app"),))


@pytest.mark.parametrize(
    "resource",
    [
        {"phase": "Levitating"},
        {"startedAt": "yesterday"},
        {"startedAt": "2026-03-01t12:00:00z", "phase": "Promoted"},
        {"images": [{"name": "app", "outcome": "Celebrated"}]},
        {"images": [{"digest": "sha256:..."}]},
        {"conditions": [{"type": "Ready"}]},
    ],
    ids=[
        "a phase nobody knows",
        "a time that is none",
        "a time the API server takes and Python does not",
        "an outcome nobody knows",
        "an image without a name",
        "a condition without its parts",
    ],
)
def test_a_status_that_cannot_be_read_counts_as_none(resource: dict[str, Any]) -> None:
    assert parse_status(resource) == RequestStatus()


def test_a_condition_may_lack_its_generation_as_the_schema_says() -> None:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Forged",
        "message": "",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    assert violations(status_schema(), {"conditions": [condition]}) == []
    ready = parse_status({"phase": "Promoted", "conditions": [condition]}).ready
    assert ready == Condition("Ready", "True", "Forged", "", 0, START)


# --- the Python types and the custom resource cannot drift apart


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def properties(schema: Schema, *path: str) -> Schema:
    for step in path:
        schema = schema["properties"][step] if step != "[]" else schema["items"]
    return schema


@pytest.mark.parametrize(
    ("kind", "path"),
    [(RequestStatus, ()), (ImageStatus, ("images", "[]")), (Condition, ("conditions", "[]"))],
    ids=["the status", "an image", "a condition"],
)
def test_the_fields_are_those_of_the_custom_resource_and_no_others(kind: type, path: tuple[str, ...]) -> None:
    assert {camel(each.name) for each in fields(kind)} == set(properties(status_schema(), *path)["properties"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("phase",), set(Phase)),
        (("images", "[]", "outcome"), set(Outcome)),
        (
            ("conditions", "[]", "status"),
            {each.status for phase in Phase for each in apply(Verdict(phase, "R", "m"), RequestStatus(), 1, START)},
        ),
    ],
    ids=["phase", "outcome", "status of a condition"],
)
def test_the_words_are_those_of_the_custom_resource_and_no_others(path: tuple[str, ...], words: set[str]) -> None:
    assert {str(each) for each in words} == set(properties(status_schema(), *path)["enum"])


def test_everything_that_grows_is_bounded_by_the_schema() -> None:
    def unbounded(schema: Schema, path: str) -> list[str]:
        match schema["type"]:
            case "object":
                return [
                    each for name, below in schema["properties"].items() for each in unbounded(below, f"{path}.{name}")
                ]
            case "array":
                return unbounded(schema["items"], f"{path}[]") + ([] if "maxItems" in schema else [path])
            case "string":
                return [] if {"maxLength", "enum"} & set(schema) or schema.get("format") == "date-time" else [path]
        return []

    assert unbounded(status_schema(), "status") == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_fits_conditions_and_images(reason: Reason) -> None:
    for path in (("images", "[]", "reason"), ("conditions", "[]", "reason")):
        assert violations(properties(status_schema(), *path), str(reason)) == []
    assert reason.isalnum()


def test_proven_and_failed_outcomes_are_all_outcomes_and_none_is_both() -> None:
    for outcome in Outcome:
        found = ImageStatus("app", outcome=outcome)
        assert found.is_proven is (outcome in PROVEN_OUTCOMES)
        assert found.is_proven is not found.is_permanent_failure
    waiting = ImageStatus("app")
    assert not waiting.is_proven
    assert not waiting.is_permanent_failure


def test_kind_and_version_are_those_of_the_custom_resource() -> None:
    assert API_VERSION in request_schema()["apiVersion"]["description"]
    assert KIND in request_schema()["kind"]["description"]


# --- the largest status there can be

MOST = 64


def _long_name(number: int) -> str:
    return f"c{number:02}".ljust(63, "x")


@pytest.mark.parametrize("kind", [RetryLater, NeedsHuman], ids=["that heal by themselves", "that somebody has to end"])
def test_the_largest_status_with_failures_stays_within_the_schema_and_far_below_an_object_of_a_megabyte(
    kind: type[TransshipError],
) -> None:
    path = "p" * 120 + "/" + "q" * 120
    tag = "t" * 128
    world = World()

    def fail() -> None:
        raise kind(Reason.REGISTRY_ERROR, "\N{SNOWMAN}" * 5000)

    for number in range(MOST):
        world.at_source(f"{path}{number:02}").before["resolve"] = fail
    policies = [
        policy(f"{number:02}".ljust(253, "y"), repositories=[f"{path}{number:02}"], namespaces={"names": ["shop"]})
        for number in range(MOST)
    ]
    digest = Digest.of(b"content", "sha512")
    images = {_long_name(n): f"{DESTINATION}/{path}{n:02}:{tag}@{digest}" for n in range(MOST)}
    desk = Desk(world, images, policies)
    desk.look()  # the desk holds what is written against the schema
    assert {each.reason for each in desk.status.images} == {Reason.REGISTRY_ERROR}
    assert {len(each.message) for each in desk.status.images} == {1024}
    assert len(json.dumps(desk.resource["status"], ensure_ascii=False).encode()) < 512 * 1024


def test_the_largest_status_of_a_promotion_stays_within_the_schema() -> None:
    world, content = World(), image([b"layer"])
    policies = []
    for number in range(MOST):
        world.at_source(f"shop/app{number:02}").hold(content, "v1")
        policies.append(policy(f"{number:02}".ljust(253, "y"), repositories=[f"shop/app{number:02}"]))
    desk = Desk(world, {_long_name(n): f"{DESTINATION}/shop/app{n:02}:v1" for n in range(MOST)}, policies)
    desk.look()
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "64/64")
    assert desk.status.policy.count(",") == MOST - 1
    assert desk.image(_long_name(0)).source == f"{SOURCE}/shop/app00:v1"


def test_image_strings_of_any_form_and_length_stay_within_the_schema() -> None:
    strings = ["x" * 1024, "X" * 1024, "\N{SNOWMAN}" * 1024, ":", "a:" + "t" * 1022, "a@" + "d" * 1022, "\n" * 1024]
    desk = Desk(World(), {f"c{number}": text for number, text in enumerate(strings)})
    desk.look()
    assert desk.status.phase is Phase.STALLED
    assert {each.reason for each in desk.status.images} <= {Reason.INVALID_IMAGE, Reason.NOT_COVERED}
