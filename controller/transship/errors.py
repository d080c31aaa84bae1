"""The tree of errors: the class of an error says what happens next.

Everything that can go wrong while promoting is one of two things: it can heal by itself (`RetryLater`) or
somebody has to change something (`NeedsHuman`). Foreign exceptions (of boto3, urllib3, the Kubernetes client) stop
at their adapter and become one of these. Messages are built from an allow-list: error code, HTTP status, host,
repository, tag, digest, principal, action. They never hold bodies, query strings, headers or tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transship.denials import Denial


class Side(StrEnum):
    """Which registry a step talked to."""

    SOURCE = "source"
    DESTINATION = "destination"


class Reason(StrEnum):
    """The closed list of reasons that conditions, events, logs and metrics may carry."""

    # States of a whole request.
    PENDING = "Pending"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    SUSPENDED = "Suspended"
    TIMEOUT = "Timeout"
    # What the administrator or the author of an overlay has to change.
    INVALID_IMAGE = "InvalidImage"
    INVALID_REQUEST = "InvalidRequest"
    NOT_COVERED = "NotCovered"
    POLICY_AMBIGUOUS = "PolicyAmbiguous"
    POLICY_INVALID = "PolicyInvalid"
    TAG_DENIED = "TagDenied"
    TAG_CONFLICT = "TagConflict"
    SOURCE_MISSING = "SourceMissing"
    SOURCE_ARCHIVED = "SourceArchived"
    DENIED = "Denied"
    REPOSITORY_MISSING = "RepositoryMissing"
    UNSUPPORTED_CONTENT = "UnsupportedContent"
    REFUSED_BY_REGISTRY = "RefusedByRegistry"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    # What is said of a workload or a hook, whatever becomes of its images.
    UNCOVERED = "Uncovered"
    GATE_NOT_ENFORCED = "GateNotEnforced"
    MANAGED_BY_MISSING = "ManagedByMissing"
    POD_RECREATED = "PodRecreated"
    # What the conditions of a policy say of what is in AWS, and while all is as wanted.
    VALID = "Valid"
    KNOWN = "Known"
    NOT_NEEDED = "NotNeeded"
    IN_PLACE = "InPlace"
    AS_WANTED = "AsWanted"
    DRIFT = "Drift"
    # What heals by itself.
    SOURCE_NOT_YET_THERE = "SourceNotYetThere"
    SOURCE_ACCESS_PENDING = "SourceAccessPending"
    THROTTLED = "Throttled"
    UNREACHABLE = "Unreachable"
    REGISTRY_ERROR = "RegistryError"
    CONTENT_MISMATCH = "ContentMismatch"
    NOT_PROVEN = "NotProven"
    INTERNAL_ERROR = "InternalError"


class TransshipError(Exception):
    """Anything this project raises on purpose.

    Args:
        reason: the closed reason a condition will carry.
        message: one sentence that says what happened and, where somebody has to act, what to do.
        side: the registry that was talked to, when one was.
        step: what was being done, in the words of the design ("resolve", "read manifest", "push blob", ...).

    Attributes:
        denial: who may not do what, where IAM refused and said so.
    """

    def __init__(self, reason: Reason, message: str, *, side: Side | None = None, step: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.side = side
        self.step = step
        self.denial: Denial | None = None

    def __str__(self) -> str:
        place = " ".join(part for part in (self.side or "", self.step) if part)
        return f"{place}: {self.message}" if place else self.message


class RetryLater(TransshipError):  # noqa: N818 - the name says what happens next, as the design does
    """It can heal by itself: try again, not before `after` seconds when the other side said how long."""

    def __init__(
        self, reason: Reason, message: str, *, side: Side | None = None, step: str = "", after: float | None = None
    ) -> None:
        super().__init__(reason, message, side=side, step=step)
        self.after = after


class NeedsHuman(TransshipError):  # noqa: N818 - the name says what happens next, as the design does
    """It will not heal by itself: stop, and say what has to be changed."""


@contextmanager
def doing(side: Side, step: str) -> Iterator[None]:
    """Give errors that pass the side and step they lack; an inner, more exact one stays."""
    try:
        yield
    except TransshipError as error:
        error.side = error.side or side
        error.step = error.step or step
        raise
