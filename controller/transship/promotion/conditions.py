"""From the state of each image to the status of a request: computed once, at the end (design §2).

The three conditions are those that kstatus, `kubectl wait`, Flux and Argo CD understand: Ready when every image is
proven, Reconciling while it is being worked on, Stalled when somebody has to change something first.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from transship.errors import Reason
from transship.promotion.status import Condition, ImageStatus, Outcome, Phase, RequestStatus

_MAX_MESSAGE = 1024
_PHASES_THAT_RECONCILE = frozenset({Phase.PENDING, Phase.PROMOTING, Phase.RETRYING})
_WORDS = {
    Outcome.COPIED: "copied",
    Outcome.TAG_ADDED: "tagged",
    Outcome.ALREADY_PRESENT: "already present",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a request stands: a word, and why."""

    phase: Phase
    reason: str
    message: str


def judge(
    images: Sequence[ImageStatus], *, is_working: bool, is_overdue: bool, since: datetime | None = None
) -> Verdict:
    """Judge a request by its images.

    One permanent failure stalls the request, however the others end: nothing it waits for will come. The others are
    promoted all the same.

    Args:
        images: the state of every image.
        is_working: the promoter is at it right now.
        is_overdue: the request's timeout has passed since it started.
        since: when it started; what was written before was already present this time.
    """
    if images and all(each.is_proven for each in images):
        return Verdict(Phase.PROMOTED, Reason.PROMOTED, _promoted(images, since))
    failed = [each for each in images if each.is_permanent_failure]
    if is_working:
        return Verdict(Phase.PROMOTING, Reason.PROMOTING, f"{_proven(images)} of {len(images)} images are there")
    if failed:
        return Verdict(Phase.STALLED, failed[0].reason, _story(failed))
    waiting = [each for each in images if not each.is_proven and each.reason]
    if not waiting:
        return Verdict(Phase.PENDING, Reason.PENDING, "waiting for its turn")
    if is_overdue:
        return Verdict(Phase.STALLED, Reason.TIMEOUT, f"not done within spec.timeout; at last: {_story(waiting)}")
    return Verdict(Phase.RETRYING, waiting[0].reason, _story(waiting))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth saying of a request that its images do not tell: a condition of its own beside the three.

    Attributes:
        condition: the condition's type, which is its reason, too.
        is_so: what it says is the case.
        message: in one sentence.
    """

    condition: str
    is_so: bool
    message: str


SUSPENDED = Verdict(Phase.SUSPENDED, Reason.SUSPENDED, "spec.suspend is true; set it to false to go on")


def apply(verdict: Verdict, previous: RequestStatus, generation: int, now: datetime) -> tuple[Condition, ...]:
    """The three conditions of a verdict, and what was found before.

    A condition that keeps its status keeps its transition time.
    """
    ready = {Phase.PROMOTED: "True", Phase.PENDING: "Unknown", Phase.PROMOTING: "Unknown"}.get(verdict.phase, "False")
    reconciling = "True" if verdict.phase in _PHASES_THAT_RECONCILE else "False"
    stalled = "True" if verdict.phase is Phase.STALLED else "False"
    wanted = (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled))
    three = tuple(_condition(kind, status, verdict, previous, generation, now) for kind, status in wanted)
    return (*three, *(each for each in previous.conditions if each.type not in dict(wanted)))


def with_findings(status: RequestStatus, findings: Iterable[Finding], generation: int, now: datetime) -> RequestStatus:
    """A status that says what was found; what was never the case is not mentioned."""
    told = {each.type: each for each in status.conditions}
    for found in findings:
        before = told.get(found.condition)
        if before is None and not found.is_so:
            continue
        word, message = str(found.is_so), shorten(found.message)
        if before is None or (before.status, before.message) != (word, message):
            since = before.last_transition_time if before is not None and before.status == word else now
            told[found.condition] = Condition(found.condition, word, found.condition, message, generation, since)
    return replace(status, conditions=tuple(told.values()))


def _condition(  # noqa: PLR0913, PLR0917 - the six facts a condition is made of
    kind: str, status: str, verdict: Verdict, previous: RequestStatus, generation: int, now: datetime
) -> Condition:
    before = previous.condition(kind)
    since = before.last_transition_time if before is not None and before.status == status else now
    return Condition(kind, status, verdict.reason, shorten(verdict.message), generation, since)


def shorten(message: str) -> str:
    """A message that fits its field."""
    return message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 3]}..."


def summary(images: Sequence[ImageStatus]) -> str:
    """Images proven of images wanted, as a column shows it."""
    return f"{_proven(images)}/{len(images)}"


def progress(images: Sequence[ImageStatus]) -> str:
    """How far the bytes are, in percent of what is known; empty while nothing is known."""
    total = sum(each.bytes_total or 0 for each in images)
    done = sum((each.bytes_copied or 0) + (each.bytes_skipped or 0) for each in images)
    if images and all(each.is_proven for each in images):
        return "100%"
    return f"{min(99, 100 * done // total)}%" if total else ""


def _proven(images: Sequence[ImageStatus]) -> int:
    return sum(each.is_proven for each in images)


def _promoted(images: Sequence[ImageStatus], since: datetime | None) -> str:
    def outcome(image: ImageStatus) -> Outcome | None:
        was_there = since is not None and image.finished_at is not None and image.finished_at < since
        return Outcome.ALREADY_PRESENT if was_there else image.outcome

    counts = Counter(outcome(each) for each in images)
    parts = ", ".join(f"{counts[outcome]} {word}" for outcome, word in _WORDS.items() if counts[outcome])
    return f"{len(images)} image{'s' if len(images) > 1 else ''} promoted: {parts}"


def _story(images: Sequence[ImageStatus]) -> str:
    first, more = images[0], len(images) - 1
    tail = f" (and {more} more image{'s' if more > 1 else ''}, see status.images)" if more else ""
    return f"{first.name}: {first.message}{tail}"
