"""How the API's errors look on the v2 face (facts §2 and §4)."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from ecr_twin.errors import Refusal

#: API error -> (HTTP status, OCI error code). Where the facts give a code but no status, the status is [I].
_TABLE: Mapping[str, tuple[int, str]] = {
    "AccessDeniedException": (HTTPStatus.FORBIDDEN, "DENIED"),  # A7, fact 4
    "RepositoryNotFoundException": (HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),  # R1, fact 5
    "ImageNotFoundException": (HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN"),  # fact 5
    "InvalidParameterException": (HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED"),  # M3, facts 14 to 16
    "LimitExceededException": (HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED"),  # [I]
    "ImageDigestDoesNotMatchException": (HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID"),  # M1, fact 13
    "ReferencedImagesNotFoundException": (HTTPStatus.NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),  # M2, fact 17
    "LayersNotFoundException": (HTTPStatus.NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),  # M2
    "LayerInaccessibleException": (HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),  # B7, fact 26
    "UploadNotFoundException": (HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),  # facts §4
    "InvalidLayerException": (HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID"),  # fact 13
    "EmptyUploadException": (HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
    "LayerPartTooSmallException": (HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID"),  # B4, fact 11
    "InvalidLayerPartException": (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),  # B3, fact 10
}


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Build an OCI error list with one error."""
    document = {"errors": [{"code": code, "message": message}]}
    return web.Response(
        status=status,
        body=json.dumps(document).encode(),
        headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


def translate(refusal: Refusal, tag_invalid_status: int, retry_after_seconds: int) -> web.Response:
    """Translate an API error."""
    if refusal.code == "ThrottlingException":  # Q1, facts §4; whether Retry-After comes along is [?]
        headers = {"Retry-After": str(retry_after_seconds)} if retry_after_seconds else {}
        return problem(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", refusal.message, headers)
    if refusal.code == "ImageTagAlreadyExistsException":  # M4, fact 19; the status is [?], hence a switch
        return problem(tag_invalid_status, "TAG_INVALID", refusal.message)
    status, code = _TABLE.get(refusal.code, (HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN"))
    return problem(status, code, refusal.message)
