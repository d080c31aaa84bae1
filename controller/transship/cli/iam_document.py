"""Rights in AWS as programs get them, and as a table that says of each action what it is for."""

from collections.abc import Iterator, Mapping
from typing import Any

from transship.actions import ACTIONS
from transship.aws.pod import account_of
from transship.aws.rights import Json, Rights, document_of
from transship.cli.output import table

_COLUMNS = ("WHERE", "ACTION", "RESOURCE", "NEEDED TO")


def as_document(rights: Rights) -> Mapping[str, Any]:
    """For programs."""
    return {
        "roles": [
            {
                "account": account_of(each.arn),
                "role": each.arn,
                "tasks": list(each.tasks),
                "policy": each.policy,
                **({"trustPolicy": each.trust_policy} if each.trust else {}),
            }
            for each in rights.roles
        ],
        "repositoryPolicies": [
            {
                "account": each.host.account,
                "region": each.host.region,
                "promotionPolicy": each.policy,
                "repositories": list(each.patterns),
                "keptByOperator": each.is_kept,
                "policy": document_of([each.statement]),
            }
            for each in rights.shared
        ],
        "notes": list(rights.notes),
    }


def as_table(rights: Rights) -> str:
    """For people: a table for each role, and one for source repositories."""
    return "\n\n".join(_parts(rights))


def _parts(rights: Rights) -> Iterator[str]:
    for role in rights.roles:
        rows = [
            *(row for each in role.statements for row in _rows("its policy", each)),
            *(row for each in role.trust for row in _trusting(each)),
        ]
        yield f"{role.arn}\n{', '.join(role.tasks)}\n{table(_COLUMNS, rows)}"
    for shared in rights.shared:
        paths = ", ".join(shared.patterns)
        kept = "kept by the operator" if shared.is_kept else "to be put there, see transship policy apply"
        rows = list(_rows("repository policy", shared.statement, _who(shared.statement)))
        yield f"repositories {paths} of {shared.host.account} in {shared.host.region}\n{kept}\n{table(_COLUMNS, rows)}"


def _rows(where: str, statement: Json, resource: str = "") -> Iterator[tuple[str, str, str, str]]:
    for action in listed(statement["Action"]):
        for each in [resource] if resource else listed(statement["Resource"]):
            yield where, action, each, ACTIONS[action].why


def _trusting(statement: Json) -> Iterator[tuple[str, str, str, str]]:
    is_role = "AWS" in statement["Principal"]
    for where, action, who, why in _rows("its trust policy", statement, _who(statement)):
        yield where, action, who, why if is_role else "let the operator's pod be this role"


def _who(statement: Json) -> str:
    return f"for {', '.join(each for names in statement['Principal'].values() for each in listed(names))}"


def listed(content: str | list[str]) -> list[str]:
    """The words of an element of a policy, which may be one or a list."""
    return [content] if isinstance(content, str) else content
