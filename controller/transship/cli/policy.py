"""`transship policy`: PromotionPolicies checked, and the cross-account statement of source repositories."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.output import Output
from transship.cli.policy_iam import iam
from transship.cli.policy_options import Files
from transship.cli.policy_rules import decide, lint

app = typer.Typer(
    name="policy",
    help="Check PromotionPolicies, and keep the statement that lets the destination's account pull from the source.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(lint)
app.command("test")(decide)
app.command()(iam)

Paths = Annotated[
    list[str] | None, typer.Argument(help="Repositories, by their path in the source registry: shop/checkout")
]
Everything = Annotated[
    bool,
    typer.Option("--all", help="Every repository of the source that matches the policies, by DescribeRepositories"),
]
Account = Annotated[
    str | None,
    typer.Option(
        help="Account of whoever reads the source, twelve digits: that of the policy's source.roleArn, else the "
        "destination registry's. Name it for an operator that reads as itself from a third account."
    ),
]
Patience = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to try again for while AWS does not know a principal yet")
]


@app.command()
def show(
    files: Files,
    paths: Paths = None,
    *,
    account: Account = None,
    terraform: Annotated[bool, typer.Option(help="Print aws_ecr_repository_policy resources instead of JSON")] = False,
) -> None:
    """Print the statement that a policy wants, as a policy document of its own. AWS is not asked anything."""
    from transship.cli.statements import Asked, show_statements  # noqa: PLC0415 - see `command`

    show_statements(Asked(files, paths, account), as_terraform=terraform)


@app.command()
@command
def diff(
    files: Files, paths: Paths = None, *, account: Account = None, everything: Everything = False, out: Output
) -> None:
    """Compare the statement with what is there. Exit code 0: the same, 2: something differs, 1: an error."""
    from transship.cli.statements import Asked, compare_statements  # noqa: PLC0415 - see `command`

    compare_statements(Asked(files, paths, account, everything=everything), out)


@app.command()
@command
def apply(  # noqa: PLR0913 - a command's options
    files: Files,
    paths: Paths = None,
    *,
    account: Account = None,
    everything: Everything = False,
    patience: Patience = 60.0,
    out: Output,
) -> None:
    """Put the statement in place; statements of others are left as they are."""
    from transship.cli.statements import Asked, apply_statements  # noqa: PLC0415 - see `command`

    apply_statements(Asked(files, paths, account, everything=everything), patience, out)


@app.command()
@command
def remove(  # noqa: PLR0913 - a command's options
    files: Files,
    paths: Paths = None,
    *,
    account: Account = None,
    everything: Everything = False,
    patience: Patience = 60.0,
    out: Output,
) -> None:
    """Take the statement away, whatever it says; statements of others are left as they are.

    It is known by its Sid, which names the account. An operator whose policy says managePolicy would put it back:
    change the policy first.
    """
    from transship.cli.statements import Asked, remove_statements  # noqa: PLC0415 - see `command`

    remove_statements(Asked(files, paths, account, everything=everything), patience, out)
