"""Rights in AWS as CloudFormation: a template for each account, with its roles and their policies."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from transship.aws.pod import account_of
from transship.aws.rights import Rights, RoleRights, SharedSource, document_of
from transship.cli.iam_names import path_and_name, role_in_cloudformation
from transship.errors import NeedsHuman, Reason


def as_cloudformation(rights: Rights) -> str:
    """A YAML document for each account that has roles.

    Raises:
        NeedsHuman: InvalidRequest: none has.
    """
    accounts = sorted({account_of(each.arn) for each in rights.roles})
    if not accounts:
        raise NeedsHuman(Reason.INVALID_REQUEST, "; ".join(beyond_cloudformation(rights)) or "there is no role to make")
    texts = [
        yaml.dump(_template(account, rights), Dumper=_Plain, sort_keys=False, width=120).rstrip()
        for account in accounts
    ]
    return "\n---\n".join(texts)


def beyond_cloudformation(rights: Rights) -> list[str]:
    """What is needed and CloudFormation cannot make: it has no resource for the policy of a repository that exists."""
    return [
        f"CloudFormation has no resource for the statement that the repositories {', '.join(each.patterns)} of "
        f"{each.host.account} in {each.host.region} need for {each.policy}; transship policy apply puts it there, and "
        "-o json prints it"
        for each in rights.shared
        if not each.is_kept
    ]


class _Plain(yaml.SafeDumper):
    """Writes what comes twice twice: CloudFormation takes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _template(account: str, rights: Rights) -> Mapping[str, Any]:
    roles = [each for each in rights.roles if account_of(each.arn) == account]
    shared = [each for each in rights.shared if each.host.account == account and not each.is_kept]
    metadata = {"Metadata": {"Transship": _metadata(rights.notes, shared)}} if rights.notes or shared else {}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What Transship may do as somebody of account {account}",
        **metadata,
        "Resources": dict(map(_resource, roles)),
    }


def _metadata(notes: Iterable[str], shared: Iterable[SharedSource]) -> Mapping[str, Any]:
    return {
        "Notes": list(notes),
        "RepositoryPolicies": [
            {"Region": each.host.region, "Repositories": list(each.patterns), "Policy": document_of([each.statement])}
            for each in shared
        ],
    }


def _resource(role: RoleRights) -> tuple[str, Mapping[str, Any]]:
    path, name = path_and_name(role.arn)
    label = role_in_cloudformation(role.arn)
    if role.trust_policy is None:
        # Who becomes it is not known here, so it is there already.
        properties = {"PolicyName": "transship-read", "RoleName": name, "PolicyDocument": role.policy}
        return label, {"Type": "AWS::IAM::RolePolicy", "Properties": properties}
    return label, {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            **({"Path": path} if path else {}),
            "Description": ", ".join(role.tasks)[:1000],
            "AssumeRolePolicyDocument": role.trust_policy,
            "Policies": [{"PolicyName": "transship", "PolicyDocument": role.policy}],
        },
    }
