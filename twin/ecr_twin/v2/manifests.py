"""Manifests over HTTP."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ecr_twin.actions.push import tag_is_immutable
from ecr_twin.errors import Refusal
from ecr_twin.manifests import MANIFEST_BYTES, digest_of, parse
from ecr_twin.names import is_digest
from ecr_twin.v2.exchange import Exchange
from ecr_twin.v2.problems import problem

_GENERIC = frozenset(("", "application/octet-stream", "application/json"))


async def get(exchange: Exchange) -> web.Response:
    """GET: without Docker-Content-Digest (M6, fact 22)."""
    image = await _read(exchange)
    body = image["imageManifest"].encode()
    return web.Response(body=body, headers={"Content-Type": image["imageManifestMediaType"]})


async def head(exchange: Exchange) -> web.Response:
    """HEAD: with Docker-Content-Digest (M6, fact 22), of the bytes a GET would send."""
    image = await _read(exchange)
    body = image["imageManifest"].encode()
    headers = {"Content-Type": image["imageManifestMediaType"], "Docker-Content-Digest": digest_of(body)}
    return web.Response(body=body, headers=headers)


async def put(exchange: Exchange) -> web.Response:
    """PUT, by tag or by digest (M1 to M4, fact 18)."""
    reference = exchange.route.reference
    body = await exchange.read(MANIFEST_BYTES)
    given = exchange.request.headers.get("Content-Type", "").partition(";")[0].strip()
    params: dict[str, Any] = {"imageManifest": body, "imageManifestMediaType": None if given in _GENERIC else given}
    params["imageDigest" if is_digest(reference) else "imageTag"] = reference
    try:
        await exchange.perform("PutImage", params)
    except Refusal as refusal:
        if refusal.code != "ImageAlreadyExistsException":
            raise
        _refuse_same_digest(exchange, params)
    digest = digest_of(body)
    headers = {"Location": f"{exchange.base}/manifests/{digest}", "Docker-Content-Digest": digest}
    if subject := parse(body, params["imageManifestMediaType"]).subject:
        headers["OCI-Subject"] = subject  # F1, fact 21: without it clients keep a list of referrers in a tag
    return web.Response(status=HTTPStatus.CREATED, headers=headers)


async def delete(exchange: Exchange) -> web.Response:
    """DELETE, by tag or by digest: 202, or 404 as it was before 2021 ([?], [F: roadmap#1229])."""
    if exchange.services.profile.manifest_delete == "not-found":
        return web.Response(status=HTTPStatus.NOT_FOUND, text="404 page not found\n")
    reference = exchange.route.reference
    image_id = {"imageDigest" if is_digest(reference) else "imageTag": reference}
    result = await exchange.perform("BatchDeleteImage", {"imageIds": [image_id]})
    if failures := result["failures"]:
        code, reason = failures[0]["failureCode"], failures[0]["failureReason"]
        if code == "ImageReferencedByManifestList":  # M8; the v2 code is [I]
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", reason)
        raise Refusal("ImageNotFoundException", reason)
    return web.Response(status=HTTPStatus.ACCEPTED)


def _refuse_same_digest(exchange: Exchange, params: Mapping[str, Any]) -> None:
    """Refuse to push what is there already, to a tag that is immutable (M4, fact 19; switchable)."""
    if exchange.services.profile.same_digest_on_immutable_tag == "accept" or "imageTag" not in params:
        return
    repository = exchange.services.repositories.get(exchange.call.registry, exchange.route.name)
    if repository.tag_is_immutable(params["imageTag"]):
        raise tag_is_immutable(repository, params["imageTag"])


async def _read(exchange: Exchange) -> dict[str, Any]:
    reference = exchange.route.reference
    image_id = {"imageDigest" if is_digest(reference) else "imageTag": reference}
    accepted = [item.partition(";")[0].strip() for line in exchange.request.headers.getall("Accept", []) for item in
                line.split(",")]  # fmt: skip
    result = await exchange.perform("BatchGetImage", {"imageIds": [image_id], "acceptedMediaTypes": accepted})
    if failures := result["failures"]:
        raise Refusal("ImageNotFoundException", failures[0]["failureReason"])
    image: dict[str, Any] = result["images"][0]
    return image
