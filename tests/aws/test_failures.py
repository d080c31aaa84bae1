import pytest
from boto3.exceptions import Boto3Error
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from transship.aws.failures import aws_errors
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError

PRINCIPAL = "arn:aws:sts::222222222222:assumed-role/transship/transship-shop"
ROLE = "arn:aws:iam::111111111111:role/transship-source"
REPOSITORY = "arn:aws:ecr:eu-west-1:222222222222:repository/shop/checkout"
CANARY = "canary"
ENDPOINT = f"https://api.ecr.eu-west-1.amazonaws.com/?{CANARY}"


def raised(error: Exception) -> TransshipError:
    with pytest.raises(TransshipError) as caught, aws_errors("create the repository shop/checkout"):
        raise error
    assert CANARY not in str(caught.value)
    assert caught.value.message.startswith("cannot create the repository shop/checkout: ")
    return caught.value


def answered(code: str, message: str = CANARY, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "CreateRepository",
    )


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("AccessDeniedException", NeedsHuman, Reason.DENIED),
        ("AccessDenied", NeedsHuman, Reason.DENIED),
        ("KmsException", NeedsHuman, Reason.DENIED),
        ("UnrecognizedClientException", NeedsHuman, Reason.DENIED),
        ("InvalidClientTokenId", NeedsHuman, Reason.DENIED),
        ("ExpiredTokenException", RetryLater, Reason.REGISTRY_ERROR),
        ("ThrottlingException", RetryLater, Reason.THROTTLED),
        ("TooManyRequestsException", RetryLater, Reason.THROTTLED),
        ("ServerException", RetryLater, Reason.REGISTRY_ERROR),
        ("LimitExceededException", NeedsHuman, Reason.REFUSED_BY_REGISTRY),
        ("InvalidParameterException", NeedsHuman, Reason.REFUSED_BY_REGISTRY),
        (f"not a code {CANARY}", RetryLater, Reason.REGISTRY_ERROR),
    ],
)
def test_an_answer_of_aws_says_what_happens_next(code: str, kind: type[TransshipError], reason: Reason) -> None:
    error = raised(answered(code))
    assert isinstance(error, kind)
    assert error.reason is reason


def test_any_answer_with_a_server_status_can_heal() -> None:
    assert isinstance(raised(answered("Strange", status=503)), RetryLater)


def test_an_answer_that_lacks_a_promised_member_can_heal() -> None:
    assert isinstance(raised(KeyError(CANARY)), RetryLater)


def test_a_denial_names_who_may_not_do_what_where() -> None:
    text = f"User: {PRINCIPAL} is not authorized to perform: ecr:CreateRepository on resource: {REPOSITORY} {CANARY}"
    message = raised(answered("AccessDeniedException", text)).message
    assert f"{PRINCIPAL} may not ecr:CreateRepository on {REPOSITORY}" in message


def test_a_role_that_may_not_be_assumed_points_at_its_trust_policy() -> None:
    text = f"User: {PRINCIPAL} is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    message = raised(answered("AccessDenied", text)).message
    assert f"{PRINCIPAL} may not sts:AssumeRole on {ROLE}" in message
    assert "trust policy" in message


@pytest.mark.parametrize(
    ("error", "kind", "reason", "says"),
    [
        (exceptions.NoCredentialsError(), NeedsHuman, Reason.DENIED, "IRSA"),
        (exceptions.PartialCredentialsError(provider="env", cred_var=CANARY), NeedsHuman, Reason.DENIED, "IRSA"),
        (exceptions.ProfileNotFound(profile=CANARY), NeedsHuman, Reason.DENIED, "ProfileNotFound"),
        (
            exceptions.CredentialRetrievalError(provider="x", error_msg=CANARY),
            RetryLater,
            Reason.UNREACHABLE,
            "credentials",
        ),
        (
            exceptions.EndpointConnectionError(endpoint_url=ENDPOINT, error=CANARY),
            RetryLater,
            Reason.UNREACHABLE,
            "api.ecr.eu-west-1.amazonaws.com",
        ),
        (
            exceptions.ReadTimeoutError(endpoint_url=ENDPOINT, error=CANARY),
            RetryLater,
            Reason.UNREACHABLE,
            "api.ecr.eu-west-1.amazonaws.com",
        ),
        (exceptions.SSLError(endpoint_url=ENDPOINT, error=OSError(CANARY)), RetryLater, Reason.UNREACHABLE, "CA file"),
        (
            exceptions.ProxyConnectionError(proxy_url=f"http://{CANARY}@proxy", error=CANARY),
            RetryLater,
            Reason.UNREACHABLE,
            "HTTPS_PROXY",
        ),
        (Boto3Error(CANARY), NeedsHuman, Reason.DENIED, "configuration"),
    ],
)
def test_an_error_on_our_side_says_what_to_check(
    error: BotoCoreError | Boto3Error, kind: type[TransshipError], reason: Reason, says: str
) -> None:
    mapped = raised(error)
    assert isinstance(mapped, kind)
    assert mapped.reason is reason
    assert says in mapped.message
