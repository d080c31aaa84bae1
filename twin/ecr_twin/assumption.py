"""Who may assume which role, and what the session may do.

A role's trust policy is evaluated like any resource policy: across accounts the caller's identity policy must allow
sts:AssumeRole too. The ExternalId reaches the trust policy as the condition key sts:ExternalId, the claims of a web
identity as ``<issuer>:sub`` and ``<issuer>:aud``. Session tags need sts:TagSession as well [D: STS AssumeRole], those
too that come along from a session whose tags are transitive, as those of EKS Pod Identity are
[D: IAM id_session-tags, eks/pod-id-abac][F: aws-cdk-cli#762].
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ecr_twin import policy, web_identity
from ecr_twin.authorization import Caller, Question, denial
from ecr_twin.config import Role
from ecr_twin.directory import Session
from ecr_twin.errors import Refusal
from ecr_twin.policy import Request, Verdict
from ecr_twin.services import Services

_DEFAULT_SECONDS = 3600
#: Facts §5 [D: STS AssumeRole]: a role assumed with another role's session lives an hour at most.
_CHAINED_SECONDS = 3600
_NONE: Mapping[str, str] = {}
_COMMON = frozenset(("RoleArn", "RoleSessionName", "DurationSeconds", "Policy"))


class Assumption:
    """Opens sessions of roles."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def by_caller(self, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
        """AssumeRole.

        Raises:
            Refusal: AccessDenied or ValidationError.
        """
        _only(params, _COMMON | {"ExternalId", "Tags", "TransitiveTagKeys"}, "AssumeRole")
        role_arn = params["RoleArn"]
        role = self._services.directory.roles.get(role_arn)
        context = {"sts:rolesessionname": params["RoleSessionName"]}
        if "ExternalId" in params:
            context["sts:externalid"] = params["ExternalId"]
        context |= _requested(_tags(params))
        is_tagged = params.get("Tags") or caller.transitive_tags
        for action in ("sts:AssumeRole", *(["sts:TagSession"] if is_tagged else [])):
            if role is None or not _may(caller, role, action, context):
                raise Refusal(
                    "AccessDenied",
                    f"User: {caller.principal.arn} is not authorized to perform: {action} on resource: {role_arn}",
                )
        if caller.principal.kind == "session" and _seconds(params) > _CHAINED_SECONDS:
            raise Refusal(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            )
        assert role is not None  # noqa: S101 - the loop above has run
        return self._open(role, params, caller.transitive_tags)

    def by_service(self, service: str, role_arn: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """AssumeRole of a service of AWS for somebody, as EKS does it for a pod; its tags are transitive.

        Raises:
            Refusal: AccessDenied.
        """
        role = self._services.directory.roles.get(role_arn)
        context = {"service": service, **_requested(tags)}
        for action in ("sts:AssumeRole", "sts:TagSession"):
            request = Request(None, action, role_arn, context)
            if role is None or role.trust.verdict(request) is not Verdict.ALLOW:
                raise Refusal(
                    "AccessDenied", f"{service} is not authorized to perform: {action} on resource: {role_arn}"
                )
        assert role is not None  # noqa: S101 - the loop above has run
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return self._open(role, {"RoleSessionName": "pod", "Tags": listed, "TransitiveTagKeys": list(tags)})

    def with_web_identity(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """AssumeRoleWithWebIdentity.

        Raises:
            Refusal: InvalidIdentityToken, ExpiredTokenException or AccessDenied.
        """
        _only(params, _COMMON | {"WebIdentityToken"}, "AssumeRoleWithWebIdentity")
        directory, token = self._services.directory, params["WebIdentityToken"]
        account = params["RoleArn"].split(":")[4]
        providers = {arn: item for arn, item in directory.providers.items() if f"::{account}:" in arn}
        provider, claims = web_identity.claims(token, providers, self._services.clock())
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        context = {
            "federated": provider.arn,
            "sts:rolesessionname": params["RoleSessionName"],
            f"{provider.key_prefix}:sub": claims.get("sub", ""),
            f"{provider.key_prefix}:aud": audiences[0],
        }
        role = directory.roles.get(params["RoleArn"])
        request = Request(None, "sts:AssumeRoleWithWebIdentity", params["RoleArn"], context)
        if role is None or role.trust.verdict(request) is not Verdict.ALLOW:
            raise Refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        opened = self._open(role, params)
        return opened | {
            "SubjectFromWebIdentityToken": claims.get("sub", ""),
            "Audience": audiences[0],
            "Provider": provider.arn,
        }

    def _open(self, role: Role, params: Mapping[str, Any], inherited: Mapping[str, str] = _NONE) -> dict[str, Any]:
        seconds, text = _seconds(params), params.get("Policy")
        if seconds > role.max_session_seconds:
            raise Refusal(
                "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        if text is not None:
            try:
                policy.parse(text, "identity")
            except policy.PolicyError as error:
                raise Refusal("MalformedPolicyDocument", str(error)) from error
        transitive = frozenset((*inherited, *params.get("TransitiveTagKeys", [])))
        session = Session(params["RoleSessionName"], seconds, text, {**_tags(params), **inherited}, transitive)
        credential = self._services.directory.open_session(role, session)
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


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}


def _requested(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}


def _only(params: Mapping[str, Any], known: frozenset[str], operation: str) -> None:
    if extra := sorted(set(params) - known):
        raise Refusal("ValidationError", f"ecr-twin does not implement the parameter {extra[0]} of {operation}.")


def _seconds(params: Mapping[str, Any]) -> int:
    return int(params.get("DurationSeconds", _DEFAULT_SECONDS))


def _may(caller: Caller, role: Role, action: str, context: Mapping[str, str]) -> bool:
    """Decide: the trust policy must agree even within one account, where an identity policy cannot stand in for it."""
    trust = role.trust.verdict(Request(caller.principal, action, role.arn, {**caller.context, **context}))
    if trust is Verdict.SILENT:
        return False
    return denial(Question(caller, action, role.arn, role.account, role.trust, context=context)) is None
