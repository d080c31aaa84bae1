"""Rights in AWS as Terraform: roles with their policies, and the policies of source repositories that nobody keeps."""

import json
from collections.abc import Iterator
from typing import Any

from transship.aws.pod import account_of
from transship.aws.rights import Rights, RoleRights, SharedSource, document_of
from transship.cli.iam_names import path_and_name, role_in_terraform, source_in_terraform
from transship.cli.output import clean


def as_terraform(rights: Rights) -> str:
    """The configuration; with several accounts, each has a provider `aws.account_<id>`.

    Source repositories of an account in several Regions have a provider `aws.account_<id>_<region>` for each.
    """
    accounts = sorted({account_of(each.arn) for each in rights.roles} | {each.host.account for each in rights.shared})
    return "\n\n".join(_blocks(rights, is_one=len(accounts) == 1))


def _blocks(rights: Rights, *, is_one: bool) -> Iterator[str]:
    if rights.notes:
        yield "\n".join(f"# {clean(each)}" for each in rights.notes)
    for role in rights.roles:
        yield _role(role, "" if is_one else _provider(account_of(role.arn)))
    for each in rights.shared:
        if each.is_kept:
            paths = ", ".join(each.patterns)
            yield f"# {clean(each.policy)}: the operator keeps the policy of the repositories {paths}."
        else:
            others = [other for other in rights.shared if other.host.account == each.host.account and not other.is_kept]
            yield _shared(
                each,
                _provider_of(each, others, is_one=is_one),
                _said_of_both(each, others),
                _listed_before(each, others),
            )


def _provider_of(shared: SharedSource, others: list[SharedSource], *, is_one: bool) -> str:
    if any(other.host.region != shared.host.region for other in others):
        return _provider(f"{shared.host.account}_{shared.host.region.replace('-', '_')}")
    return "" if is_one else _provider(shared.host.account)


def _listed_before(shared: SharedSource, others: list[SharedSource]) -> set[str]:
    """Repositories of earlier variables that get the same statement: one of two resources is enough."""
    earlier = others[: others.index(shared)]
    same = [other for other in earlier if (other.host, other.statement) == (shared.host, shared.statement)]
    return {name for other in same for name in other.patterns}


def _said_of_both(shared: SharedSource, others: list[SharedSource]) -> str:
    """What to do about a repository of two variables, whose policies would replace each other at every run."""
    near = [other.policy for other in others if other.host == shared.host and other is not shared]
    if not near:
        return ""
    names = clean(", ".join(near))
    return f"# A repository that {names} reads, too, goes into one variable, with all statements below it.\n"


def _provider(account: str) -> str:
    return f"  provider = aws.account_{account}\n"


def _role(role: RoleRights, provider: str) -> str:
    path, name = path_and_name(role.arn)
    label = role_in_terraform(role.arn)
    said = clean(f"# {role.arn}: {', '.join(role.tasks)}.")
    if role.trust_policy is None:
        # Who becomes it is not known here, so it is there already.
        return (
            f'{said}\nresource "aws_iam_role_policy" "{label}" {{\n{provider}  name   = "transship-read"\n'
            f"  role   = {_text(name)}\n  policy = {_json(role.policy)}\n}}"
        )
    where = f"  path = {_text(path)}\n" if path else ""
    return (
        f'{said}\nresource "aws_iam_role" "{label}" {{\n{provider}  name = {_text(name)}\n{where}'
        f"  assume_role_policy = {_json(role.trust_policy)}\n}}\n\n"
        f'resource "aws_iam_role_policy" "{label}" {{\n{provider}  name   = "transship"\n'
        f"  role   = aws_iam_role.{label}.id\n  policy = {_json(role.policy)}\n}}"
    )


def _shared(shared: SharedSource, provider: str, said: str, before: set[str]) -> str:
    label = source_in_terraform(shared.policy)
    names = json.dumps([each for each in shared.patterns if not set(each) & set("*?") and each not in before])
    return (
        f'{said}variable "{label}_repositories" {{\n'
        f'  description = "Repositories of {shared.host.account} in {shared.host.region} that fit '
        f'{", ".join(shared.patterns)}"\n  type        = set(string)\n  default     = {names}\n}}\n\n'
        f'resource "aws_ecr_repository_policy" "{label}" {{\n{provider}  for_each   = var.{label}_repositories\n'
        f"  repository = each.value\n"
        "  # This resource owns the whole document: add the statements of others here.\n"
        f"  policy = {_json(document_of([shared.statement]))}\n}}"
    )


def _json(document: Any) -> str:
    content = json.dumps(document, indent=2).replace("\n", "\n  ")
    return f"jsonencode({_escaped(content)})"


def _text(text: str) -> str:
    return _escaped(json.dumps(text))


def _escaped(text: str) -> str:
    """JSON as HCL: what would begin a template there is text here."""
    return text.replace("${", "$${").replace("%{", "%%{")
