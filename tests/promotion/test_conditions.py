from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.world import START
from transship.errors import Reason
from transship.promotion import conditions
from transship.promotion.conditions import Verdict, apply, judge, progress, shorten, summary
from transship.promotion.status import ImageStatus, Outcome, Phase, RequestStatus

COPIED = ImageStatus("copied", outcome=Outcome.COPIED, reason=Reason.PROMOTED, message="copied")
PRESENT = ImageStatus("present", outcome=Outcome.ALREADY_PRESENT, reason=Reason.PROMOTED, message="present")
TAGGED = ImageStatus("tagged", outcome=Outcome.TAG_ADDED, reason=Reason.PROMOTED, message="tagged")
REFUSED = ImageStatus("refused", outcome=Outcome.REFUSED, reason=Reason.NOT_COVERED, message="ask an administrator")
FAILED = ImageStatus("failed", outcome=Outcome.FAILED, reason=Reason.DENIED, message="grant the right")
WAITING = ImageStatus("waiting", reason=Reason.THROTTLED, message="slow down")
UNTOUCHED = ImageStatus("untouched")


def verdict(images: Sequence[ImageStatus], *, is_working: bool = False, is_overdue: bool = False) -> tuple[str, str]:
    found = judge(images, is_working=is_working, is_overdue=is_overdue)
    return found.phase, found.reason


@pytest.mark.parametrize(
    ("images", "phase", "reason"),
    [
        ([COPIED, PRESENT, TAGGED], Phase.PROMOTED, Reason.PROMOTED),
        ([COPIED, REFUSED], Phase.STALLED, Reason.NOT_COVERED),
        ([COPIED, FAILED], Phase.STALLED, Reason.DENIED),
        ([WAITING, FAILED, REFUSED], Phase.STALLED, Reason.DENIED),
        ([COPIED, WAITING], Phase.RETRYING, Reason.THROTTLED),
        ([UNTOUCHED], Phase.PENDING, Reason.PENDING),
        ([COPIED, UNTOUCHED], Phase.PENDING, Reason.PENDING),
        ([], Phase.PENDING, Reason.PENDING),
    ],
    ids=[
        "all proven is promoted",
        "one refused image stalls the request",
        "one failed image stalls the request",
        "of several failures the first gives the reason, and they count before what heals by itself",
        "what heals by itself is retried",
        "what was not looked at is pending",
        "what was not looked at keeps the others from being promoted",
        "no images at all are never promoted",
    ],
)
def test_a_request_is_judged_by_its_images(images: list[ImageStatus], phase: Phase, reason: Reason) -> None:
    assert verdict(images) == (phase, reason)


@pytest.mark.parametrize("images", [[WAITING], [REFUSED, COPIED], [UNTOUCHED]], ids=["waiting", "refused", "untouched"])
def test_while_it_is_being_worked_on_it_is_promoting(images: list[ImageStatus]) -> None:
    assert verdict(images, is_working=True) == (Phase.PROMOTING, Reason.PROMOTING)


def test_after_its_timeout_a_request_that_still_waits_stalls_and_says_what_it_waited_for() -> None:
    found = judge([COPIED, WAITING], is_working=False, is_overdue=True)
    assert (found.phase, found.reason) == (Phase.STALLED, Reason.TIMEOUT)
    assert "spec.timeout" in found.message
    assert "waiting: slow down" in found.message


@pytest.mark.parametrize("images", [[COPIED], [REFUSED]], ids=["promoted", "refused"])
def test_a_timeout_changes_nothing_about_what_has_ended(images: list[ImageStatus]) -> None:
    assert verdict(images, is_overdue=True) == verdict(images)


def test_the_message_tells_the_first_image_and_counts_the_others() -> None:
    assert judge([REFUSED], is_working=False, is_overdue=False).message == "refused: ask an administrator"
    assert "refused: ask an administrator (and 1 more image," in _message([REFUSED, FAILED])
    assert "(and 2 more images, see status.images)" in _message([REFUSED, FAILED, FAILED])


def test_the_message_of_a_promotion_counts_how_the_images_came() -> None:
    assert _message([COPIED]) == "1 image promoted: 1 copied"
    assert _message([PRESENT, COPIED, COPIED, TAGGED]) == "4 images promoted: 2 copied, 1 tagged, 1 already present"


def _message(images: Sequence[ImageStatus]) -> str:
    return judge(images, is_working=False, is_overdue=False).message


# --- the three conditions

EXPECTED = {
    Phase.PENDING: ("Unknown", "True", "False"),
    Phase.PROMOTING: ("Unknown", "True", "False"),
    Phase.RETRYING: ("False", "True", "False"),
    Phase.PROMOTED: ("True", "False", "False"),
    Phase.STALLED: ("False", "False", "True"),
    Phase.SUSPENDED: ("False", "False", "False"),
}


@pytest.mark.parametrize("phase", Phase)
def test_the_conditions_mean_what_kstatus_takes_them_for(phase: Phase) -> None:
    found = apply(Verdict(phase, Reason.PENDING, "because"), RequestStatus(), 7, START)
    assert [each.type for each in found] == ["Ready", "Reconciling", "Stalled"]
    assert tuple(each.status for each in found) == EXPECTED[phase]
    for each in found:
        assert (each.reason, each.message, each.observed_generation) == (Reason.PENDING, "because", 7)
        assert each.last_transition_time == START


@pytest.mark.parametrize("phase", Phase)
def test_never_is_more_than_one_of_the_conditions_true(phase: Phase) -> None:
    assert EXPECTED[phase].count("True") <= 1


def test_a_condition_that_keeps_its_status_keeps_its_transition_time_whatever_else_changes() -> None:
    later = START + timedelta(minutes=5)
    before = RequestStatus(
        conditions=apply(Verdict(Phase.RETRYING, Reason.THROTTLED, "slow"), RequestStatus(), 1, START)
    )
    after = apply(Verdict(Phase.STALLED, Reason.TIMEOUT, "too slow"), before, 2, later)
    times = {each.type: each.last_transition_time for each in after}
    assert times == {"Ready": START, "Reconciling": later, "Stalled": later}
    assert {each.reason for each in after} == {Reason.TIMEOUT}
    assert {each.observed_generation for each in after} == {2}


def test_a_suspended_request_says_how_to_go_on() -> None:
    assert (conditions.SUSPENDED.phase, conditions.SUSPENDED.reason) == (Phase.SUSPENDED, Reason.SUSPENDED)
    assert "false" in conditions.SUSPENDED.message


@given(st.text(max_size=3000))
def test_messages_are_cut_to_what_their_field_holds_and_say_so(message: str) -> None:
    found = shorten(message)
    assert len(found) <= 1024
    assert found == message or (found.endswith("...") and message.startswith(found[:-3]) and len(found) == 1024)


def test_the_message_of_a_condition_is_bounded_however_long_the_images_message_is() -> None:
    found = apply(
        judge([ImageStatus("x", reason="R", message="m" * 5000)], is_working=False, is_overdue=True),
        RequestStatus(),
        1,
        START,
    )
    assert {len(each.message) for each in found} == {1024}


# --- the columns


@pytest.mark.parametrize(
    ("images", "text"),
    [([], "0/0"), ([WAITING], "0/1"), ([COPIED, REFUSED, PRESENT, TAGGED], "3/4")],
    ids=["none", "none of one", "three of four"],
)
def test_the_summary_counts_the_proven(images: list[ImageStatus], text: str) -> None:
    assert summary(images) == text


def moved(total: int | None, copied: int | None = None, skipped: int | None = None) -> ImageStatus:
    return ImageStatus("moved", bytes_total=total, bytes_copied=copied, bytes_skipped=skipped)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ([], ""),
        ([UNTOUCHED], ""),
        ([moved(100)], "0%"),
        ([moved(100, 20, 21)], "41%"),
        ([moved(100, 100, 0)], "99%"),
        ([moved(100, 100, 0), moved(300)], "25%"),
        ([COPIED], "100%"),
        ([COPIED, moved(10)], "0%"),
        ([moved(0)], ""),
    ],
    ids=[
        "nothing of nothing",
        "nothing is known",
        "nothing has moved",
        "what was there counts as done",
        "all bytes are not yet a proof",
        "over all images together",
        "proven is all",
        "proven and one that has not begun",
        "no bytes at all",
    ],
)
def test_progress_is_in_percent_of_the_bytes_that_are_known(images: list[ImageStatus], text: str) -> None:
    assert progress(images) == text


SIZES = st.none() | st.integers(0, 10**12)


@given(st.lists(st.builds(moved, SIZES, SIZES, SIZES), max_size=4))
def test_progress_never_claims_to_be_done_before_everything_is_proven(images: list[ImageStatus]) -> None:
    assert progress(images) in {"", *(f"{percent}%" for percent in range(100))}


# --- what was found beside the images

SEEN = conditions.Finding("Uncovered", is_so=True, message="add the container to the hook")
NOT_SEEN = conditions.Finding("Uncovered", is_so=False, message="the hook names every image")
LATER = START.replace(year=START.year + 1)


def test_what_was_found_is_a_condition_beside_the_three_and_stays_when_the_verdict_is_written_again() -> None:
    found = conditions.with_findings(RequestStatus(), [SEEN], 7, START)
    assert [(each.type, each.status, each.reason, each.message) for each in found.conditions] == [
        ("Uncovered", "True", "Uncovered", "add the container to the hook")
    ]

    again = apply(Verdict(Phase.PROMOTED, Reason.PROMOTED, "because"), found, 7, LATER)

    assert [each.type for each in again] == ["Ready", "Reconciling", "Stalled", "Uncovered"]
    assert again[-1] == found.conditions[0]


def test_what_was_never_the_case_is_not_mentioned_and_what_was_is_taken_back() -> None:
    assert conditions.with_findings(RequestStatus(), [NOT_SEEN], 7, START) == RequestStatus()

    found = conditions.with_findings(RequestStatus(), [SEEN], 7, START)
    back = conditions.with_findings(found, [NOT_SEEN], 7, LATER)

    assert [(each.status, each.last_transition_time) for each in back.conditions] == [("False", LATER)]
    assert conditions.with_findings(found, [SEEN], 8, LATER) == found


def test_what_an_earlier_promotion_wrote_was_already_present_this_time() -> None:
    copied = ImageStatus("app", outcome=Outcome.COPIED, reason=Reason.PROMOTED, message="copied", finished_at=START)

    first = judge([copied], is_working=False, is_overdue=False, since=START)
    again = judge([copied], is_working=False, is_overdue=False, since=LATER)

    assert (first.message, again.message) == ("1 image promoted: 1 copied", "1 image promoted: 1 already present")
