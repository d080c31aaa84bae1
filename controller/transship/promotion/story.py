"""Why a request does not go on, and what to do, in sentences."""

from collections.abc import Callable, Iterator
from datetime import datetime

from transship.errors import Reason
from transship.promotion.advice import ADVICE
from transship.promotion.request import PromotionRequest
from transship.promotion.status import Condition, ImageStatus, Phase

Span = Callable[[datetime, datetime], str]
"""How the time between two moments is told."""

_HEALING = "It is tried again by itself"
_LATEST = "The operator has not looked at the spec as it is now; what follows is about an older one."


def tell(request: PromotionRequest, now: datetime, span: Span) -> list[str]:
    """The story of a request: sentences in the order of a paragraph."""
    return [*_wanted(request), *_standing(request, now, span)]


def troubled(request: PromotionRequest) -> list[ImageStatus]:
    """The images that are not proven and say why."""
    return [each for each in request.status.images if not each.is_proven and each.reason]


def _wanted(request: PromotionRequest) -> Iterator[str]:
    count = len(request.containers)
    asker = f"{request.owner.kind} {request.owner.name}" if request.owner else "whoever wrote it"
    application = f" of application {request.application}" if request.application else ""
    yield f"PromotionRequest {request.key} wants {count} image{'s' if count > 1 else ''} for {asker}{application}."


def _standing(request: PromotionRequest, now: datetime, span: Span) -> Iterator[str]:
    told = request.status
    ready = told.ready
    if ready is None:
        waited = span(request.created_at, now)
        yield f"No operator has looked at it in the {waited} since it was made: see whether one runs and is ready."
        return
    if told.observed_generation != request.generation:
        yield _LATEST
    since = span(ready.last_transition_time, now)
    match told.phase:
        case Phase.PROMOTED:
            seen = f", last seen {span(told.checked_at, now)} ago" if told.checked_at else ""
            yield f"It is done: every image is at the destination{seen}."
        case Phase.SUSPENDED:
            yield f"It has been suspended for {since}: set spec.suspend to false to go on."
        case Phase.STALLED:
            yield f"It has been stalled for {since}, with {told.summary} images there."
            yield from _troubles(request)
            yield (
                "Once the cause is gone it goes on by itself, when the operator looks at what stalled the next time "
                "(every five minutes, unless TRANSSHIP_STALLED_RECHECK says otherwise) or as soon as its spec changes."
            )
        case Phase.RETRYING:
            yield f"{told.summary} images are there, and the rest is being tried again."
            yield from _troubles(request)
            yield _patience(request, now, span)
        case _:
            progress = f", {told.progress} of the bytes" if told.progress else ""
            yield f"It goes on: {told.summary} images are there{progress}; {_sentence(ready.message)}"
            yield _patience(request, now, span)
    yield from _findings(told.conditions)


def _troubles(request: PromotionRequest) -> Iterator[str]:
    """What each image says; of a reason that several have, what to do is told once."""
    told: set[str] = set()
    troubles = troubled(request)
    ready = request.status.ready
    if ready is not None and ready.reason == Reason.TIMEOUT:
        yield f"It was not done within spec.timeout ({int(request.timeout_seconds)} s)."
    for each in troubles:
        yield f"{each.name} ({each.reason}): {_sentence(each.message)}"
        yield from _remedy(each.reason, told)
    if not troubles and ready is not None:
        yield _sentence(ready.message)
        yield from _remedy(ready.reason, told)


def _remedy(reason: str, told: set[str]) -> Iterator[str]:
    if reason in told or reason not in set(Reason):
        return
    told.add(reason)
    yield f"What to do: {ADVICE[Reason(reason)].remedy}"


def _patience(request: PromotionRequest, now: datetime, span: Span) -> str:
    started = request.status.started_at
    if started is None:
        return f"{_HEALING}."
    left = request.timeout_seconds - (now - started).total_seconds()
    if left <= 0:
        return "Its spec.timeout is over: it will be told as Stalled."
    return f"It has been at it for {span(started, now)}, and spec.timeout leaves it {int(left)} s more."


def _findings(conditions: tuple[Condition, ...]) -> Iterator[str]:
    for each in conditions:
        if each.type in {Reason.UNCOVERED, Reason.GATE_NOT_ENFORCED} and each.status == "True":
            yield f"Besides ({each.reason}): {_sentence(each.message)}"
            yield from _remedy(each.reason, set())


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
