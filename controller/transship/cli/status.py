"""`transship status`: where promotions stand, as kubectl shows it, and image by image."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import KubeOrAll
from transship.cli.naming import For, owner_named, request_named
from transship.cli.output import Output
from transship.errors import NeedsHuman, Reason


@command
def status(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="one PromotionRequest; all by default")] = None,
    *,
    owner: For = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="follow what changes, until Ctrl-C")] = False,
    kube: KubeOrAll,
    out: Output,
) -> None:
    """Show the PromotionRequests of a namespace or of all, and how far they are; of one, image by image.

    The columns are those of `kubectl get promotionrequests.transship.dev`.
    """
    from transship.cli.standing import View  # noqa: PLC0415 - see `command`

    if name is not None and kube.all_namespaces:
        raise NeedsHuman(Reason.INVALID_REQUEST, "a NAME belongs to one namespace: say --namespace instead of -A")
    wanted = None if name is None else request_named(name)
    view = View(kube.connect(out), wanted, None if owner is None else owner_named(owner), out)
    if watch:
        view.follow()
    else:
        view.once()
