"""`transship policy iam`: the IAM policies that PromotionPolicies need, and nothing more."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.options import OptionGroup


class IamFormat(StrEnum):
    """How rights are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    TERRAFORM = "terraform"
    CLOUDFORMATION = "cloudformation"


@dataclass(frozen=True, slots=True)
class OperatorOptions(OptionGroup):
    """As whom the operator runs."""

    operator_role: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="IAM role as whom the operator runs; by default role/transship in the destination's account, where "
            "no policy names a destination.roleArn",
        ),
    ] = None
    admission_role: Annotated[
        str, typer.Option(metavar="ARN", help="IAM role as whom the admission webhook runs, if there is one")
    ] = ""
    oidc_issuer: Annotated[
        str, typer.Option(metavar="URL", help="the cluster's OIDC issuer: trust by IRSA instead of EKS Pod Identity")
    ] = ""
    cluster_arn: Annotated[
        str, typer.Option(metavar="ARN", help="trust only this EKS cluster's Pod Identity, not every one's")
    ] = ""
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="of the operator's ServiceAccount")] = (
        "transship-system"
    )
    service_account: Annotated[str, typer.Option(metavar="NAME", help="the operator's ServiceAccount")] = "transship"


@command
def iam(
    files: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            help="YAML with PromotionPolicies, transship.yaml too; - is standard input. May be repeated.",
        ),
    ],
    *,
    operator: OperatorOptions,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", help="Only what `transship plan` takes, for the people or pipelines of --operator-role"
        ),
    ] = False,
    account: Annotated[str, typer.Option(help="Only what belongs into this account, twelve digits")] = "",
    output: Annotated[
        IamFormat,
        typer.Option("--output", "-o", help="how they are printed: for people, for programs, or ready to be deployed"),
    ] = IamFormat.TABLE,
) -> None:
    """Print the IAM policies that PromotionPolicies need, and nothing more. AWS is not asked anything.

    For each role: its own policy and its trust policy; for source repositories in another account than their reader:
    the statement of their repository policy. What should be known about them is said on standard error.
    """
    from transship.cli.iam_rights import print_rights  # noqa: PLC0415 - see `command`

    print_rights(files, operator, output, account, read_only=read_only)
