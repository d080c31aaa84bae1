"""The one place where what a registry or the network says becomes the error tree.

What may appear in a message is an allow-list: OCI error code, HTTP status, host, repository, digest or tag, and of
ECR's denial text the principal, action and resource that strict expressions can find in it (ecr.md §2, rows 3, 4, 5,
13, 14, 17, 19). Bodies, headers, query strings and tokens never do.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, ProxyError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from transship.denials import Denial
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.reference import Repository
from transship.refusals import Row, of_registry
from transship.registry.answer import Answer
from transship.registry.transport import finish

_YEAR = 366 * 86400.0
_CODE = re.compile(r"[A-Z][A-Z_]{1,39}\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, for messages.

    Attributes:
        side: source or destination.
        step: in the words of the design ("resolve", "push blob", ...).
        repository: where.
        what: the tag or digest it is about.
    """

    side: Side
    step: str
    repository: Repository
    what: str

    @property
    def host(self) -> str:
        """The registry's host."""
        return self.repository.registry.host

    def retry(self, reason: Reason, message: str, after: float | None = None) -> RetryLater:
        """An error that can heal."""
        return RetryLater(reason, message, side=self.side, step=self.step, after=after)

    def human(self, reason: Reason, message: str) -> NeedsHuman:
        """An error that needs somebody."""
        return NeedsHuman(reason, message, side=self.side, step=self.step)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not the wanted one, read as far as it may be read."""

    status: int
    code: str = ""
    denial: Denial | None = None
    after: float | None = None

    @classmethod
    def read(cls, response: Answer) -> "Refusal":
        """Read status, code and denial of an error answer, and be done with it."""
        body = finish(response)
        denial = Denial.read(body.decode("utf-8", "replace"))
        return cls(response.status, _code(body), denial, retry_after(response))

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}".strip()


def unreachable(asked: Asked, host: str, error: HTTPError) -> RetryLater:
    """The network failed on the way to a host, which may be another one than the registry."""
    return asked.retry(Reason.UNREACHABLE, f"{host} cannot be reached for {asked.what}: {network(error)}")


def network(error: HTTPError) -> str:
    """What went wrong on the way, and what to check, in words that hold nothing of the URL."""
    if isinstance(error, ProxyError):
        return "the proxy does not let the connection through; check HTTPS_PROXY and NO_PROXY"
    if isinstance(error, NameResolutionError):
        return "its name does not resolve; check the registry's name and DNS"
    if isinstance(error, SSLError):
        return "TLS failed; check that its certificate authority is trusted (CA file)"
    if isinstance(error, NewConnectionError):
        return "nothing accepts a connection there; check the network's rules"
    if isinstance(error, HTTPTimeoutError):
        return "it did not answer in time"
    return "the connection failed or broke off"


def failure(asked: Asked, refusal: Refusal) -> TransshipError:
    """What a registry's refusal means for what happens next (the table is `refusals.REGISTRY`)."""
    row = of_registry(refusal.code, refusal.status, asked_to_wait=refusal.after is not None)
    said = f"{asked.host} answered {refusal} for {asked.what} in {asked.repository.path}"
    advice = _advice(asked, refusal, row)
    if row.heals:
        return asked.retry(row.reason, f"{said}: {advice}" if advice else said, refusal.after)
    error = asked.human(row.reason, f"{said}; {advice}")
    error.denial = refusal.denial
    return error


def _advice(asked: Asked, refusal: Refusal, row: Row) -> str:
    if row.reason is Reason.DENIED:
        return str(refusal.denial) if refusal.denial else f"{row.advice}; {_what_to_check(asked)}"
    if row.reason is Reason.REPOSITORY_MISSING:
        return f"create the repository {asked.repository}, or let the policy create it"
    if row.reason is Reason.REFUSED_BY_REGISTRY:
        return "the registry does not take this content (its limits and media types are its own)"
    return row.advice


def _what_to_check(asked: Asked) -> str:
    need = "read" if asked.side is Side.SOURCE else "read and write"
    return (
        f"check that the policy's role (where the registry is not ECR: its configured login) may {need} this "
        "repository, by its own permissions and by the repository's policy"
    )


def _code(body: bytes) -> str:
    try:
        errors = json.loads(body)["errors"]
        code = str(errors[0]["code"])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return code if _CODE.match(code) else ""


def retry_after(response: Answer) -> float | None:
    """Seconds the other side asked to be left alone, a year at most; None when it did not say."""
    text = response.headers.get("Retry-After")
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,20}", text):
        return min(float(text), _YEAR)
    try:
        # The answer's own Date is the clock that Retry-After was written by; without one, ours has to do.
        date = response.headers.get("Date")
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        wait = parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait.total_seconds()), _YEAR)
