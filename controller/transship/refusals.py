"""What a refusal means for what happens next: the table of ecr.md §4, as data.

Two columns of the same table: codes of the ECR API (`of_api`) and codes and statuses of the distribution API
(`of_registry`). The first row that matches counts. The adapters add who refused what to whom; what follows is decided
here and nowhere else.

`Row.next` is acted upon where there is something to act with: slowing down by `aws.traffic`, checking and waiting for
propagation by `aws.repositories` and `aws.repository_policy`. Of the distribution API, credentials are renewed by
`registry.exchange` and blobs sent again by `oci.copier`, which know of a status or an error and not of rows: there
the column says what they do. What is left when that was in vain is `heals`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from transship.errors import NeedsHuman, Reason, RetryLater


class Next(StrEnum):
    """What happens next."""

    SLOW_DOWN = "ask less often, not before Retry-After, and try again"
    RETRY = "try again"
    RENEW = "get new credentials, or a new URL, once, and try again"
    RESTART_BLOB = "send this blob from its beginning"
    CHECK = "look whether what was wanted is there: then it is done"
    WAIT_FOR_PROPAGATION = "wait until AWS knows everywhere what it was told, and try again"
    ASK_A_HUMAN = "stop, and say what has to be changed"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        next: what happens next; when that has been tried in vain, `heals` says what remains.
        reason: what the status will say.
        heals: whether it is tried again later, rather than left to a human.
        advice: what to do or to know, as the end of a sentence.
        codes: error codes it is for.
        statuses: HTTP statuses it is for, whatever the code.
        phrase: what the text has to hold as well, where one code means several things.
    """

    next: Next
    reason: Reason
    heals: bool
    advice: str
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    phrase: str = ""

    def matches(self, code: str, status: int, text: str) -> bool:
        """Whether an answer is one of this row."""
        return (code in self.codes or status in self.statuses) and self.phrase.lower() in text.lower()

    @property
    def error(self) -> type[RetryLater | NeedsHuman]:
        """The class of error it ends in."""
        return RetryLater if self.heals else NeedsHuman


_SERVER_ERRORS = frozenset(range(500, 600))
_UNSAID = Row(Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, False, "")

API: tuple[Row, ...] = (
    Row(
        next=Next.SLOW_DOWN,
        reason=Reason.THROTTLED,
        heals=True,
        advice="the account's quota is used up for the moment",
        codes=frozenset(
            {
                "Throttling",
                "ThrottlingException",
                "ThrottledException",
                "RequestThrottled",
                "RequestThrottledException",
                "RequestLimitExceeded",
                "TooManyRequestsException",
                "SlowDown",
            }
        ),
    ),
    Row(
        next=Next.RENEW,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="new credentials are fetched for the next attempt",
        codes=frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.DENIED,
        heals=False,
        advice="the credentials of the controller are not valid: configure others",
        codes=frozenset({"UnrecognizedClientException", "InvalidClientTokenId"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.DENIED,
        heals=False,
        advice="either the controller's clock is wrong by minutes, or its secret key is not that of its access key",
        codes=frozenset(
            {"SignatureDoesNotMatch", "InvalidSignature", "InvalidSignatureException", "RequestTimeTooSkewed"}
        ),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.DENIED,
        heals=False,
        advice="check that the policy's role may do this, and that its trust policy lets the controller assume it",
        codes=frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.DENIED,
        heals=False,
        advice="the repository's KMS key cannot be used: check that it is enabled and that ECR's grants on it remain",
        codes=frozenset({"KmsException"}),
    ),
    Row(
        next=Next.WAIT_FOR_PROPAGATION,
        reason=Reason.SOURCE_ACCESS_PENDING,
        heals=True,
        advice="IAM does not know a principal of the policy everywhere yet",
        codes=frozenset({"InvalidParameterException"}),
        phrase="Principal not found",
    ),
    Row(
        next=Next.RESTART_BLOB,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="the upload was lost and begins anew",
        codes=frozenset({"UploadNotFoundException", "InvalidLayerPartException", "InvalidLayerException"}),
    ),
    Row(
        next=Next.RETRY,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="content it points at is not there",
        codes=frozenset({"LayersNotFoundException", "ReferencedImagesNotFoundException", "LayerInaccessibleException"}),
    ),
    Row(
        next=Next.CHECK,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="it is there already",
        codes=frozenset(
            {"LayerAlreadyExistsException", "ImageAlreadyExistsException", "RepositoryAlreadyExistsException"}
        ),
    ),
    Row(
        next=Next.CHECK,
        reason=Reason.TAG_CONFLICT,
        heals=False,
        advice="the tag is immutable and at another digest: name another tag",
        codes=frozenset({"ImageTagAlreadyExistsException"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.REPOSITORY_MISSING,
        heals=False,
        advice="create the repository, or let the policy create it",
        codes=frozenset({"RepositoryNotFoundException"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.REFUSED_BY_REGISTRY,
        heals=False,
        advice="a limit of the account or repository is reached: remove what is not needed, or have AWS raise it",
        codes=frozenset({"LimitExceededException"}),
    ),
    Row(
        next=Next.RETRY,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="AWS is in trouble",
        codes=frozenset({"ServerException", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException"}),
        statuses=_SERVER_ERRORS,
    ),
    Row(
        next=Next.RETRY,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="its answer broke off or was not its own",
        codes=frozenset({""}),
    ),
)
"""Answers of the ECR API and of STS."""

REGISTRY: tuple[Row, ...] = (
    Row(
        next=Next.RENEW,
        reason=Reason.DENIED,
        heals=False,
        advice="credentials were renewed once where there are any",
        statuses=frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}),
    ),
    Row(
        next=Next.SLOW_DOWN,
        reason=Reason.THROTTLED,
        heals=True,
        advice="",
        codes=frozenset({"TOOMANYREQUESTS", "THROTTLING"}),
        statuses=frozenset({HTTPStatus.TOO_MANY_REQUESTS}),
    ),
    Row(
        next=Next.RETRY,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="",
        statuses=_SERVER_ERRORS | {HTTPStatus.REQUEST_TIMEOUT},
    ),
    Row(
        next=Next.RESTART_BLOB,
        reason=Reason.CONTENT_MISMATCH,
        heals=True,
        advice="the bytes that arrived there are not the wanted ones",
        codes=frozenset({"DIGEST_INVALID", "BLOB_UPLOAD_INVALID", "SIZE_INVALID"}),
    ),
    Row(
        next=Next.RESTART_BLOB,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="the upload was lost and begins anew",
        codes=frozenset({"BLOB_UPLOAD_UNKNOWN"}),
        statuses=frozenset({HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}),
    ),
    Row(
        # Content that was there a moment ago: a clean-up at the registry (ecr.md row 26), healed by looking again.
        next=Next.RETRY,
        reason=Reason.REGISTRY_ERROR,
        heals=True,
        advice="content it points at is not there",
        codes=frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}),
    ),
    Row(
        next=Next.CHECK,
        reason=Reason.TAG_CONFLICT,
        heals=False,
        advice="the tag is immutable; name another tag",
        codes=frozenset({"TAG_INVALID"}),
    ),
    Row(
        next=Next.ASK_A_HUMAN,
        reason=Reason.REPOSITORY_MISSING,
        heals=False,
        advice="create the repository, or let the policy create it",
        codes=frozenset({"NAME_UNKNOWN"}),
        statuses=frozenset({HTTPStatus.NOT_FOUND}),
    ),
)
"""Answers of the distribution API, of ECR and of others."""


def of_api(code: str, status: int, text: str = "") -> Row:
    """The row of an answer of the ECR API."""
    return _first(API, code, status, text)


def of_registry(code: str, status: int, *, asked_to_wait: bool = False) -> Row:
    """The row of an answer of the distribution API; a registry that is unavailable until a given time is throttling."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE and asked_to_wait:
        status = HTTPStatus.TOO_MANY_REQUESTS
    return _first(REGISTRY, code, status, "")


def is_throttle(code: str) -> bool:
    """Whether a code of the ECR API says that calls come too fast."""
    return of_api(code, 0).next is Next.SLOW_DOWN


def _first(rows: Iterable[Row], code: str, status: int, text: str) -> Row:
    return next((row for row in rows if row.matches(code, status, text)), _UNSAID)
