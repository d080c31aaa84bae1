"""Lists over HTTP: tags, repositories, referrers."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from ecr_twin.errors import Refusal
from ecr_twin.manifests import OCI_INDEX
from ecr_twin.names import partition
from ecr_twin.v2.exchange import Exchange

#: L1, fact 24.
_DEFAULT, _MOST = 100, 1000
_REFERRERS_PAGE = 50
_ALL = 1_000_000


async def tags(exchange: Exchange) -> web.Response:
    """tags/list: pages of 100 to 1000, continued by an opaque ``last`` (L1, fact 24)."""
    limit = _limit(exchange)
    params = {"filter": {"tagStatus": "TAGGED"}, "maxResults": limit, "nextToken": exchange.request.query.get("last")}
    result = await exchange.perform("ListImages", params)
    document = {"name": exchange.route.name, "tags": [item["imageTag"] for item in result["imageIds"]]}
    return _list(document, exchange, "tags/list", {"last": result["nextToken"], "n": limit})


async def catalog(exchange: Exchange) -> web.Response:
    """_catalog: the registry's repositories, in pages as above (fact 25)."""
    limit = _limit(exchange)
    params = {"repositoryNames": None, "maxResults": limit, "nextToken": exchange.request.query.get("last")}
    result = await exchange.perform("DescribeRepositories", params)
    document = {"repositories": [item["repositoryName"] for item in result["repositories"]]}
    return _list(document, exchange, "_catalog", {"last": result["nextToken"], "n": limit})


async def referrers(exchange: Exchange) -> web.Response:
    """Referrers: an image index; filtered by artifactType when asked (F1), whole or in pages (F2, [?])."""
    china = partition(exchange.call.registry.region) == "aws-cn"
    if china and not exchange.services.profile.referrers_in_china:  # [?], fact 21
        raise Refusal("InvalidParameterException", "The operation is unsupported.")
    query = exchange.request.query
    wanted = query.getall("artifactType", [])
    pages = exchange.services.profile.referrers_over_http == "pages"
    params = {
        "subjectId": {"imageDigest": exchange.route.reference},
        "filter": {"artifactTypes": wanted},
        "maxResults": _REFERRERS_PAGE if pages else _ALL,
        "nextToken": query.get("nextToken"),
    }
    result = await exchange.perform("ListImageReferrers", params)
    names = ("mediaType", "digest", "size", "artifactType", "annotations")
    descriptors = [{name: item[name] for name in names if item[name] is not None} for item in result["referrers"]]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
    place = f"referrers/{exchange.route.reference}"
    response = _list(document, exchange, place, {"nextToken": result["nextToken"], "artifactType": wanted})
    response.headers["Content-Type"] = OCI_INDEX
    if wanted:
        response.headers["OCI-Filters-Applied"] = "artifactType"
    return response


def _limit(exchange: Exchange) -> int:
    text = exchange.request.query.get("n", str(_DEFAULT))
    if not text.isdigit() or not 1 <= int(text) <= _MOST:
        raise Refusal(
            "InvalidParameterException",
            f"Invalid parameter at 'maxResults' failed to satisfy constraint: 'must be between 1 and {_MOST}'",
        )
    return int(text)


def _list(document: dict[str, Any], exchange: Exchange, place: str, query: dict[str, Any]) -> web.Response:
    token = query.get("last") or query.get("nextToken")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token:
        base = exchange.base if exchange.route.name else exchange.base.rstrip("/")
        headers["Link"] = f'<{base}/{place}?{urlencode(query, doseq=True)}>; rel="next"'
    return web.Response(status=HTTPStatus.OK, body=json.dumps(document).encode(), headers=headers)
