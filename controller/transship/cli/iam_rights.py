"""What `transship policy iam` works with: rights in AWS from PromotionPolicies, printed as they are asked for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import typer

from transship.aws.hosts import EcrHost
from transship.aws.pod import Pod, account_of
from transship.aws.rights import Rights, rights_of
from transship.cli.configuration import read_files
from transship.cli.iam_cloudformation import as_cloudformation, beyond_cloudformation
from transship.cli.iam_document import as_document, as_table
from transship.cli.iam_options import IamFormat, OperatorOptions
from transship.cli.iam_terraform import as_terraform
from transship.cli.output import Format, Output
from transship.errors import NeedsHuman, Reason
from transship.promotion.desired import ROLE_ARN
from transship.promotion.policy import PromotionPolicy

_ACCOUNT = r"[0-9]{12}", "111111111111"
_ISSUER = r"https://[A-Za-z0-9._/-]+", "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "transship"
_CLUSTER = r"arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]+", "arn:aws:eks:REGION:ACCOUNT:cluster/NAME"


def print_rights(
    files: Iterable[str], operator: OperatorOptions, output: IamFormat, account: str, *, read_only: bool
) -> None:
    """Print what the policies of files need; what should be known about it goes to standard error.

    Raises:
        PolicyError, NeedsHuman: the policies or the options cannot be used.
    """
    for name, text, form in (
        ("account", account, _ACCOUNT),
        ("oidc-issuer", operator.oidc_issuer, _ISSUER),
        ("cluster-arn", operator.cluster_arn, _CLUSTER),
        ("namespace", operator.namespace, _NAME),
        ("service-account", operator.service_account, _NAME),
    ):
        if (text or form is _NAME) and not re.fullmatch(form[0], text):
            raise NeedsHuman(Reason.INVALID_REQUEST, f"--{name} {text[:80]!r} must be like {form[1]}")
    policies = read_files(files).policies
    role = operator.operator_role or _default_role(policies)
    for name, arn in (("operator-role", role), ("admission-role", operator.admission_role)):
        if arn and not ROLE_ARN.match(arn):
            raise NeedsHuman(
                Reason.INVALID_REQUEST, f"--{name} {arn[:80]!r} must be like arn:aws:iam::222222222222:role/name"
            )
    pod = Pod(operator.namespace, operator.service_account, operator.oidc_issuer, operator.cluster_arn)
    rights = _only(account, rights_of(policies, role, pod, admission=operator.admission_role, read_only=read_only))
    _show(rights, output)
    if output in {IamFormat.TABLE, IamFormat.CLOUDFORMATION}:
        beyond = beyond_cloudformation(rights) if output is IamFormat.CLOUDFORMATION else []
        for note in (*rights.notes, *beyond):
            typer.echo(f"note: {note}", err=True)
    if operator.operator_role is None:
        typer.echo(f"note: --operator-role is taken to be {role}", err=True)


def _show(rights: Rights, output: IamFormat) -> None:
    if output is IamFormat.TERRAFORM:
        typer.echo(as_terraform(rights))
    elif output is IamFormat.CLOUDFORMATION:
        typer.echo(as_cloudformation(rights))
    else:
        Output(Format(output)).show(as_document(rights), lambda: as_table(rights))


def _default_role(policies: Sequence[PromotionPolicy]) -> str:
    """The operator's role where the operator can be taken to run in the destination's account.

    Raises:
        NeedsHuman: it cannot.
    """
    hosts = {EcrHost.of(each.destination.registry) for each in policies}
    accounts = {(host.partition, host.account) for host in hosts if host is not None}
    if len(accounts) != 1 or any(each.destination.role_arn for each in policies):
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            "the policies do not tell in which account the operator runs; name its role with --operator-role",
        )
    ((partition, account),) = accounts
    return f"arn:{partition}:iam::{account}:role/transship"


def _only(account: str, rights: Rights) -> Rights:
    if not account:
        return rights
    roles = tuple(each for each in rights.roles if account_of(each.arn) == account)
    shared = tuple(each for each in rights.shared if each.host.account == account)
    if not roles and not shared:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"the policies need nothing of account {account}")
    return replace(rights, roles=roles, shared=shared)
