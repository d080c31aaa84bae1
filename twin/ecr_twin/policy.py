"""Policy documents: reading them, and asking one of them about one request.

This is a pure module: a document is parsed once, at the door, into statements; ``Document.verdict`` then says what
the document alone has to say. Putting documents together is the business of `authorization`.

Only elements that are evaluated here are accepted. A document with anything else (NotPrincipal, another condition
operator or key) is refused with a sentence, because a policy that is stored but not evaluated would let a test pass
for the wrong reason.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from ecr_twin.principals import Principal

Kind = Literal["identity", "repository", "registry", "trust"]

#: Condition keys with a value in the twin, or known to be always absent in it (a call through the twin never comes
#: from an AWS service, and through a VPC endpoint only when the connection says so). Lower case: keys ignore case.
KNOWN_KEYS = frozenset((
    "aws:principalarn", "aws:principalorgid", "aws:principalaccount", "aws:sourcearn", "aws:sourceaccount",
    "aws:sourcevpce", "sts:externalid", "sts:rolesessionname", "kms:viaservice", "kms:resourcealiases",
))  # fmt: skip
_TAG_KEYS = ("aws:principaltag/", "aws:requesttag/")
# No key has several values here, so one of any is that one.
_OPERATOR = re.compile(
    r"(?:ForAnyValue:)?(?P<type>String|Arn)(?P<negated>Not)?(?P<match>Equals|Like)(?P<if_exists>IfExists)?"
)
_ACCOUNT = re.compile(r"\d{12}")
_ROOT = re.compile(r"arn:[a-z-]+:iam::(?P<account>\d{12}):root")
_ARN_PARTS = 6


class PolicyError(ValueError):
    """The document is malformed, or holds an element which the twin does not evaluate."""


class Verdict(Enum):
    """What one document says about one request."""

    DENY = "explicit deny"
    ALLOW = "allow"
    DELEGATE = "allow for the whole account: its identity policies decide"
    SILENT = "says nothing"


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a policy."""

    principal: Principal | None
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str) -> str | None:
        """Give the value of a condition key, None when the request does not have it."""
        principal = self.principal
        if principal is not None:
            known = {
                "aws:principalarn": principal.iam_arn,
                "aws:principalorgid": principal.organization,
                "aws:principalaccount": principal.account,
            }
            if key in known:
                return known[key]
        return self.context.get(key)


@lru_cache(maxsize=4096)
def _wildcard(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    text = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(pattern: str, text: str) -> bool:
    """Match with ``*`` and ``?`` as IAM does."""
    return _wildcard(pattern).fullmatch(text) is not None


def _arn_matches(pattern: str, arn: str) -> bool:
    wanted, given = pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1)
    return len(wanted) == len(given) == _ARN_PARTS and all(map(matches, wanted, given))


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        """Tell whether the request satisfies the condition."""
        parsed = _OPERATOR.fullmatch(self.operator)
        if parsed is None:  # pragma: no cover - refused when the document was read
            raise PolicyError(self.operator)
        actual = request.value(self.key)
        if actual is None:
            return bool(parsed["if_exists"]) or bool(parsed["negated"])
        found = any(self._compare(parsed, value, actual) for value in self.values)
        return found != bool(parsed["negated"])

    @staticmethod
    def _compare(parsed: re.Match[str], value: str, actual: str) -> bool:
        if parsed["type"] == "Arn":
            return _arn_matches(value, actual)  # ArnEquals and ArnLike are the same in IAM
        return matches(value, actual) if parsed["match"] == "Like" else value == actual


@dataclass(frozen=True, slots=True)
class Principals:
    """The Principal element of a statement (A6)."""

    everyone: bool = False
    accounts: frozenset[str] = frozenset()
    arns: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    federated: frozenset[str] = frozenset()

    def match(self, principal: Principal | None, context: Mapping[str, str]) -> Verdict:
        """Say how the element covers the caller: by name, by account, or not at all."""
        if "federated" in context:
            return Verdict.ALLOW if context["federated"] in self.federated else Verdict.SILENT
        if "service" in context:
            return Verdict.ALLOW if context["service"] in self.services else Verdict.SILENT
        if principal is None:
            return Verdict.SILENT
        if self.everyone or principal.names & self.arns:
            return Verdict.ALLOW
        return Verdict.DELEGATE if principal.account in self.accounts else Verdict.SILENT


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a document."""

    effect: Literal["Allow", "Deny"]
    principals: Principals | None
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def verdict(self, request: Request) -> Verdict:
        """Say what this statement alone decides."""
        if not (self._covers_action(request.action) and self._covers_resource(request.resource)):
            return Verdict.SILENT
        if not all(condition.holds(request) for condition in self.conditions):
            return Verdict.SILENT
        covered = Verdict.ALLOW
        if self.principals is not None:
            covered = self.principals.match(request.principal, request.context)
        if covered is Verdict.SILENT:
            return Verdict.SILENT
        return Verdict.DENY if self.effect == "Deny" else covered

    def _covers_action(self, action: str) -> bool:
        if self.not_actions:
            return not any(_wildcard(item, ignore_case=True).fullmatch(action) for item in self.not_actions)
        return any(_wildcard(item, ignore_case=True).fullmatch(action) for item in self.actions)

    def _covers_resource(self, resource: str) -> bool:
        if self.not_resources:
            return not any(matches(item, resource) for item in self.not_resources)
        return any(matches(item, resource) for item in self.resources)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed policy document."""

    statements: tuple[Statement, ...]

    def verdict(self, request: Request) -> Verdict:
        """Say what the document decides; an explicit Deny wins over any Allow (A5)."""
        said = {statement.verdict(request) for statement in self.statements}
        order = (Verdict.DENY, Verdict.ALLOW, Verdict.DELEGATE)
        return next((verdict for verdict in order if verdict in said), Verdict.SILENT)

    def named_principals(self) -> frozenset[str]:
        """List the account ids and ARNs the document names, for checking that they exist (R4)."""
        elements = [statement.principals for statement in self.statements if statement.principals]
        return frozenset().union(*(element.accounts | element.arns for element in elements))


def parse(source: str | Mapping[str, Any], kind: Kind) -> Document:
    """Read a policy document.

    Args:
        source: JSON text, or the object it stands for.
        kind: identity policies name resources; repository and trust policies name principals.

    Raises:
        PolicyError: when it is malformed or holds what the twin does not evaluate.
    """
    document = _object(source)
    _only(document, {"Version", "Id", "Statement"}, "the policy document")
    if document.get("Version", "2008-10-17") not in {"2008-10-17", "2012-10-17"}:
        raise PolicyError(f"'{document['Version']}' is not a policy version.")
    statements = document.get("Statement")
    items: list[Any] = statements if isinstance(statements, list) else [statements]
    if not items or not all(isinstance(item, dict) for item in items):
        raise PolicyError("The policy document has no statement.")
    return Document(tuple(_statement(item, kind) for item in items))


def _object(source: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except ValueError as error:
            raise PolicyError(f"The policy document is not JSON: {error}.") from error
    if not isinstance(source, Mapping):
        raise PolicyError("The policy document is not a JSON object.")
    return source


def _only(mapping: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(mapping) - allowed)
    if unknown:
        raise PolicyError(f"The element {unknown[0]} of {where} is not evaluated by ecr-twin.")


def _statement(item: Mapping[str, Any], kind: Kind) -> Statement:
    allowed = {"Sid", "Effect", "Action", "NotAction", "Condition"}
    # A repository policy speaks about its own repository: ECR takes no Resource in it (facts §7, by contrast).
    if kind in {"identity", "registry"}:
        allowed |= {"Resource", "NotResource"}
    if kind != "identity":
        allowed |= {"Principal"}
    _only(item, allowed, f"a statement of a {kind} policy")
    effect = item.get("Effect")
    if effect not in {"Allow", "Deny"}:
        raise PolicyError(f"The Effect of a statement must be Allow or Deny, not {effect!r}.")
    if ("Action" in item) == ("NotAction" in item):
        raise PolicyError("A statement needs either Action or NotAction.")
    if kind in {"identity", "registry"} and ("Resource" in item) == ("NotResource" in item):
        raise PolicyError(f"A statement of a {kind} policy needs either Resource or NotResource.")
    if kind != "identity" and "Principal" not in item:
        raise PolicyError(f"A statement of a {kind} policy needs a Principal.")
    return Statement(
        effect=effect,
        principals=None if kind == "identity" else _principals(item["Principal"]),
        actions=_strings(item.get("Action", [])),
        not_actions=_strings(item.get("NotAction", [])),
        resources=_strings(item.get("Resource", [])) if kind in {"identity", "registry"} else ("*",),
        not_resources=_strings(item.get("NotResource", [])),
        conditions=tuple(_conditions(item.get("Condition", {}))),
    )


def _strings(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise PolicyError(f"Expected a string or a list of strings, found {value!r}.")
    return tuple(items)


def _principals(value: Any) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, Mapping):
        raise PolicyError('Principal must be "*" or an object with AWS, Service or Federated.')
    _only(value, {"AWS", "Service", "Federated"}, "Principal")
    named = _strings(value.get("AWS", []))
    roots = {name: match["account"] for name in named if (match := _ROOT.fullmatch(name))}
    bare = frozenset(name for name in named if _ACCOUNT.fullmatch(name))
    arns = frozenset(named) - frozenset(roots) - bare - {"*"}
    for arn in arns:
        if "*" in arn or not arn.startswith(("arn:", "AROA", "AIDA")):
            raise PolicyError(f'The principal {arn!r} is neither an ARN, nor an account id, nor "*".')
    return Principals(
        everyone="*" in named,
        accounts=bare | frozenset(roots.values()),
        arns=arns,
        services=frozenset(_strings(value.get("Service", []))),
        federated=frozenset(_strings(value.get("Federated", []))),
    )


def _conditions(block: Any) -> list[Condition]:
    if not isinstance(block, Mapping):
        raise PolicyError("Condition must be an object.")
    conditions = []
    for operator, keys in block.items():
        if not _OPERATOR.fullmatch(operator) or not isinstance(keys, Mapping):
            raise PolicyError(f"The condition operator {operator} is not evaluated by ecr-twin.")
        for key, values in keys.items():
            name = key.lower()
            # Keys of an OIDC provider are spelt <issuer>:sub and <issuer>:aud.
            if name not in KNOWN_KEYS and not name.endswith((":sub", ":aud")) and not name.startswith(_TAG_KEYS):
                raise PolicyError(f"The condition key {key} is not evaluated by ecr-twin.")
            conditions.append(Condition(operator, name, _strings(values)))
    return conditions
