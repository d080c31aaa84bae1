"""`transship history`: which digest was promoted where, when, by whom and from which revision."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import KubeOrAll
from transship.cli.output import Output


@command
def history(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="repository or reference of source or destination; without a registry the end of a path will do: "
            "checkout, shop/checkout:v1.4.2",
        ),
    ],
    *,
    kube: KubeOrAll,
    out: Output,
) -> None:
    """Say which digests of an image were promoted: where, when, who asked, and from which revision.

    It is read from the PromotionRequests there are: the operator keeps the newest of each workload or hook
    (TRANSSHIP_HISTORY_LIMIT). The last comes first.
    """
    from transship.cli.histories import show  # noqa: PLC0415 - see `command`

    show(image, kube, out)
