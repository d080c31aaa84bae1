"""`transship set-image`: another version in an overlay, written where the overlay says it, and shown."""

from pathlib import Path
from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.overlay_options import PolicyOptions, Rendering


@command
def set_image_command(  # noqa: PLR0913 - a command's options
    overlay: Annotated[Path, typer.Argument(metavar="OVERLAY", help="folder with a kustomization")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE", help="NAME:TAG, NAME@DIGEST or both; NAME as the overlay has it", show_default=False
        ),
    ] = None,
    *,
    pin: Annotated[bool, typer.Option("--pin", help="write the digest that the tag has at the source now")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="OVERLAY", help="take the versions that another overlay runs, of all images"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="write nothing; exit code 2 if something would be")
    ] = False,
    override: Annotated[
        bool, typer.Option("--override", help="add an entry to images: where a base or component has decided already")
    ] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Name another version of an image in an overlay, and show what changes.

    Only the image changes: by `images:`, a patch or a line of a resource, wherever the overlay sets it. What would take
    a guess is refused. The overlay is rendered with the edit before anything is written.
    """
    from transship.cli.edits import Asked, Told, edit, show  # noqa: PLC0415 - see `command`

    asked = Asked(overlay, tuple(names or ()), source, pin=pin, override=override)
    edited, edits = edit(asked, rendering, policies, kube, out)
    told = Told.of(edited, edits)
    if not dry_run:
        edited.write()
    show(told, out)
    raise typer.Exit(Exit.SOMETHING_TO_DO if dry_run and told.files else Exit.OK)
