"""`transship plan`: what promoting would do, said before the merge by somebody who may only read."""

import typer

from transship.cli.command import command
from transship.cli.kube import Kube
from transship.cli.overlay_options import Files, Overlays, PolicyOptions, Rendering
from transship.cli.plan_options import PlanOutput


@command
def plan_command(  # noqa: PLR0913 - a command's options
    overlays: Overlays = None,
    *,
    filename: Files = None,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: PlanOutput,
) -> None:
    """Say what promoting the images of overlays would do. Nothing is written: rights to read are enough.

    Exit code 0: nothing to do, 2: something to do, 1: an image cannot be promoted as it is, or an error.
    """
    from transship.cli.inputs import read_inputs  # noqa: PLC0415 - see `command`
    from transship.cli.plans import plan_all, show, status  # noqa: PLC0415

    plans = plan_all(read_inputs(overlays or [], filename or [], rendering), policies, kube, out.plain)
    show(plans, out)
    raise typer.Exit(status(plans))
