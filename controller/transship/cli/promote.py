"""`transship promote`: the operator's work for a pipeline without a cluster, or handed to the operator and followed."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.overlay_options import Files, Overlays, PolicyOptions, Rendering
from transship.errors import NeedsHuman, Reason


@command
def promote_command(  # noqa: PLR0913 - a command's options
    overlays: Overlays = None,
    *,
    filename: Files = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="let the cluster's operator do it, through a PromotionRequest, and follow it"),
    ] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="how long what heals by itself is tried again")
    ] = "30m",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="show no progress")] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Promote the images of overlays, and prove that they are there.

    No cluster is needed: the policies are those of transship.yaml, the rights those of whoever runs it. Ctrl-C leaves
    no tag of an image that is not complete.

    Exit code 0: every image is proven at its destination, 1: one is not. With --wait, 3 when the time is over, and from
    10 on the reason why a request has stalled.
    """
    from transship.cli.inputs import read_inputs  # noqa: PLC0415 - see `command`
    from transship.cli.promotions import follow, promote  # noqa: PLC0415

    _check(timeout)
    inputs = read_inputs(overlays or [], filename or [], rendering)
    if wait:
        if policies.policy:
            raise NeedsHuman(Reason.INVALID_REQUEST, "with --wait the cluster's policies hold; leave --policy out")
        follow(inputs, timeout, kube, out, quiet=quiet)
    else:
        promote(inputs, timeout, policies, kube, out, quiet=quiet)


def _check(timeout: str) -> None:
    from transship.promotion.duration import parse_duration  # noqa: PLC0415 - see `command`

    try:
        parse_duration(timeout)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"--timeout: {error}") from error
