"""`transship policy iam`: the IAM policies that PromotionPolicies need, and nothing more."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.iam_options import IamFormat, OperatorOptions


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
