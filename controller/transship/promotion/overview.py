"""What `transship report` shows: every image of some PromotionRequests, and what somebody should look at first.

Nothing here is trusted: the resources may come from a file that anybody wrote. Whatever cannot be read is counted, and
everything that is shown is a text of bounded length, a number or a moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from transship.promotion.history import Asked, read_asked
from transship.promotion.request import PromotionRequest
from transship.promotion.status import Condition, ImageStatus, Phase

LIMIT = 2000
"""How many images are shown: a page of more takes a browser too long on a phone."""

_MAX_TEXT = 1024  # what the custom resources allow for an image and a message


class Standing(StrEnum):
    """How one image stands, in the order in which somebody wants to know."""

    FAILED = "failed"
    WAITING = "waiting"
    GOING_ON = "going on"
    READY = "ready"


_STANDINGS: Mapping[Phase, Standing] = {
    Phase.PROMOTED: Standing.READY,
    Phase.PROMOTING: Standing.GOING_ON,
    Phase.STALLED: Standing.FAILED,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One image of one request.

    Attributes:
        is_current: the request is the newest of its workload or hook, or the newest of those that were promoted; what
            it names is what that one runs, or waits for.
        at: when it ended, or began; at least when the request was made.
        seconds: how long it took; None while it has not ended.
        bytes_copied: how many were moved, of `bytes_total`.
    """

    standing: Standing
    is_current: bool
    namespace: str
    request: str
    container: str
    phase: str
    outcome: str
    reason: str
    message: str
    destination: str
    source: str
    digest: str
    previous_digest: str
    created_at: datetime
    at: datetime
    seconds: float | None
    bytes_copied: int | None
    bytes_total: int | None
    policy: str
    by: str
    application: str
    revision: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A request, its images, and what its conditions say.

    Attributes:
        asked_at: when it was asked for the last time: a rollback asks an old request again.
    """

    asked: Asked
    rows: tuple[Row, ...]
    asked_at: datetime

    @property
    def request(self) -> PromotionRequest:
        """The request itself."""
        return self.asked.request

    @property
    def ready(self) -> Condition | None:
        """Its Ready condition."""
        return self.request.status.ready

    @property
    def is_ready(self) -> bool:
        """All its images are there."""
        return all(each.standing is Standing.READY for each in self.rows)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything there is to show.

    Attributes:
        rows: those that count now come first, the ones in trouble before the others, then the newest.
        counts: how many images stand how, of those that count now.
        requests: how many there are.
        left_out: how many images are not in `rows`, as there are too many.
        unreadable: how many resources are no PromotionRequests as a cluster holds them.
    """

    rows: Sequence[Row]
    entries: Sequence[Entry]
    counts: Mapping[Standing, int]
    requests: int
    left_out: int
    unreadable: int


def overview(resources: Iterable[Mapping[str, Any]], limit: int = LIMIT) -> Overview:
    """Look at PromotionRequests, as the API server sends them or a file has them.

    Args:
        resources: of any namespaces, in any order.
        limit: how many images are shown.
    """
    read = [_entry(each) for each in resources]
    entries = _with_currency([each for each in read if each is not None])
    rows = sorted((row for each in entries for row in each.rows), key=_order)
    current = [each.standing for each in rows if each.is_current]
    return Overview(
        rows=rows[:limit],
        entries=entries,
        counts={each: current.count(each) for each in Standing},
        requests=len(entries),
        left_out=max(0, len(rows) - limit),
        unreadable=len(read) - len(entries),
    )


def _order(row: Row) -> tuple[bool, int, float, str, str, str]:
    trouble = list(Standing).index(row.standing) if row.is_current else 0
    return (not row.is_current, trouble, -row.at.timestamp(), row.namespace, row.request, row.container)


def _entry(resource: Mapping[str, Any]) -> Entry | None:
    """A request with its rows; None where the resource is not what a cluster would hold."""
    try:
        asked = read_asked(resource)
        request = asked.request
        told = {each.name: each for each in request.status.images}
        _require_sound(request)
        rows = tuple(_row(asked, each.name, each.image, told.get(each.name)) for each in request.containers)
        started = request.status.started_at or request.created_at
        return Entry(asked, rows, max(request.created_at, started))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _require_sound(request: PromotionRequest) -> None:
    conditions = request.status.conditions
    for each in conditions:
        for part in (each.type, each.reason, each.message):
            text_of(part)
    if any(each.tzinfo is None for each in (request.created_at, *(each.last_transition_time for each in conditions))):
        raise ValueError("a moment without a zone")


def _row(asked: Asked, container: str, destination: str, image: ImageStatus | None) -> Row:
    request = asked.request
    if image is None or image.destination not in {"", destination}:  # nothing was said yet about what is wanted now
        image = ImageStatus(container)
    ready = request.status.ready
    began = image.started_at or request.created_at
    ended = image.finished_at or image.verified_at
    return Row(
        standing=_standing(request, image),
        is_current=True,
        namespace=text_of(request.key.namespace),
        request=text_of(request.key.name),
        container=text_of(container),
        phase=request.status.phase.value if ready is not None else "",
        outcome=str(image.outcome or ""),
        reason=text_of(image.reason or (ready.reason if ready is not None else "")),
        message=text_of(image.message or ("" if image.is_proven or ready is None else ready.message)),
        destination=text_of(destination),
        source=text_of(image.source),
        digest=text_of(image.digest),
        previous_digest=text_of(image.previous_digest),
        created_at=request.created_at,
        at=max(ended or began, request.created_at),
        seconds=(ended - began).total_seconds() if image.outcome and ended is not None else None,
        bytes_copied=_count(image.bytes_copied),
        bytes_total=_count(image.bytes_total),
        policy=text_of(request.status.policy),
        by=text_of(asked.by),
        application=text_of(asked.application),
        revision=text_of(asked.revision),
    )


def _standing(request: PromotionRequest, image: ImageStatus) -> Standing:
    phase = request.status.phase
    if image.is_proven:
        return Standing.READY
    if image.is_permanent_failure:
        return Standing.FAILED
    if phase is Phase.PROMOTED:  # of another generation: this image is wanted only since then
        return Standing.WAITING
    return _STANDINGS.get(phase, Standing.WAITING)


def _with_currency(entries: Sequence[Entry]) -> list[Entry]:
    """Say of each request whether it counts now: the newest of an owner, and the newest of those that are there."""
    newest: dict[tuple[str, str, str], Entry] = {}
    newest_ready: dict[tuple[str, str, str], Entry] = {}
    for each in sorted(entries, key=lambda each: (each.asked_at, each.request.key.name)):
        newest[_owner(each)] = each
        if each.is_ready:
            newest_ready[_owner(each)] = each
    return [
        each if each is newest[_owner(each)] or each is newest_ready.get(_owner(each)) else _earlier(each)
        for each in entries
    ]


def _earlier(entry: Entry) -> Entry:
    return replace(entry, rows=tuple(replace(each, is_current=False) for each in entry.rows))


def _owner(entry: Entry) -> tuple[str, str, str]:
    request = entry.request
    if request.owner is None:  # somebody wrote it: it speaks for itself
        return (request.key.namespace, "", request.key.name)
    return (request.key.namespace, request.owner.kind, request.owner.name)


def text_of(text: object) -> str:
    """What is shown of a text.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(text, str):
        raise TypeError("not a text")
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _count(number: object) -> int | None:
    if number is not None and (not isinstance(number, int) or number < 0):
        raise TypeError("not a number of bytes")
    return number
