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

from transship.denials import Denial
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.refusals import Row, of_api

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{1,60}\Z")


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
    except LookupError:
        # An answer without a member that AWS's model promises has been damaged on its way.
        raise RetryLater(Reason.REGISTRY_ERROR, f"cannot {doing}: AWS's answer is not in the form it has") from None


def code_of(error: ClientError) -> str:
    """The API's error code, or an empty string when it is none."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.match(code) else ""


def row_of(error: ClientError) -> Row:
    """What an answer means, as the table has it: for whoever acts on its `next`."""
    return of_api(code_of(error), _status_of(error), _text_of(error))


def _status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _text_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))


def from_answer(doing: str, error: ClientError) -> TransshipError:
    """What an error that AWS answered means for what happens next (the table is `refusals.API`)."""
    code, status, text = code_of(error), _status_of(error), _text_of(error)
    row = row_of(error)
    denial = Denial.read(text) if row.reason is Reason.DENIED else None
    advice = str(denial or row.advice or "check the policy's settings and the account's quotas")
    mapped = row.error(row.reason, f"cannot {doing}: AWS answered {code or f'HTTP {status}'}; {advice}")
    mapped.denial = denial
    return mapped


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
