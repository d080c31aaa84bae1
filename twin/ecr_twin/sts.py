"""The STS face: AssumeRole and GetCallerIdentity, in the query protocol.

A role's trust policy is evaluated like any resource policy: across accounts the caller's identity policy must allow
sts:AssumeRole too. The ExternalId reaches the trust policy as the condition key sts:ExternalId.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from ecr_twin import shapes
from ecr_twin.authorization import Caller, Question, denial
from ecr_twin.config import Role
from ecr_twin.errors import Refusal
from ecr_twin.names import Registry
from ecr_twin.policy import Request, Verdict
from ecr_twin.requests import request_id, signed
from ecr_twin.services import Call, Services
from ecr_twin.signature import QUERY_CODES, Verifier

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_INTEGERS = frozenset(("DurationSeconds",))
_DEFAULT_SECONDS = 3600
#: Facts §5 [D: STS AssumeRole]: a role assumed with another role's session lives an hour at most.
_CHAINED_SECONDS = 3600


class Sts:
    """Answers STS of every Region, and the global endpoint."""

    def __init__(self, services: Services, verifier: Verifier) -> None:
        self._services = services
        self._verifier = verifier
        self._model = shapes.service("sts")
        self._actions = {"AssumeRole": self._assume_role, "GetCallerIdentity": self._get_caller_identity}

    async def handle(self, request: web.Request, region: str) -> web.Response:
        """Answer one request."""
        body = await request.read()
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            caller = self._verifier.caller(signed(request, body), "sts", region, QUERY_CODES)
            return self._answer(caller, region, form)
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
        shapes.check(operation.output_shape, result)
        inner = f"<{name}Result>{_xml(result)}</{name}Result>"
        meta = f"<ResponseMetadata><RequestId>{request_id()}</RequestId></ResponseMetadata>"
        return _respond(HTTPStatus.OK, f'<{name}Response xmlns="{_NAMESPACE}">{inner}{meta}</{name}Response>')

    def _get_caller_identity(self, caller: Caller, _params: Mapping[str, Any]) -> dict[str, Any]:
        principal = caller.principal
        return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}

    def _assume_role(self, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
        if extra := sorted(set(params) - {"RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId"}):
            raise Refusal("ValidationError", f"ecr-twin does not implement the parameter {extra[0]} of AssumeRole.")
        role_arn = params["RoleArn"]
        role = self._services.directory.roles.get(role_arn)
        context = {"sts:rolesessionname": params["RoleSessionName"]}
        if "ExternalId" in params:
            context["sts:externalid"] = params["ExternalId"]
        if role is None or not _may_assume(caller, role, context):
            sentence = (
                f"User: {caller.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            )
            raise Refusal("AccessDenied", sentence)
        seconds = params.get("DurationSeconds", _DEFAULT_SECONDS)
        if caller.principal.kind == "session" and seconds > _CHAINED_SECONDS:
            raise Refusal(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            )
        if seconds > role.max_session_seconds:
            raise Refusal(
                "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        credential = self._services.directory.open_session(role, params["RoleSessionName"], seconds)
        principal = credential.caller.principal
        return {
            "Credentials": {
                "AccessKeyId": credential.caller.access_key_id,
                "SecretAccessKey": credential.secret,
                "SessionToken": credential.session_token,
                "Expiration": datetime.fromtimestamp(credential.expires_at or 0, UTC),
            },
            "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
        }


def _may_assume(caller: Caller, role: Role, context: Mapping[str, str]) -> bool:
    """Decide: the trust policy must agree even within one account, where an identity policy cannot stand in for it."""
    trust = role.trust.verdict(Request(caller.principal, "sts:AssumeRole", role.arn, context))
    if trust is Verdict.SILENT:
        return False
    return denial(Question(caller, "sts:AssumeRole", role.arn, role.account, role.trust, context)) is None


def _params(shape: Any, form: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in form.items():
        head = name.split(".")[0]
        if head != name:  # a list or a structure; the actions say that they do not take it
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
    status = HTTPStatus.BAD_REQUEST if refusal.code == "ValidationError" else HTTPStatus.FORBIDDEN
    detail = f"<Type>Sender</Type><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
    inner = f"<Error>{detail}</Error><RequestId>{request_id()}</RequestId>"
    return _respond(status, f'<ErrorResponse xmlns="{_NAMESPACE}">{inner}</ErrorResponse>')


def _respond(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="text/xml")
