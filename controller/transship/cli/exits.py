"""What the exit code of a command says. `docs/cli.md` lists all of them."""

from collections.abc import Mapping
from enum import IntEnum

from transship.cli import stopping
from transship.errors import Reason


class Exit(IntEnum):
    """Exit codes that every command means in the same way."""

    OK = 0
    ERROR = 1
    SOMETHING_TO_DO = 2
    TIMED_OUT = 3
    STOPPED = stopping.STOPPED


MEANINGS: Mapping[Exit, str] = {
    Exit.OK: "It is as it should be, or was done.",
    Exit.ERROR: "It could not be done, the input is wrong, or something is missing; a sentence on standard error "
    "says what.",
    Exit.SOMETHING_TO_DO: "Nothing is wrong and something is to be done: a plan, a diff or a check that found a "
    "difference, or a login-check that had no repository to try.",
    Exit.TIMED_OUT: "`--timeout` is over, and what was waited for is still going on.",
    Exit.STOPPED: "Ctrl-C or SIGTERM.",
}

STALLED: Mapping[Reason, int] = {
    Reason.TIMEOUT: 10,
    Reason.INVALID_IMAGE: 11,
    Reason.INVALID_REQUEST: 12,
    Reason.NOT_COVERED: 13,
    Reason.POLICY_AMBIGUOUS: 14,
    Reason.POLICY_INVALID: 15,
    Reason.TAG_DENIED: 16,
    Reason.TAG_CONFLICT: 17,
    Reason.SOURCE_MISSING: 18,
    Reason.SOURCE_ARCHIVED: 19,
    Reason.DENIED: 20,
    Reason.REPOSITORY_MISSING: 21,
    Reason.UNSUPPORTED_CONTENT: 22,
    Reason.REFUSED_BY_REGISTRY: 23,
    Reason.HOST_NOT_ALLOWED: 24,
}
"""What `wait` ends with when a promotion has stalled, by the reason. Numbers stay what they are once released."""

STALLED_OTHERWISE = 30


def stalled(reason: str) -> int:
    """The exit code of a promotion that has stalled; a reason of another version is 30."""
    return STALLED.get(Reason(reason), STALLED_OTHERWISE) if reason in set(Reason) else STALLED_OTHERWISE
