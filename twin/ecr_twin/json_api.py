"""The JSON face: awsJson1.1 requests to ``api.ecr.<region>.amazonaws.com``."""

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web
from botocore.model import OperationModel

from ecr_twin import shapes
from ecr_twin.actions import ACTIONS, perform
from ecr_twin.authorization import Caller
from ecr_twin.errors import Refusal
from ecr_twin.names import Registry
from ecr_twin.requests import from_where, request_id, signed
from ecr_twin.services import Call, Services
from ecr_twin.signature import JSON_CODES, Verifier
from ecr_twin.streams import body_of

_LOG = logging.getLogger(__name__)
_TARGET = "AmazonEC2ContainerRegistry_V20150921."
#: Codes that every AWS JSON service may answer, whatever the operation's model lists.
_COMMON_CODES = frozenset((
    "AccessDeniedException", "ExpiredTokenException", "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException", "ThrottlingException", "UnknownOperationException", "UnrecognizedClientException",
))  # fmt: skip


@dataclass(slots=True)
class _Exchange:
    """One request on its way through the face."""

    region: str
    operation: OperationModel | None = None
    call: Call | None = None


class JsonApi:
    """Answers the ECR API of every Region."""

    def __init__(self, services: Services, verifier: Verifier) -> None:
        self._services = services
        self._verifier = verifier
        self._model = shapes.service("ecr")

    async def handle(self, request: web.Request, region: str) -> web.Response:
        """Answer one request."""
        body = await body_of(request)
        exchange = _Exchange(region)
        try:
            result = await self._answer(request, body, exchange)
            response = _respond(HTTPStatus.OK, result)
        except Refusal as refusal:
            response = _respond(_status(refusal), _error(refusal, exchange.operation), refusal.code)
        if exchange.call and exchange.operation:
            key = exchange.call.key(f"ecr:{exchange.operation.name}")
            self._services.ledger.add(key, bytes_in=len(body), bytes_out=len(response.body or b""))  # type: ignore[arg-type]
        return response

    async def _answer(self, request: web.Request, body: bytes, exchange: _Exchange) -> dict[str, Any]:
        caller = self._verifier.caller(signed(request, body), "ecr", exchange.region, JSON_CODES)
        caller = from_where(caller, self._services.endpoints, request)
        operation = exchange.operation = self._operation(request.headers.get("X-Amz-Target", ""))
        if operation.name not in ACTIONS:
            raise shapes.unimplemented(operation)
        params = shapes.decode(operation.input_shape, _json(body))
        exchange.call = Call(caller, self._registry(caller, params, exchange.region))
        result = await perform(self._services, exchange.call, operation.name, params)
        try:
            return shapes.encode(operation.output_shape, result)
        except Refusal as refusal:
            _LOG.exception("the answer of %s does not fit the service model", operation.name)
            raise Refusal("ServerException", f"ecr-twin built a bad answer: {refusal.message}") from refusal

    def _operation(self, target: str) -> OperationModel:
        name = target.removeprefix(_TARGET)
        if not target.startswith(_TARGET) or name not in self._model.operation_names:
            raise Refusal("UnknownOperationException", f"'{target}' is not an operation of Amazon ECR.")
        return self._model.operation_model(name)

    @staticmethod
    def _registry(caller: Caller, params: dict[str, Any], region: str) -> Registry:
        return Registry(params.get("registryId", caller.principal.account), region)


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise Refusal("SerializationException", "The request body is not JSON.") from error
    if not isinstance(document, dict):
        raise Refusal("SerializationException", "The request body is not a JSON object.")
    return document


def _status(refusal: Refusal) -> HTTPStatus:
    return HTTPStatus.INTERNAL_SERVER_ERROR if refusal.code == "ServerException" else HTTPStatus.BAD_REQUEST


def _error(refusal: Refusal, operation: OperationModel | None) -> dict[str, Any]:
    code = refusal.code
    if operation and code not in shapes.error_codes(operation) | _COMMON_CODES:
        _LOG.warning("%s is not among the modelled errors of %s", code, operation.name)
    return {"__type": code, "message": refusal.message, **refusal.members}


def _respond(status: HTTPStatus, document: dict[str, Any], code: str | None = None) -> web.Response:
    headers = {"x-amzn-RequestId": request_id()} | ({"x-amzn-ErrorType": code} if code else {})
    return web.Response(
        status=status,
        body=json.dumps(document).encode(),
        content_type="application/x-amz-json-1.1",
        headers=headers,
    )
