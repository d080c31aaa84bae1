"""What of an overview somebody should look at first: what failed or waits, why, and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from transship.errors import Reason
from transship.promotion.advice import ADVICE
from transship.promotion.overview import Entry, Overview, Row, Standing, text_of

LIMIT = 200
"""How many requests in trouble are told one by one; by then something is wrong that they have in common."""

_FINDINGS = frozenset({Reason.UNCOVERED, Reason.GATE_NOT_ENFORCED})
_ORDER = (Standing.FAILED, Standing.WAITING, Standing.READY)
_UNSEEN = "No operator has looked at it since it was made: see whether one runs and is ready."


@dataclass(frozen=True, slots=True)
class Point:
    """What one or several images of a request lack.

    Attributes:
        meaning, remedy: what the reason means and what to do; empty for a reason of another version.
        said: pairs of the image and what was said of it; the image is empty for what was said of the request.
    """

    reason: str
    meaning: str
    remedy: str
    said: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that somebody should look at.

    Attributes:
        standing: ready, where everything is there and something is to be known all the same.
        since: when it came to be so.
    """

    standing: Standing
    namespace: str
    request: str
    by: str
    application: str
    since: datetime
    points: tuple[Point, ...]


def troubles(overview: Overview) -> list[Trouble]:
    """The requests in trouble: what failed first, and of those the newest; nothing that a newer request replaced."""
    found = [each for entry in overview.entries if (each := _trouble(entry)) is not None]
    return sorted(found, key=lambda each: (_ORDER.index(each.standing), -each.since.timestamp(), each.request))


def _trouble(entry: Entry) -> Trouble | None:
    rows = [each for each in entry.rows if each.is_current and each.standing in {Standing.FAILED, Standing.WAITING}]
    points = [*_points(entry, rows), *_findings(entry)]
    if not points or not entry.rows[0].is_current:
        return None
    first, ready = entry.rows[0], entry.ready
    return Trouble(
        standing=min((each.standing for each in rows), key=_ORDER.index, default=Standing.READY),
        namespace=first.namespace,
        request=first.request,
        by=first.by,
        application=first.application,
        since=ready.last_transition_time if ready is not None else first.created_at,
        points=tuple(points),
    )


def _points(entry: Entry, rows: Sequence[Row]) -> Iterator[Point]:
    if not rows:
        return
    ready = entry.ready
    if ready is None:
        yield _point(Reason.PENDING, [("", _UNSEEN)])
        return
    reasons = dict.fromkeys(each.reason for each in rows)
    if ready.reason not in reasons:  # of the whole request: it was suspended, or its time is over
        yield _point(ready.reason, [("", "")])
    for reason in reasons:
        yield _point(reason, [(each.destination, each.message) for each in rows if each.reason == reason])


def _findings(entry: Entry) -> Iterator[Point]:
    for each in entry.request.status.conditions:
        if each.type in _FINDINGS and each.status == "True":
            yield _point(each.reason, [("", text_of(each.message))])


def _point(reason: str, said: Iterable[tuple[str, str]]) -> Point:
    known = ADVICE[Reason(reason)] if reason in set(Reason) else None
    return Point(reason, known.meaning if known else "", known.remedy if known else "", tuple(said))
