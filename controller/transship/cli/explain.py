"""`transship explain`: why a request does not go on, or what would become of an image."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.naming import For, is_request, owner_named, request_named
from transship.cli.output import Output
from transship.cli.policy_options import FilesOrCluster
from transship.errors import NeedsHuman, Reason


@command
def explain_command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|IMAGE", help="PromotionRequests; or destination references, as a workload names them"
        ),
    ] = None,
    *,
    owner: For = None,
    files: FilesOrCluster = None,
    kube: Kube,
    out: Output,
) -> None:
    """Say why a PromotionRequest does not go on and what to do, or what would become of an image.

    An image is checked with read-only calls as both identities of the policies that cover it; which namespaces may use
    them is not checked. Exit code 1: a request has stalled, or something is missing.
    """
    from transship.cli.explaining import Asked, show  # noqa: PLC0415 - see `command`

    if not targets and owner is None:
        raise NeedsHuman(Reason.INVALID_REQUEST, "name a PromotionRequest or an image, or a workload or hook by --for")
    images = [each for each in targets or () if not is_request(each)]
    names = [request_named(each) for each in targets or () if is_request(each)]
    if files and (names or owner is not None):
        raise NeedsHuman(Reason.INVALID_REQUEST, f"-f is for images, and {(*names, owner)[0]} is not one")
    asked = Asked(tuple(images), tuple(names), None if owner is None else owner_named(owner), tuple(files or ()))
    if not show(asked, kube, out):
        out.say("transship: a request has stalled, or something is missing")
        raise typer.Exit(Exit.ERROR)
