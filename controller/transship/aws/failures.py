"""The one place where botocore's exceptions become the error tree (ecr.md §4).

Messages are built from an allow-list: the API's error code, the principal, action and resource that strict expressions
find in a denial, and host names. AWS's own text is never repeated as it is.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{1,60}\Z")
_PRINCIPAL = re.compile(r"arn:aws[a-z-]{0,10}:(?:sts|iam)::\d{12}:[\w+=,.@/-]{1,200}")
_ACTION = re.compile(r"\b(?:ecr|sts|kms|iam):[A-Za-z]{1,60}\b")
_RESOURCE = re.compile(r"on resource: (arn:aws[a-z-]{0,10}:[a-z]{2,10}:[a-z0-9-]{0,30}:\d{12}:[\w+=,.@/-]{1,300})")

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "KmsException"})
_INVALID = frozenset(
    {"UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidSignature"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_THROTTLED = frozenset(
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
)
_SERVER_ERROR = 500


@contextmanager
def aws_errors(doing: str) -> Iterator[None]:
    """Turn what botocore raises while `doing` ("get a token for ...") into the error tree.

    Raises:
        RetryLater: Throttled, Unreachable or RegistryError.
        NeedsHuman: Denied or RefusedByRegistry.
    """
    try:
        yield
    except ClientError as error:
        raise from_answer(doing, error) from None  # its text is AWS's and may hold more than the allow-list
    except (BotoCoreError, Boto3Error) as error:
        raise from_client(doing, error) from None


def code_of(error: ClientError) -> str:
    """The API's error code, or an empty string when it is none."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.match(code) else ""


def from_answer(doing: str, error: ClientError) -> TransshipError:
    """What an error that AWS answered means for what happens next."""
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"cannot {doing}: AWS answered {code or f'HTTP {status}'}"
    if code in _DENIED:
        return NeedsHuman(Reason.DENIED, f"{said}; {_denial(error)}")
    if code in _INVALID:
        return NeedsHuman(Reason.DENIED, f"{said}; the credentials of the controller are not valid: configure others")
    if code in _EXPIRED:
        return RetryLater(Reason.REGISTRY_ERROR, f"{said}; new credentials are fetched for the next attempt")
    if code in _THROTTLED:
        return RetryLater(Reason.THROTTLED, said)
    if status >= _SERVER_ERROR or code == "ServerException":
        return RetryLater(Reason.REGISTRY_ERROR, said)
    return NeedsHuman(Reason.REFUSED_BY_REGISTRY, f"{said}; check the policy's settings and the account's quotas")


def from_client(doing: str, error: BotoCoreError | Boto3Error) -> TransshipError:
    """What an error on this side of the network means."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return NeedsHuman(
            Reason.DENIED,
            f"cannot {doing}: there are no AWS credentials; give the controller's ServiceAccount a role by EKS Pod "
            "Identity or IRSA, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if isinstance(error, CredentialRetrievalError | MetadataRetrievalError):
        return RetryLater(Reason.UNREACHABLE, f"cannot {doing}: where the AWS credentials come from does not answer")
    if isinstance(error, HTTPClientError | NoConnectionError):
        return RetryLater(Reason.UNREACHABLE, f"cannot {doing}: {_network(error)}")
    name = type(error).__name__
    return NeedsHuman(Reason.DENIED, f"cannot {doing}: the AWS configuration cannot be used ({name})")


def _network(error: HTTPClientError | NoConnectionError) -> str:
    host = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", ""))).hostname or "AWS"
    if isinstance(error, ProxyConnectionError):
        return "the proxy does not let the connection through; check HTTPS_PROXY and NO_PROXY"
    if isinstance(error, SSLError):
        return f"TLS with {host} failed; check that its certificate authority is trusted (CA file)"
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return f"{host} cannot be reached; check the Region's name, DNS and the VPC endpoints"
    return f"the connection to {host} broke off or did not answer in time"


def _denial(error: ClientError) -> str:
    text = str(error.response.get("Error", {}).get("Message", ""))
    principal, action, resource = _PRINCIPAL.search(text), _ACTION.search(text), _RESOURCE.search(text)
    if principal is None or action is None:
        return "check that the policy's role may do this, and that its trust policy lets the controller assume it"
    where = f" on {resource[1]}" if resource else ""
    if action[0] == "sts:AssumeRole":
        return (
            f"{principal[0]} may not {action[0]}{where}: allow it there and in the role's trust policy, "
            "with the external id that the PromotionPolicy names"
        )
    return f"{principal[0]} may not {action[0]}{where}: grant that action to the principal"
