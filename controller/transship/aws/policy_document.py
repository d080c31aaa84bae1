"""Repository policy documents as values: of many statements, one is ours (ecr.md §5, "Policy writing").

A document belongs to whoever owns the repository. It holds statements of others, whose meaning must survive whatever
is done here; SetRepositoryPolicy replaces it whole. Our statement is known by its Sid and by nothing else. Documents
come back from AWS in another layout than they were written in, so they are compared by what they mean.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transship.aws import permissions
from transship.errors import NeedsHuman, Reason

MAX_CHARACTERS = 10_240
"""Of a repository policy (ecr.md §1, from botocore's model)."""
PULL_ACTIONS = permissions.PULL.actions
"""What pulling across accounts needs (ecr.md §5)."""
LIST_ACTIONS = permissions.LIST.actions
"""What is needed beyond that to see which tags there are."""

Statement = Mapping[str, Any]
Meaning = tuple[Any, ...]

_VERSION = "2012-10-17"
_ACCOUNT = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(?P<account>[0-9]{12})(?P<root>:root)?\Z")
_UNIQUE_ID = re.compile(r"A(?:ROA|IDA)[A-Z0-9]{12,124}\Z")
_OUR_SID = re.compile(r"TransshipAllowPull[0-9]{12}\Z")
_LISTS = ("Action", "NotAction", "Resource", "NotResource")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A repository's policy.

    Attributes:
        statements: as they were written, in their order.
        other: the members of the document beside its statements (Version, Id).
    """

    statements: tuple[Statement, ...] = ()
    other: tuple[tuple[str, Any], ...] = (("Version", _VERSION),)

    @classmethod
    def parse(cls, text: str) -> "PolicyDocument":
        """Read a document; an empty text is an empty document.

        Raises:
            ValueError: it is not a policy document.
        """
        if not text.strip():
            return cls()
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("a policy document is a JSON object")  # noqa: TRY004 - it is the text that is wrong
        statements = content.get("Statement", [])
        listed = [statements] if isinstance(statements, dict) else statements
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise ValueError("Statement is a JSON object or a list of them")
        return cls(tuple(listed), tuple((key, each) for key, each in content.items() if key != "Statement"))

    @property
    def text(self) -> str:
        """The document as SetRepositoryPolicy takes it.

        Raises:
            NeedsHuman: it is longer than ECR allows.
        """
        content = json.dumps(dict(self.other) | {"Statement": list(self.statements)}, separators=(",", ":"))
        if len(content) > MAX_CHARACTERS:
            raise NeedsHuman(
                Reason.REFUSED_BY_REGISTRY,
                f"with our statement the repository's policy would have {len(content)} characters, and ECR allows "
                f"{MAX_CHARACTERS}; remove or merge statements of others there, or narrow spec.sourceAccess",
            )
        return content

    def find(self, sid: str) -> Statement | None:
        """The statement of that Sid."""
        return next((each for each in self.statements if each.get("Sid") == sid), None)

    def put(self, statement: Statement) -> "PolicyDocument":
        """The document with a statement in the place of those of its Sid, or behind all others."""
        sid = statement["Sid"]
        at = next((at for at, each in enumerate(self.statements) if each.get("Sid") == sid), len(self.statements))
        before = tuple(each for each in self.statements[:at] if each.get("Sid") != sid)
        after = tuple(each for each in self.statements[at:] if each.get("Sid") != sid)
        return PolicyDocument((*before, statement, *after), self.other)

    def remove(self, sid: str) -> "PolicyDocument":
        """The document without the statements of that Sid."""
        return PolicyDocument(tuple(each for each in self.statements if each.get("Sid") != sid), self.other)

    @property
    def ours(self) -> tuple[Statement, ...]:
        """The statements that this project put there, for whatever account."""
        return tuple(each for each in self.statements if _OUR_SID.match(str(each.get("Sid", ""))))

    @property
    def without_ours(self) -> "PolicyDocument":
        """The document of everybody else."""
        theirs = tuple(each for each in self.statements if not _OUR_SID.match(str(each.get("Sid", ""))))
        return PolicyDocument(theirs, self.other)

    def means(self, other: "PolicyDocument") -> bool:
        """Whether both allow and deny the same, statement by statement."""
        mine, theirs = (Counter(map(meaning, each.statements)) for each in (self, other))
        return mine == theirs and dict(self.other).get("Version") == dict(other.other).get("Version")

    def says(self, statement: Statement) -> bool:
        """Whether the statement of that Sid is there once, and means the same."""
        found = [each for each in self.statements if each.get("Sid") == statement["Sid"]]
        return len(found) == 1 and meaning(found[0]) == meaning(statement)

    def unknown_principals(self) -> tuple[str, ...]:
        """Principals that AWS shows by their unique id, because who they were was deleted."""
        named = (name for each in self.statements for name in _names_of(each.get("Principal")))
        return tuple(sorted({name for name in named if _UNIQUE_ID.match(name)}))


def sid_for(account: str) -> str:
    """The Sid of our statement for an account: one account, one statement."""
    return f"TransshipAllowPull{account}"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may pull from a repository.

    Attributes:
        account: whose principals, twelve digits.
        partition: of the account and the registry.
        principal_arns: only these of them (ARNs, with * and ? as wildcards); empty for all.
        organization: only while the account belongs to this organization.
        describe: whether they may see which images and tags there are, too.
    """

    account: str
    partition: str = "aws"
    principal_arns: tuple[str, ...] = ()
    organization: str | None = None
    describe: bool = False

    @property
    def sid(self) -> str:
        """The Sid of the statement."""
        return sid_for(self.account)

    def statement(self) -> dict[str, Any]:
        """The statement that grants it.

        Its principal is the account's root, because AWS refuses a principal that does not exist yet and turns one that
        is deleted into an id that matches nobody; conditions narrow it instead (ecr.md §5).
        """
        statement: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{self.partition}:iam::{self.account}:root"},
            "Action": [*PULL_ACTIONS, *(LIST_ACTIONS if self.describe else ())],
        }
        conditions: dict[str, Any] = {}
        if self.principal_arns:
            conditions["ArnLike"] = {"aws:PrincipalArn": sorted(self.principal_arns)}
        if self.organization:
            conditions["StringEquals"] = {"aws:PrincipalOrgID": self.organization}
        return statement | ({"Condition": conditions} if conditions else {})


def meaning(statement: Statement) -> Meaning:
    """What a statement says, so that equal meanings are equal values.

    One string and a list of it are the same, the order of lists is not looked at, an account's bare number is its root
    principal, actions and the keys of conditions have no case. The Sid counts, because statements are known by it.
    """
    known = {"Sid", "Effect", "Principal", "NotPrincipal", "Condition", *_LISTS}
    unknown = ((name, json.dumps(each, sort_keys=True)) for name, each in statement.items() if name not in known)
    lists = tuple((name, _folded(name, statement[name])) for name in _LISTS if name in statement)
    return (
        statement.get("Sid", ""),
        statement.get("Effect"),
        _who(statement.get("Principal")),
        _who(statement.get("NotPrincipal")),
        lists,
        _conditions(statement.get("Condition", {})),
        tuple(sorted(unknown)),
    )


def _folded(name: str, content: Any) -> frozenset[str]:
    words = _strings(content)
    return frozenset(each.lower() for each in words) if name.endswith("Action") else frozenset(words)


def _strings(content: Any) -> Sequence[str]:
    listed = content if isinstance(content, list) else [content]
    return [each if isinstance(each, str) else json.dumps(each) for each in listed]


def _who(principal: Any) -> frozenset[tuple[str, str]] | None:
    if principal is None:
        return None
    if not isinstance(principal, Mapping):
        return frozenset({("AWS", each) for each in _strings(principal)})
    return frozenset({(kind, _principal(kind, each)) for kind, names in principal.items() for each in _strings(names)})


def _principal(kind: str, name: str) -> str:
    match = _ACCOUNT.match(name) if kind == "AWS" else None
    is_account = match is not None and bool(match["root"]) == name.startswith("arn:")
    return match["account"] if match is not None and is_account else name


def _names_of(principal: Any) -> Sequence[str]:
    return [name for _, name in _who(principal) or ()]


def _conditions(content: Any) -> frozenset[tuple[str, str, frozenset[str]]]:
    if not isinstance(content, Mapping):
        return frozenset({("", json.dumps(content), frozenset())})
    return frozenset(
        (operator, key.lower(), frozenset(_strings(values)))
        for operator, tests in content.items()
        for key, values in (tests.items() if isinstance(tests, Mapping) else [("", tests)])
    )


def equal_json(left: str, right: str) -> bool:
    """Whether two JSON texts hold the same; the rules of a lifecycle policy may come in any order."""
    return bool(_unordered(json.loads(left)) == _unordered(json.loads(right)))


def _unordered(content: Any) -> Any:
    if isinstance(content, dict):
        return frozenset((key, _unordered(each)) for key, each in content.items())
    if isinstance(content, list):
        return frozenset(Counter(map(_unordered, content)).items())
    return (type(content).__name__, content) if isinstance(content, bool) else content
