"""Denials of IAM, read as far as strict expressions can, and the statement that would end them.

AWS says who may not do what where, and which kind of policy stands in the way (ecr.md §2 row 4, §5): one that does not
allow it ("no session policy allows"), or one that denies it ("an explicit deny in a service control policy"). The text
itself is never repeated: what is shown is put together from the parts that were recognised.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from transship.actions import ACTIONS, ASSUME, TAG_SESSION

_PRINCIPAL = re.compile(r"arn:aws[a-z-]{0,10}:(?:sts|iam)::\d{12}:[\w+=,.@/-]{1,200}")
_ACTION = re.compile(r"\b(?:ecr|sts|kms|iam):[A-Za-z]{1,60}\b")
_RESOURCE = re.compile(r"on resource:? (arn:aws[a-z-]{0,10}:[a-z]{2,10}:[a-z0-9-]{0,30}:\d{12}:[\w+=,.@/*-]{1,300})")
_REPOSITORY = re.compile(r"arn:aws[a-z-]{0,10}:ecr:[a-z0-9-]{1,30}:\d{12}:repository/[a-z0-9._/-]{1,255}")
_ASSUMED_ROLE = re.compile(r"(arn:aws[a-z-]{0,10}):sts::(\d{12}):assumed-role/([\w+=,.@-]{1,64})/")
_USER_OR_ROLE = re.compile(r"(arn:aws[a-z-]{0,10}):iam::(\d{12}):(?:user|role)/")
_INTO_A_ROLE = frozenset({ASSUME, TAG_SESSION})


class Kind(StrEnum):
    """Which kind of policy stands in the way, in AWS's words; they are what its denials are read by."""

    UNKNOWN = ""
    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    SESSION = "session policy"
    BOUNDARY = "permissions boundary"
    SERVICE_CONTROL = "service control policy"
    RESOURCE_CONTROL = "resource control policy"
    ENDPOINT = "VPC endpoint policy"
    TRUST = "role trust policy"


_KINDS = "|".join(re.escape(each) for each in Kind if each)
_LACKS = re.compile(rf"\bno ({_KINDS}) allows\b", re.IGNORECASE)
_DENIES = re.compile(rf"\bexplicit deny(?: in (?:an?|the) ({_KINDS}))?", re.IGNORECASE)
_PLACES = {
    Kind.IDENTITY: "the principal's own policy",
    Kind.SESSION: "the session policy that the role's session was opened with",
    Kind.BOUNDARY: "the permissions boundary of the principal",
    Kind.SERVICE_CONTROL: "a service control policy of the organization, which its administrators keep",
    Kind.RESOURCE_CONTROL: "a resource control policy of the organization, which its administrators keep",
    Kind.ENDPOINT: "the policy of the VPC endpoint that the call comes through",
    Kind.TRUST: "the role's trust policy",
}
OWN = _PLACES[Kind.IDENTITY]


@dataclass(frozen=True, slots=True)
class Denial:
    """Who may not do what where, and why.

    Attributes:
        principal: ARN of a user or of a role's session.
        action: of IAM.
        resource: ARN; empty when AWS did not say.
        kind: the kind of policy that stands in the way.
        is_explicit: that policy denies it, rather than not allowing it.
    """

    principal: str
    action: str
    resource: str = ""
    kind: Kind = Kind.UNKNOWN
    is_explicit: bool = False

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read a denial; None when it does not name principal and action."""
        principal, action = _PRINCIPAL.search(text), _ACTION.search(text)
        if principal is None or action is None:
            return None
        named, repository = _RESOURCE.search(text), _REPOSITORY.search(text)
        resource = named[1] if named else repository[0] if repository else ""
        return cls(principal[0], action[0], resource, *_kind(text))

    def __str__(self) -> str:
        where = f" on {self.resource}" if self.resource else ""
        return f"{self.principal} may not {self.action}{where}{self._why}: {self._remedy}{self._purpose}"

    @property
    def _why(self) -> str:
        if self.is_explicit:
            return f", because {_with_article(self.kind) if self.kind else 'a policy'} denies it explicitly"
        return f", because no {self.kind} allows it" if self.kind else ""

    @property
    def _purpose(self) -> str:
        use = ACTIONS.get(self.action)
        return f"; it is needed to {use.why}" if use is not None and not self.is_explicit else ""

    @property
    def _remedy(self) -> str:
        if self.is_explicit:
            where = f" in {self.belongs_in}" if self.kind else ""
            return f"remove or narrow that denial{where}; no permission outweighs it"
        added = json.dumps(self.statement(), separators=(",", ":"))
        if self.kind not in {Kind.UNKNOWN, Kind.IDENTITY}:
            return f"add to {self.belongs_in} {added}"
        if self.action in _INTO_A_ROLE:
            return (
                f"add to the principal's own policy {added}, and allow the principal in the role's trust policy, with "
                "the external id that the PromotionPolicy names"
            )
        across = "" if self.kind is Kind.IDENTITY else ", and across accounts allow it in the repository's policy too"
        return f"add to the principal's own policy {added}{across}"

    @property
    def belongs_in(self) -> str:
        """The policy that has to change, as words for people."""
        if self.kind is Kind.RESOURCE:
            return _PLACES[Kind.TRUST] if self.action in _INTO_A_ROLE else "the policy of the repository"
        return _PLACES.get(self.kind, OWN)

    @property
    def account(self) -> str:
        """The account that whoever was denied belongs to."""
        return self.principal.split(":")[4]

    @property
    def names_a_principal(self) -> bool:
        """Whether the policy that has to change is one that says whom it is for."""
        return self.kind in {Kind.RESOURCE, Kind.TRUST}

    def statement(self) -> dict[str, Any]:
        """The IAM statement that would allow it, for the policy that lacks it."""
        if self.names_a_principal:
            return {"Effect": "Allow", **whom(self.principal), "Action": self.action}
        anybody = {"Principal": "*"} if self.kind is Kind.ENDPOINT else {}
        return {"Effect": "Allow", **anybody, "Action": self.action, "Resource": self.resource or "*"}


def whom(principal: str) -> dict[str, Any]:
    """The members of a statement that let in whom AWS named in a denial, for a policy that names principals.

    The ARN of a role's session does not show the path that the role may have, and AWS refuses a principal that it does
    not know ("Principal not found"). So it is the account's root, narrowed to the role by its name, which an account
    has once whatever the paths are (ecr.md §5, "Policy writing").
    """
    session = _ASSUMED_ROLE.match(principal)
    if session:
        role = f"{session[1]}:iam::{session[2]}:role"
        names = [f"{role}/{session[3]}", f"{role}/*/{session[3]}"]
        return _narrowed(session[1], session[2], names)
    known = _USER_OR_ROLE.match(principal)
    return _narrowed(known[1], known[2], [principal]) if known else {"Principal": {"AWS": principal}}


def _narrowed(partition: str, account: str, arns: list[str]) -> dict[str, Any]:
    root = f"{partition}:iam::{account}:root"
    return {"Principal": {"AWS": root}, "Condition": {"ArnLike": {"aws:PrincipalArn": arns}}}


def _kind(text: str) -> tuple[Kind, bool]:
    denies, lacks = _DENIES.search(text), _LACKS.search(text)
    if denies:
        return _named(denies[1]), True
    if "no resource policy allows" in text:
        return Kind.RESOURCE, False
    return _named(lacks[1] if lacks else None), False


def _named(words: str | None) -> Kind:
    return next((each for each in Kind if words and each.lower() == words.lower()), Kind.UNKNOWN)


def _with_article(kind: Kind) -> str:
    return f"{'an' if kind is Kind.IDENTITY else 'a'} {kind}"
