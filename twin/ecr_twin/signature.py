"""Checking SigV4 signatures, by recomputing them with botocore's own signer."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from ecr_twin.authorization import Caller
from ecr_twin.directory import Clock, Directory
from ecr_twin.errors import Refusal
from ecr_twin.names import partition

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers; header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Codes:
    """How a service spells the four ways in which credentials can be wrong."""

    missing: str
    unknown_key: str
    mismatch: str
    expired: str


JSON_CODES = Codes(
    "MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException",
    "ExpiredTokenException",
)  # fmt: skip
QUERY_CODES = Codes("MissingAuthenticationToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken")


class Verifier:
    """Finds out who signed a request."""

    def __init__(self, directory: Directory, clock: Clock, skew: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._skew = skew

    def caller(self, request: SignedRequest, service: str, region: str, codes: Codes) -> Caller:
        """Give the caller of a signed request.

        Raises:
            Refusal: with one of the codes, when the signature is absent, wrong, or made with dead credentials.
        """
        given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", "").strip())
        if given is None:
            raise Refusal(codes.missing, "Missing Authentication Token")
        credential = self._directory.credential(given["key"])
        if credential is None:
            raise Refusal(codes.unknown_key, "The security token included in the request is invalid.")
        token = request.headers.get("x-amz-security-token")
        if token != credential.session_token:
            raise Refusal(codes.unknown_key, "The security token included in the request is invalid.")
        principal = credential.caller.principal
        if principal.account in self._directory.confined and principal.arn.split(":")[1] != partition(region):
            # Credentials do not cross partitions (facts §6).
            raise Refusal(codes.unknown_key, "The security token included in the request is invalid.")
        if (given["service"], given["region"]) != (service, region):
            raise Refusal(codes.mismatch, f"Credential should be scoped to a valid region and to service '{service}'.")
        unsigned = _unsigned(request, given)
        if unsigned:
            raise Refusal(
                codes.mismatch,
                f"There were headers present in the request which were not signed: {', '.join(unsigned)}",
            )
        key = ReadOnlyCredentials(given["key"], credential.secret, token)
        self._fresh(request, codes)
        if not hmac.compare_digest(_signature(request, given, key), given["signature"]):
            raise Refusal(
                codes.mismatch,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
        if credential.expires_at is not None and credential.expires_at <= self._clock():
            raise Refusal(codes.expired, "The security token included in the request is expired")
        return credential.caller

    def _fresh(self, request: SignedRequest, codes: Codes) -> None:
        try:
            stamp = datetime.strptime(request.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise Refusal(codes.missing, "The request has no valid X-Amz-Date header.") from error
        # Signing time is compared with the machine's clock: a test that moves the twin's clock keeps stock signers.
        # Only a skew that was asked for (X9) makes the two differ.
        now = datetime.now(UTC) + timedelta(seconds=self._skew())
        if abs((now - stamp).total_seconds()) > _SKEW_SECONDS:
            what, than = ("expired", "earlier") if now > stamp else ("not yet current", "later")
            raise Refusal(
                codes.mismatch,
                f"Signature {what}: {stamp:%Y%m%dT%H%M%SZ} is now {than} than {now:%Y%m%dT%H%M%SZ} by over 15 min.",
            )


def _unsigned(request: SignedRequest, given: re.Match[str]) -> list[str]:
    """Headers that a signature has to cover and does not: host, and every x-amz- header [D: signature-v4]."""
    must = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    return sorted(must - set(given["signed"].split(";")))


def _signature(request: SignedRequest, given: re.Match[str], key: ReadOnlyCredentials) -> str:
    signer = SigV4Auth(key, given["service"], given["region"])
    aws = AWSRequest(method=request.method, url=request.url, data=request.body)
    for name in given["signed"].split(";"):
        aws.headers[name] = request.headers.get(name, "")
    aws.context["timestamp"] = request.headers["x-amz-date"]
    claimed = aws.headers.get("x-amz-content-sha256")
    if claimed is not None and claimed != hashlib.sha256(request.body).hexdigest():
        return ""
    return str(signer.signature(signer.string_to_sign(aws, signer.canonical_request(aws)), aws))
