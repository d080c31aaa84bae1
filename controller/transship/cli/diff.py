"""`transship diff`: what runs there and not here, of two overlays or two registries."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.overlay_options import PolicyOptions, Rendering
from transship.errors import NeedsHuman, Reason


@command
def diff_command(  # noqa: PLR0913 - a command's options
    first: Annotated[str, typer.Argument(metavar="THERE", help="an overlay, or a registry with or without a path")],
    second: Annotated[str, typer.Argument(metavar="HERE", help="what to compare it with, of the same kind")],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="ask no registry; overlays only")] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Compare two overlays, or two registries: images, tags, digests and ages.

    Images are the same where the policies say that one is promoted to the other, or where their paths are the same.
    A path is that of one repository, or of all that are below it. Of a registry that is not ECR one repository is
    compared, and it tells no age.

    Exit code 0: no difference, 2: a difference, 1: an error.
    """
    from transship.cli.comparison import compare, is_overlay, show, tell_problems  # noqa: PLC0415 - see `command`

    if is_overlay(first) != is_overlay(second):
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "one of them is a folder and the other is not; name two overlays or two registries"
        )
    found, versions = compare((first, second), rendering, policies, kube, out, is_offline=offline)
    show(found, (first, second), out)
    if not tell_problems(versions, out):
        raise typer.Exit(Exit.ERROR)
    raise typer.Exit(Exit.SOMETHING_TO_DO if found else Exit.OK)
