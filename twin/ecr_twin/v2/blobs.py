"""Blobs over HTTP: reads are sent to the blob host, uploads are streamed in."""

import re
from collections.abc import AsyncIterator
from http import HTTPStatus

from aiohttp import web

from ecr_twin.actions.layers import find_upload
from ecr_twin.errors import Refusal
from ecr_twin.layers import Upload
from ecr_twin.v2.exchange import Exchange
from ecr_twin.v2.problems import problem

_CONTENT_RANGE = re.compile(r"(?:bytes )?(?P<first>\d+)-\d+(?:/\S+)?")


async def get(exchange: Exchange) -> web.Response:
    """GET: 307 to the blob host (B1, fact 6)."""
    digest = exchange.route.reference
    if exchange.services.profile.pull_needs_availability:  # [?], facts §10
        exchange.services.admit(exchange.call, "ecr:BatchCheckLayerAvailability", exchange.route.name)
    try:
        result = await exchange.perform("GetDownloadUrlForLayer", {"layerDigest": digest})
    except Refusal as refusal:
        if refusal.code == "LayersNotFoundException":
            return _unknown(digest)
        raise
    return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": result["downloadUrl"]})


async def head(exchange: Exchange) -> web.Response:
    """HEAD: answered from the layer's record, or by a redirect ([?], fact 29)."""
    digest = exchange.route.reference
    if exchange.services.profile.blob_head == "redirect":
        return await get(exchange)
    result = await exchange.perform("BatchCheckLayerAvailability", {"layerDigests": [digest]})
    layer = result["layers"][0] if result["layers"] else {}
    if layer.get("layerAvailability") != "AVAILABLE":
        return _unknown(digest)
    return web.Response(
        headers={
            "Content-Length": str(layer["layerSize"]),
            "Content-Type": layer["mediaType"],
            "Docker-Content-Digest": digest,
        }
    )


async def start(exchange: Exchange) -> web.Response:
    """POST: 202 and an absolute Location (B3); a mount only when the account allows it, else 202 as well (B6)."""
    query = exchange.request.query
    params = {"mountDigest": query["mount"], "mountFrom": query["from"]} if {"mount", "from"} <= set(query) else {}
    result = await exchange.perform("InitiateLayerUpload", params)
    if "layerDigest" in result:
        return _created(exchange, result["layerDigest"])
    upload_id = result["uploadId"]
    digest = query.get("digest")
    if digest and exchange.services.profile.single_post == "accepted":  # [?], fact 29
        return await _complete(exchange, upload_id, digest)
    return web.Response(status=HTTPStatus.ACCEPTED, headers=_progress(exchange, upload_id, 0))


async def append(exchange: Exchange) -> web.Response:
    """PATCH: answered 201, and with a Range that sticks at the first chunk (B3, facts 9 and 10)."""
    upload_id = exchange.route.reference
    given = exchange.request.headers.get("Content-Range")
    match = _CONTENT_RANGE.fullmatch(given) if given else None
    if given and match is None:
        return problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", "Content-Range is malformed.")
    await exchange.perform(
        "UploadLayerPart",
        {
            "uploadId": upload_id,
            "layerPartBlob": exchange.stream(),
            "partFirstByte": int(match["first"]) if match else None,
        },
    )
    repository = exchange.services.repositories.get(exchange.call.registry, exchange.route.name)
    upload = exchange.services.layers.upload(repository, upload_id)
    return web.Response(status=HTTPStatus.CREATED, headers=_progress(exchange, upload_id, upload.first_part or 0))


async def finish(exchange: Exchange) -> web.Response:
    """PUT: commits; the body may be the last chunk or the whole blob (B5, facts 11 and 12)."""
    return await _complete(exchange, exchange.route.reference, exchange.request.query.get("digest", ""))


async def progress(exchange: Exchange) -> web.Response:
    """GET of an upload: 204 and how far it is; the Range is the same stale one (B3, [I])."""
    upload = _upload(exchange)
    headers = _progress(exchange, upload.id, upload.first_part or 0)
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)


async def cancel(exchange: Exchange) -> web.Response:
    """DELETE of an upload: 204 and it is gone, or 405 ([?], fact 29)."""
    if exchange.services.profile.upload_delete == "unsupported":
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
    exchange.services.layers.forget(_upload(exchange).id)
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _upload(exchange: Exchange) -> Upload:
    # No API action stands behind these two; whoever may upload may ask [I].
    repository = exchange.services.admit(exchange.call, "ecr:UploadLayerPart", exchange.route.name)
    return find_upload(exchange.services, repository, exchange.route.reference)


async def _complete(exchange: Exchange, upload_id: str, digest: str) -> web.Response:
    body = exchange.stream()
    head_chunk = await anext(body, b"")
    if head_chunk:
        part = {"uploadId": upload_id, "layerPartBlob": _rejoined(head_chunk, body), "partFirstByte": None}
        await exchange.perform("UploadLayerPart", part)
    try:
        await exchange.perform("CompleteLayerUpload", {"uploadId": upload_id, "layerDigests": [digest]})
    except Refusal as refusal:
        if refusal.code != "LayerAlreadyExistsException":  # over HTTP a blob that is there is a success (facts §4)
            raise
    return _created(exchange, digest)


async def _rejoined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _progress(exchange: Exchange, upload_id: str, length: int) -> dict[str, str]:
    return {
        "Location": f"{exchange.base}/blobs/uploads/{upload_id}",
        "Docker-Upload-UUID": upload_id,
        "Range": f"0-{max(length - 1, 0)}",
    }


def _created(exchange: Exchange, digest: str) -> web.Response:
    headers = {"Location": f"{exchange.base}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=HTTPStatus.CREATED, headers=headers)


def _unknown(digest: str) -> web.Response:
    return problem(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"The layer '{digest}' is unknown to the repository.")
