"""The STS face: AssumeRole, AssumeRoleWithWebIdentity and GetCallerIdentity, in the query protocol.

This module is about the protocol; `assumption` decides who gets which session.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from ecr_twin import shapes
from ecr_twin.assumption import Assumption
from ecr_twin.authorization import Caller
from ecr_twin.errors import Refusal
from ecr_twin.ledger import Key
from ecr_twin.names import Registry
from ecr_twin.requests import from_where, request_id, signed
from ecr_twin.services import Call, Services
from ecr_twin.signature import QUERY_CODES, Verifier
from ecr_twin.streams import body_of

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_INTEGERS = frozenset(("DurationSeconds",))
_BAD_REQUESTS = frozenset((
    "ValidationError", "InvalidIdentityToken", "ExpiredTokenException", "MalformedPolicyDocument",
))  # fmt: skip
_KEY = re.compile(r"TransitiveTagKeys\.member\.[1-9]\d?")
_TAG = re.compile(r"Tags\.member\.(?P<index>[1-9]\d?)\.(?P<part>Key|Value)")


class Sts:
    """Answers STS of every Region, and the global endpoint."""

    def __init__(self, services: Services, verifier: Verifier) -> None:
        self._services = services
        self._verifier = verifier
        self._model = shapes.service("sts")
        self._actions = {"AssumeRole": self._assume_role, "GetCallerIdentity": self._get_caller_identity}
        self._assumption = Assumption(services)

    async def handle(self, request: web.Request, region: str) -> web.Response:
        """Answer one request."""
        body = await body_of(request)
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            if form.get("Action") == "AssumeRoleWithWebIdentity":  # nobody signs this one: the token speaks
                return self._with_web_identity(region, form)
            caller = self._verifier.caller(signed(request, body), "sts", region, QUERY_CODES)
            return self._answer(from_where(caller, self._services.endpoints, request), region, form)
        except Refusal as refusal:
            return _error(refusal)

    def _answer(self, caller: Caller, region: str, form: dict[str, str]) -> web.Response:
        name = form.pop("Action", "")
        form.pop("Version", None)
        if name not in self._model.operation_names:
            raise Refusal("InvalidAction", f"Could not find operation {name}.")
        if name not in self._actions:
            raise Refusal("ValidationError", f"ecr-twin does not implement {name}.")
        key = Call(caller, Registry(caller.principal.account, region)).key(f"sts:{name}")
        self._services.ledger.add(key, requests=1)
        operation = self._model.operation_model(name)
        try:
            result = self._actions[name](caller, _params(operation.input_shape, form))
        except Refusal:
            self._services.ledger.add(key, refused=1)
            raise
        return self._result(name, result)

    def _with_web_identity(self, region: str, form: dict[str, str]) -> web.Response:
        name = form.pop("Action")
        form.pop("Version", None)
        params = _params(self._model.operation_model(name).input_shape, form)
        role_arn = params["RoleArn"]
        account, session = role_arn.split(":")[4], f"{role_arn}/{params['RoleSessionName']}"
        key = Key(account, region, f"sts:{name}", session)
        self._services.ledger.add(key, requests=1)
        try:
            result = self._assumption.with_web_identity(params)
        except Refusal:
            self._services.ledger.add(key, refused=1)
            raise
        return self._result(name, result)

    def _result(self, name: str, result: Mapping[str, Any]) -> web.Response:
        shapes.check(self._model.operation_model(name).output_shape, result)
        inner = f"<{name}Result>{_xml(result)}</{name}Result>"
        meta = f"<ResponseMetadata><RequestId>{request_id()}</RequestId></ResponseMetadata>"
        return _respond(HTTPStatus.OK, f'<{name}Response xmlns="{_NAMESPACE}">{inner}{meta}</{name}Response>')

    def _get_caller_identity(self, caller: Caller, _params: Mapping[str, Any]) -> dict[str, Any]:
        principal = caller.principal
        return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}

    def _assume_role(self, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._assumption.by_caller(caller, params)


def _params(shape: Any, form: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in form.items():
        if match := _TAG.fullmatch(name):
            tags = given.setdefault("Tags", [])
            index = int(match["index"])
            tags.extend({} for _ in range(index - len(tags)))
            tags[index - 1][match["part"]] = value
            continue
        if match := _KEY.fullmatch(name):
            given.setdefault("TransitiveTagKeys", []).append(value)
            continue
        head = name.split(".")[0]
        if head != name:  # another list or structure; nobody here takes one
            raise Refusal("ValidationError", f"ecr-twin does not implement the parameter {head}.")
        given[name] = int(value) if name in _INTEGERS and value.isdigit() else value
    try:
        return shapes.decode(shape, given)
    except Refusal as refusal:
        raise Refusal("ValidationError", refusal.message) from refusal


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(item)}</{name}>" for name, item in value.items())
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return escape(str(value))


def _error(refusal: Refusal) -> web.Response:
    status = HTTPStatus.BAD_REQUEST if refusal.code in _BAD_REQUESTS else HTTPStatus.FORBIDDEN
    detail = f"<Type>Sender</Type><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
    inner = f"<Error>{detail}</Error><RequestId>{request_id()}</RequestId>"
    return _respond(status, f'<ErrorResponse xmlns="{_NAMESPACE}">{inner}</ErrorResponse>')


def _respond(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="text/xml")
