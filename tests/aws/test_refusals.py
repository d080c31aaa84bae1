"""The table of refusals, one test a row, and what each adapter makes of it."""

import pytest
from botocore.exceptions import ClientError

from transship.aws.failures import from_answer
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.reference import Registry, Repository
from transship.refusals import API, REGISTRY, Next, of_api, of_registry
from transship.registry.failures import Asked, Refusal, failure

REPOSITORY = Repository.of(Registry("222222222222.dkr.ecr.eu-west-1.amazonaws.com"), "shop/checkout")
ASKED = Asked(Side.DESTINATION, "push manifest", REPOSITORY, "v1")

API_ROWS = [
    ("ThrottlingException", 400, "Rate exceeded", Next.SLOW_DOWN, Reason.THROTTLED, RetryLater),
    ("TooManyRequestsException", 429, "", Next.SLOW_DOWN, Reason.THROTTLED, RetryLater),
    ("ExpiredTokenException", 403, "", Next.RENEW, Reason.REGISTRY_ERROR, RetryLater),
    ("UnrecognizedClientException", 400, "", Next.ASK_A_HUMAN, Reason.DENIED, NeedsHuman),
    ("InvalidSignatureException", 403, "Signature expired", Next.ASK_A_HUMAN, Reason.DENIED, NeedsHuman),
    ("AccessDeniedException", 400, "", Next.ASK_A_HUMAN, Reason.DENIED, NeedsHuman),
    ("KmsException", 400, "", Next.ASK_A_HUMAN, Reason.DENIED, NeedsHuman),
    (
        "InvalidParameterException",
        400,
        "Invalid parameter at 'PolicyText': Principal not found",
        Next.WAIT_FOR_PROPAGATION,
        Reason.SOURCE_ACCESS_PENDING,
        RetryLater,
    ),
    ("InvalidParameterException", 400, "no", Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, NeedsHuman),
    ("UploadNotFoundException", 400, "", Next.RESTART_BLOB, Reason.REGISTRY_ERROR, RetryLater),
    ("InvalidLayerPartException", 400, "", Next.RESTART_BLOB, Reason.REGISTRY_ERROR, RetryLater),
    ("InvalidLayerException", 400, "", Next.RESTART_BLOB, Reason.REGISTRY_ERROR, RetryLater),
    ("LayersNotFoundException", 400, "", Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("ReferencedImagesNotFoundException", 400, "", Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("LayerAlreadyExistsException", 400, "", Next.CHECK, Reason.REGISTRY_ERROR, RetryLater),
    ("ImageAlreadyExistsException", 400, "", Next.CHECK, Reason.REGISTRY_ERROR, RetryLater),
    ("ImageTagAlreadyExistsException", 400, "", Next.CHECK, Reason.TAG_CONFLICT, NeedsHuman),
    ("RepositoryNotFoundException", 400, "", Next.ASK_A_HUMAN, Reason.REPOSITORY_MISSING, NeedsHuman),
    ("LimitExceededException", 400, "", Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, NeedsHuman),
    ("ServerException", 500, "", Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("Strange", 503, "", Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("", 400, "", Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("Strange", 400, "", Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, NeedsHuman),
]
REGISTRY_ROWS = [
    ("DENIED", 403, None, Next.RENEW, Reason.DENIED, NeedsHuman),
    ("", 401, None, Next.RENEW, Reason.DENIED, NeedsHuman),
    ("TOOMANYREQUESTS", 429, None, Next.SLOW_DOWN, Reason.THROTTLED, RetryLater),
    ("", 503, 5.0, Next.SLOW_DOWN, Reason.THROTTLED, RetryLater),
    ("", 503, None, Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("", 500, 5.0, Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("", 408, None, Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("BLOB_UPLOAD_INVALID", 400, None, Next.RESTART_BLOB, Reason.CONTENT_MISMATCH, RetryLater),
    ("DIGEST_INVALID", 400, None, Next.RESTART_BLOB, Reason.CONTENT_MISMATCH, RetryLater),
    ("BLOB_UPLOAD_UNKNOWN", 404, None, Next.RESTART_BLOB, Reason.REGISTRY_ERROR, RetryLater),
    ("", 416, None, Next.RESTART_BLOB, Reason.REGISTRY_ERROR, RetryLater),
    ("MANIFEST_BLOB_UNKNOWN", 404, None, Next.RETRY, Reason.REGISTRY_ERROR, RetryLater),
    ("TAG_INVALID", 400, None, Next.CHECK, Reason.TAG_CONFLICT, NeedsHuman),
    ("NAME_UNKNOWN", 404, None, Next.ASK_A_HUMAN, Reason.REPOSITORY_MISSING, NeedsHuman),
    ("UNSUPPORTED", 405, None, Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, NeedsHuman),
    ("MANIFEST_INVALID", 400, None, Next.ASK_A_HUMAN, Reason.REFUSED_BY_REGISTRY, NeedsHuman),
]


@pytest.mark.parametrize(("code", "status", "text", "follows", "reason", "kind"), API_ROWS)
def test_an_answer_of_the_ecr_api(  # noqa: PLR0913, PLR0917 - the columns of the table
    code: str, status: int, text: str, follows: Next, reason: Reason, kind: type[TransshipError]
) -> None:
    assert of_api(code, status, text).next is follows
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = from_answer("look up the image", ClientError(answer, "BatchGetImage"))  # type: ignore[arg-type]
    assert isinstance(error, kind)
    assert error.reason is reason
    assert code in error.message


@pytest.mark.parametrize(("code", "status", "after", "follows", "reason", "kind"), REGISTRY_ROWS)
def test_an_answer_of_the_distribution_api(  # noqa: PLR0913, PLR0917 - the columns of the table
    code: str, status: int, after: float | None, follows: Next, reason: Reason, kind: type[TransshipError]
) -> None:
    assert of_registry(code, status, asked_to_wait=after is not None).next is follows
    error = failure(ASKED, Refusal(status, code, after=after))
    assert isinstance(error, kind)
    assert (error.reason, error.side, error.step) == (reason, Side.DESTINATION, "push manifest")
    assert str(status) in error.message
    if isinstance(error, RetryLater):
        assert error.after == after


def test_no_row_is_without_a_test() -> None:
    tested = {(row[0], row[1]) for row in API_ROWS}
    assert all(any(code in row.codes or status in row.statuses for code, status in tested) for row in API)
    said = {(row[0], row[1]) for row in REGISTRY_ROWS}
    assert all(any(code in row.codes or status in row.statuses for code, status in said) for row in REGISTRY)
