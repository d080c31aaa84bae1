"""The blob host: the S3 bucket behind ECR's downloads (B1, B2)."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from xml.sax.saxutils import escape

from aiohttp import web

from ecr_twin.backing import CHUNK
from ecr_twin.downloads import Download, UrlError
from ecr_twin.errors import Refusal
from ecr_twin.limits import BLOB_HOST
from ecr_twin.repositories import Repository
from ecr_twin.requests import host_of, request_id
from ecr_twin.services import Call, Services
from ecr_twin.streams import deliver

_PASSED_ON = ("Content-Length", "Content-Range", "ETag")


class BlobHost:
    """Serves presigned URLs, whole or by Range (B2, fact 8)."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.method != "GET":
            return _error(HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch", "The URL was signed for GET.")
        if "Authorization" in request.headers:  # B1, fact 7
            return _error(
                HTTPStatus.BAD_REQUEST,
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
            )
        try:
            download = self._services.downloads.check(host_of(request), request.path, request.query)
        except UrlError as error:
            return _error(HTTPStatus.FORBIDDEN, error.code, error.message)
        repository = self._services.repositories.by_id(download.repository_id)
        if repository is not None:
            try:
                registry = repository.registry
                self._services.buckets.take(registry.account, registry.region, BLOB_HOST, self._services.clock())
            except Refusal:  # Q3
                return _error(HTTPStatus.SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        if repository is None or self._services.layers.find(repository, download.digest) is None:
            return _error(HTTPStatus.NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
        return await self._send(request, repository, download)

    async def _send(self, request: web.Request, repository: Repository, download: Download) -> web.StreamResponse:
        byte_range = request.headers.get("Range")
        sent = 0
        async with self._services.backing.blob(repository.namespace, download.digest, byte_range) as blob:
            headers = {name: blob.headers[name] for name in _PASSED_ON if name in blob.headers}
            head = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}

            async def counted() -> AsyncIterator[bytes]:
                nonlocal sent
                async for chunk in blob.content.iter_chunked(CHUNK):
                    yield chunk
                    sent += len(chunk)

            try:
                return await deliver(request, web.StreamResponse(status=blob.status, headers=head), counted())
            finally:
                self._count(repository, download, sent)

    def _count(self, repository: Repository, download: Download, sent: int) -> None:
        credential = self._services.directory.credential(download.access_key_id)
        if credential is not None:
            key = Call(credential.caller, repository.registry).key("s3:GetObject")
            self._services.ledger.add(key, requests=1, bytes_out=sent)


def _error(status: HTTPStatus, code: str, message: str) -> web.Response:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>'
        f"<RequestId>{request_id()}</RequestId></Error>"
    )
    return web.Response(status=status, body=text.encode(), content_type="application/xml")
