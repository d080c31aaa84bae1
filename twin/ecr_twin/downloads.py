"""Presigned-style download URLs of the blob host (B1, fact 6)."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from ecr_twin.directory import Clock
from ecr_twin.names import blob_host
from ecr_twin.repositories import Repository

_STAMP = "%Y%m%dT%H%M%SZ"


class UrlError(Exception):
    """The URL is not good; carries S3's error code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Download:
    """What a good URL stands for."""

    repository_id: int
    digest: str
    access_key_id: str


class Downloads:
    """Makes download URLs and recognises them again. Only ``host`` is signed, so a Range header is free."""

    def __init__(self, seconds: int, clock: Clock, canary: str = "") -> None:
        self._key = secrets.token_bytes(32)
        self.seconds = seconds
        self._clock = clock
        self._canary = canary

    def url(self, repository: Repository, digest: str, access_key_id: str) -> str:
        """Make the URL for one layer of one repository."""
        stamp = datetime.fromtimestamp(self._clock(), UTC).strftime(_STAMP)
        region = repository.registry.region
        path = f"/{repository.id}/{digest.removeprefix('sha256:')}"
        query = {
            "X-Amz-Security-Token": self._canary + secrets.token_urlsafe(180),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": stamp,
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Expires": str(self.seconds),
            "X-Amz-Credential": f"{access_key_id}/{stamp[:8]}/{region}/s3/aws4_request",
        }
        host = blob_host(region)
        query["X-Amz-Signature"] = self._sign(host, path, query)
        return f"https://{host}{path}?{urlencode(query)}"

    def check(self, host: str, path: str, query: Mapping[str, str]) -> Download:
        """Give what a URL stands for.

        Raises:
            UrlError: when it is not one of ours, was altered, or has expired.
        """
        signed = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
        if "X-Amz-Signature" not in query:
            raise UrlError("AccessDenied", "Access Denied")
        if not hmac.compare_digest(self._sign(host, path, signed), query["X-Amz-Signature"]):
            raise UrlError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and "
                "signing method.",
            )
        made = datetime.strptime(query["X-Amz-Date"], _STAMP).replace(tzinfo=UTC).timestamp()
        if self._clock() >= made + int(query["X-Amz-Expires"]):
            raise UrlError("AccessDenied", "Request has expired")
        repository_id, digest = path.strip("/").split("/")
        return Download(int(repository_id), f"sha256:{digest}", query["X-Amz-Credential"].split("/")[0])

    def _sign(self, host: str, path: str, query: Mapping[str, str]) -> str:
        text = "\n".join((host, path, urlencode(sorted(query.items()))))
        return self._canary + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
