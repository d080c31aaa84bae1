"""Rights in AWS as Terraform: roles with their policies, and the policies of source repositories that nobody keeps."""

import json
import re
from collections.abc import Iterator
from typing import Any

from transship.aws.pod import account_of
from transship.aws.rights import Rights, RoleRights, SharedSource, document_of
from transship.cli.output import clean

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def as_terraform(rights: Rights) -> str:
    """The configuration; with several accounts, each has a provider `aws.account_<id>`."""
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
            yield _shared(each, "" if is_one else _provider(each.host.account))


def _provider(account: str) -> str:
    return f"  provider = aws.account_{account}\n"


def _role(role: RoleRights, provider: str) -> str:
    *path, name = role.arn.partition(":role/")[2].split("/")
    label = _label(f"{'_'.join([*path, name])}_{account_of(role.arn)}")
    said = clean(f"# {role.arn}: {', '.join(role.tasks)}.")
    if role.trust_policy is None:
        # Who becomes it is not known here, so it is there already.
        return (
            f'{said}\nresource "aws_iam_role_policy" "{label}" {{\n{provider}  name   = "transship-read"\n'
            f"  role   = {_text(name)}\n  policy = {_json(role.policy)}\n}}"
        )
    where = f"  path = {_text('/' + '/'.join(path) + '/')}\n" if path else ""
    return (
        f'{said}\nresource "aws_iam_role" "{label}" {{\n{provider}  name = {_text(name)}\n{where}'
        f"  assume_role_policy = {_json(role.trust_policy)}\n}}\n\n"
        f'resource "aws_iam_role_policy" "{label}" {{\n{provider}  name   = "transship"\n'
        f"  role   = aws_iam_role.{label}.id\n  policy = {_json(role.policy)}\n}}"
    )


def _shared(shared: SharedSource, provider: str) -> str:
    label = _label(f"{shared.policy}_source")
    names = json.dumps([each for each in shared.patterns if not set(each) & set("*?")])
    return (
        f'variable "{label}_repositories" {{\n'
        f'  description = "Repositories of {shared.host.account} in {shared.host.region} that fit '
        f'{", ".join(shared.patterns)}"\n  type        = set(string)\n  default     = {names}\n}}\n\n'
        f'resource "aws_ecr_repository_policy" "{label}" {{\n{provider}  for_each   = var.{label}_repositories\n'
        f"  repository = each.value\n"
        "  # This resource owns the whole document: add the statements of others here.\n"
        f"  policy = {_json(document_of([shared.statement]))}\n}}"
    )


def _label(text: str) -> str:
    label = _NOT_IN_NAMES.sub("_", text)
    return label if not label[0].isdigit() else f"_{label}"


def _json(document: Any) -> str:
    content = json.dumps(document, indent=2).replace("\n", "\n  ")
    return f"jsonencode({_escaped(content)})"


def _text(text: str) -> str:
    return _escaped(json.dumps(text))


def _escaped(text: str) -> str:
    """JSON as HCL: what would begin a template there is text here."""
    return text.replace("${", "$${").replace("%{", "%%{")
