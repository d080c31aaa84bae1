"""Waiting until promotions are ready, or until it is known that somebody has to act."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transship.cli.kube import Connection
from transship.cli.naming import is_of, no_request
from transship.cli.output import Colour, Output, clean, paint
from transship.cluster.following import Change, Requests
from transship.errors import NeedsHuman, Reason
from transship.promotion.request import PromotionRequest, RequestKey, parse_request
from transship.promotion.workload import WorkloadKey, parse_workload


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request has ended, about its spec as it is now."""

    name: str
    is_ready: bool
    reason: str
    message: str


def verdict(request: PromotionRequest) -> Ended | None:
    """How it ended; None while it goes on, or what is told is about an older spec."""
    for kind in ("Ready", "Stalled"):
        told = request.status.condition(kind)
        if told is not None and told.status == "True" and told.observed_generation == request.generation:
            return Ended(request.key.name, kind == "Ready", told.reason, told.message)
    return None


@dataclass
class Waiting:
    """What is waited for, and what is known of it."""

    connection: Connection
    names: Sequence[str]
    owners: Sequence[tuple[str, str]]
    out: Output
    known: dict[str, PromotionRequest] = field(default_factory=dict)

    def until(self, deadline: float) -> list[Ended]:
        """Wait; returns how those ended that have ended, in the order in which they were named."""
        requests = Requests(self.connection.api)
        images = {owner: self._images(owner) for owner in self.owners}
        self._learn(requests.current(self.connection.namespace))
        for name in self.names:
            if name not in self.known:
                raise no_request(RequestKey(self.connection.namespace, name))
        changes = requests.follow(self.connection.namespace, lambda: deadline - time.monotonic())
        while not self._is_over(ended := self._ended(images)):
            change = next(changes, None)
            if change is None:
                break
            self._learn([change])
        return ended

    def missing(self, ended: Iterable[Ended]) -> list[str]:
        """What has not ended, and where it stands."""
        over = {each.name for each in ended}
        found = [self.known[name] for name in self.names if name not in over]
        told = [
            f"{each.key.name} is {each.status.phase}"
            + (f" ({clean(each.status.ready.message)})" if each.status.ready else ", and no operator has looked at it")
            for each in found
        ]
        for owner in self.owners:
            request = self._newest(owner, self._images(owner))
            if request is None:
                told.append(
                    f"{owner[0]} {owner[1]} has no PromotionRequest: its images are at the destination, or no policy "
                    "covers them"
                )
            elif request.key.name not in over:
                told.append(f"{request.key.name} of {owner[0]} {owner[1]} is {request.status.phase}")
        return told

    def _is_over(self, ended: Sequence[Ended]) -> bool:
        return any(not each.is_ready for each in ended) or len(ended) == len(self.names) + len(self.owners)

    def _learn(self, changes: Iterable[Change]) -> None:
        for change in changes:
            name = change.key.name
            if change.is_gone:
                self.known.pop(name, None)
                if name in self.names:
                    raise NeedsHuman(Reason.INVALID_REQUEST, f"PromotionRequest {change.key} was deleted meanwhile")
                continue
            self.known[name] = parse_request(change.resource)

    def _ended(self, images: Mapping[tuple[str, str], frozenset[str] | None]) -> list[Ended]:
        requests = [self.known[name] for name in self.names]
        newest = (self._newest(owner, images[owner]) for owner in self.owners)
        requests += [each for each in newest if each is not None]
        return [ended for each in requests if (ended := verdict(each)) is not None]

    def _newest(self, owner: tuple[str, str], images: frozenset[str] | None) -> PromotionRequest | None:
        """The one that was made last for what the owner runs now; for whatever it ran when it is gone."""
        found = [
            each
            for each in self.known.values()
            if is_of(each, owner) and (images is None or {one.image for one in each.containers} <= images)
        ]
        return max(found, key=lambda each: (each.created_at, each.key.name), default=None)

    def _images(self, owner: tuple[str, str]) -> frozenset[str] | None:
        kind, name = owner
        resource: dict[str, Any] | None = self.connection.cluster.workload(
            WorkloadKey(kind, self.connection.namespace, name)
        )
        return frozenset(each.image for each in parse_workload(resource).images) if resource is not None else None


def line(ended: Ended) -> str:
    """What people are told of it."""
    word = paint("Ready", Colour.GOOD) if ended.is_ready else paint("Stalled", Colour.BAD)
    return f"{clean(ended.name)} {word} ({clean(ended.reason)}): {clean(ended.message)}"
