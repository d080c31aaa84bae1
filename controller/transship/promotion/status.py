"""What a PromotionRequest says about itself: the status subresource as values.

Field names are those of the custom resource in snake case; `to_resource` and `parse_status` are each other's inverse.
Status is what happened, never a proof: a promotion that is asked for again looks at the registries again (threat T3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from transship.promotion.workload import parse_time


class Phase(StrEnum):
    """One word for people; programs read the conditions."""

    PENDING = "Pending"
    PROMOTING = "Promoting"
    RETRYING = "Retrying"
    PROMOTED = "Promoted"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


class Outcome(StrEnum):
    """How one image ended."""

    ALREADY_PRESENT = "AlreadyPresent"
    COPIED = "Copied"
    TAG_ADDED = "TagAdded"
    REFUSED = "Refused"
    FAILED = "Failed"


PROVEN_OUTCOMES = frozenset({Outcome.ALREADY_PRESENT, Outcome.COPIED, Outcome.TAG_ADDED})


@dataclass(frozen=True, slots=True)
class Condition:
    """A Kubernetes condition (metav1.Condition)."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int
    last_transition_time: datetime


@dataclass(frozen=True, slots=True)
class ReferrersStatus:
    """How many manifests that are attached to an image were copied, were there already, and could not be copied."""

    copied: int = 0
    present: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """How one image of a request stands. Sizes are bytes; an outcome is there only when the image has ended."""

    name: str
    source: str = ""
    destination: str = ""
    digest: str = ""
    media_type: str = ""
    outcome: Outcome | None = None
    reason: str = ""
    message: str = ""
    bytes_total: int | None = None
    bytes_copied: int | None = None
    bytes_skipped: int | None = None
    bytes_per_second: int | None = None
    blobs_total: int | None = None
    blobs_done: int | None = None
    referrers: ReferrersStatus | None = None
    previous_digest: str = ""
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    verified_at: datetime | None = None

    @property
    def is_proven(self) -> bool:
        """The destination was seen to hold it."""
        return self.outcome in PROVEN_OUTCOMES

    @property
    def is_permanent_failure(self) -> bool:
        """Somebody has to change something before it can be promoted."""
        return self.outcome in {Outcome.REFUSED, Outcome.FAILED}


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """The whole status of a PromotionRequest."""

    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    summary: str = ""
    progress: str = ""
    policy: str = ""
    application: str = ""
    bytes: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    checked_at: datetime | None = None
    images: tuple[ImageStatus, ...] = field(default_factory=tuple)

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, if it was ever set."""
        return next((each for each in self.conditions if each.type == kind), None)

    @property
    def ready(self) -> Condition | None:
        """The Ready condition: its reason and message are the request's story in one line."""
        return self.condition("Ready")


def to_resource(status: RequestStatus | ImageStatus) -> dict[str, Any]:
    """A status, or that of one image, as the API server takes it; fields without a value are left out."""
    resource: dict[str, Any] = _to_resource(status)
    return resource


def _to_resource(value: Any) -> Any:
    if isinstance(value, RequestStatus | ImageStatus | ReferrersStatus | Condition):
        pairs = ((_camel(each.name), _to_resource(getattr(value, each.name))) for each in fields(value))
        return {name: content for name, content in pairs if content not in (None, "", [])}
    if isinstance(value, tuple):
        return [_to_resource(each) for each in value]
    if isinstance(value, datetime):
        return format_time(value)
    return value.value if isinstance(value, StrEnum) else value


def format_time(moment: datetime) -> str:
    """A datetime as Kubernetes writes it in status: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def parse_status(resource: Mapping[str, Any]) -> RequestStatus:
    """Read the status of a PromotionRequest, written by this or an earlier version; unknown fields are ignored.

    One that cannot be read counts as none: the registries are looked at again, as they would have been anyway.
    """
    try:
        return _parse_status(resource)
    except (TypeError, ValueError):
        return RequestStatus()


def _parse_status(resource: Mapping[str, Any]) -> RequestStatus:
    values = _known(RequestStatus, resource)
    values["conditions"] = tuple(
        Condition(**{"observed_generation": 0} | _known(Condition, each)) for each in resource.get("conditions", [])
    )
    values["images"] = tuple(ImageStatus(**_known(ImageStatus, each)) for each in resource.get("images", []))
    return RequestStatus(**values)


_PARSERS: Mapping[str, Any] = {
    "phase": Phase,
    "outcome": Outcome,
    "referrers": lambda counts: ReferrersStatus(**_known(ReferrersStatus, counts)),
    "started_at": parse_time,
    "finished_at": parse_time,
    "checked_at": parse_time,
    "verified_at": parse_time,
    "last_transition_time": parse_time,
}


def _known(kind: type, resource: Mapping[str, Any]) -> dict[str, Any]:
    names = {_camel(each.name): each.name for each in fields(kind)}
    known = {names[name]: content for name, content in resource.items() if name in names}
    return {name: _PARSERS[name](content) if name in _PARSERS else content for name, content in known.items()}
