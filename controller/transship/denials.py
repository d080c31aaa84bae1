"""Denials of IAM, read as far as strict expressions can, and the statement that would end them.

AWS says who may not do what where, and which kind of policy lacks it (ecr.md §2 row 4, §5). The text itself is never
repeated: what is shown is put together from the parts that were recognised.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

_PRINCIPAL = re.compile(r"arn:aws[a-z-]{0,10}:(?:sts|iam)::\d{12}:[\w+=,.@/-]{1,200}")
_ACTION = re.compile(r"\b(?:ecr|sts|kms|iam):[A-Za-z]{1,60}\b")
_RESOURCE = re.compile(r"on resource:? (arn:aws[a-z-]{0,10}:[a-z]{2,10}:[a-z0-9-]{0,30}:\d{12}:[\w+=,.@/-]{1,300})")
_REPOSITORY = re.compile(r"arn:aws[a-z-]{0,10}:ecr:[a-z0-9-]{1,30}:\d{12}:repository/[a-z0-9._/-]{1,255}")
_ASSUMED_ROLE = re.compile(r"(arn:aws[a-z-]{0,10}):sts::(\d{12}):assumed-role/([\w+=,.@-]{1,64})/")
_ASSUME = "sts:AssumeRole"


class Lacks(StrEnum):
    """Which policy stands in the way."""

    UNKNOWN = ""
    IDENTITY = "no identity-based policy allows it"
    RESOURCE = "no resource-based policy allows it"
    DENY = "a policy denies it explicitly"


@dataclass(frozen=True, slots=True)
class Denial:
    """Who may not do what where, and which policy lacks it; `resource` is empty when AWS did not say."""

    principal: str
    action: str
    resource: str = ""
    lacks: Lacks = Lacks.UNKNOWN

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read a denial; None when it does not name principal and action."""
        principal, action = _PRINCIPAL.search(text), _ACTION.search(text)
        if principal is None or action is None:
            return None
        named, repository = _RESOURCE.search(text), _REPOSITORY.search(text)
        resource = named[1] if named else repository[0] if repository else ""
        return cls(principal[0], action[0], resource, _lacks(text))

    def __str__(self) -> str:
        where = f" on {self.resource}" if self.resource else ""
        why = f", because {self.lacks}" if self.lacks else ""
        return f"{self.principal} may not {self.action}{where}{why}: {self._remedy}"

    @property
    def _remedy(self) -> str:
        if self.lacks is Lacks.DENY:
            return "remove that denial; no permission outweighs it"
        added = json.dumps(self.statement(), separators=(",", ":"))
        if self.lacks is Lacks.RESOURCE:
            return f"add to the {self._resource_policy} {added}"
        if self.action == _ASSUME:
            return (
                f"add to the principal's own policy {added}, and allow the principal in the role's trust policy, with "
                "the external id that the PromotionPolicy names"
            )
        across = "" if self.lacks is Lacks.IDENTITY else ", and across accounts allow it in the repository's policy too"
        return f"add to the principal's own policy {added}{across}"

    @property
    def _resource_policy(self) -> str:
        return "role's trust policy" if self.action == _ASSUME else "policy of the repository"

    def statement(self) -> dict[str, Any]:
        """The IAM statement that would allow it, for the policy that lacks it."""
        if self.lacks is Lacks.RESOURCE:
            return {"Effect": "Allow", "Principal": {"AWS": role_of(self.principal)}, "Action": self.action}
        return {"Effect": "Allow", "Action": self.action, "Resource": self.resource or "*"}


def role_of(principal: str) -> str:
    """The role of an assumed role's session, which is what a policy names; any other principal is itself."""
    session = _ASSUMED_ROLE.match(principal)
    return f"{session[1]}:iam::{session[2]}:role/{session[3]}" if session else principal


def _lacks(text: str) -> Lacks:
    if "explicit deny" in text:
        return Lacks.DENY
    if "no resource-based policy allows" in text or "no resource policy allows" in text:
        return Lacks.RESOURCE
    return Lacks.IDENTITY if "no identity-based policy allows" in text else Lacks.UNKNOWN
