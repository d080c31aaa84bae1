"""`transship check`: overlays before they are committed, for people, pre-commit and pipelines."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.overlay_options import Files, Overlays, PolicyOptions, Rendering
from transship.errors import NeedsHuman, Reason
from transship.kustomization import HOOK


@command
def check_command(  # noqa: PLR0913 - a command's options
    overlays: Overlays = None,
    *,
    filename: Files = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="demand a digest of every image")] = False,
    no_hook: Annotated[
        bool, typer.Option("--no-hook", help="do not ask for a hook or PromotionRequest that names every image")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help=f"write {HOOK}, and add it to the overlay's resources")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="ask no registry")] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Check that every image of overlays is pinned, exists at the source, and that a hook names it.

    Images that no policy speaks of are passed over. Only the source is asked, and only for what exists there.

    Exit code 0: nothing was found, 2: only what --fix mends, 1: something else, or an error.
    """
    from transship.cli.checks import Asked, check_all, show, status  # noqa: PLC0415 - see `command`
    from transship.cli.inputs import read_inputs  # noqa: PLC0415

    inputs = read_inputs(overlays or [], filename or [], rendering)
    if fix and filename:
        raise NeedsHuman(Reason.INVALID_REQUEST, "--fix writes into overlays; leave -f out")
    asked = Asked(pinned=pinned, hook=not no_hook, fix=fix, offline=offline)
    found = check_all(inputs, asked, rendering, policies, kube, out)
    show(found, out)
    raise typer.Exit(status(found))
