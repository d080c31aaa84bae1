"""`transship policy lint` and `transship policy test`: policies checked before they count, and asked which decides."""

from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.policy_options import CONFIGURATION


@command
def lint(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="YAML with PromotionPolicies, transship.yaml too; - is standard input"),
    ],
    *,
    out: Output,
) -> None:
    """Say everything that is wrong with the PromotionPolicies in files, with line numbers.

    It is what the API server would refuse, what the operator would tell in the Ready condition, and what policies in
    these files cover twice. Neither is asked. Exit code 1: something is wrong.

    A file may have 1 MiB and stand for 20,000 values; up to 2,000 patterns of repositories are compared.
    """
    from transship.cli.linting import lint_files  # noqa: PLC0415 - see `command`

    lint_files(files, out)


@command
def decide(  # noqa: PLR0913 - a command's options
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="destination reference, as a workload names it")],
    *,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            help=f"YAML with PromotionPolicies, instead of {CONFIGURATION} in this folder or above it, and of the "
            "cluster's; - is standard input. May be repeated.",
        ),
    ] = None,
    from_cluster: Annotated[
        bool, typer.Option("--from-cluster", help="go by the PromotionPolicies of the cluster")
    ] = False,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels", metavar="KEY=VALUE", help="labels of the namespace, instead of the cluster's; may be repeated"
        ),
    ] = None,
    only: Annotated[
        str, typer.Option("--policy", metavar="NAME", help="the only policy to go by, as spec.policy of a request")
    ] = "",
    kube: Kube,
    out: Output,
) -> None:
    """Say which policy decides about an image in a namespace, by which rule, and what the others lack.

    The policies are those of transship.yaml in this folder or above it in its git repository, as for overlays here, and
    where there is none, the cluster's. Nothing is asked of a registry. Exit code 1: the image would not be promoted.
    """
    from transship.cli.deciding import Asked, decide_image  # noqa: PLC0415 - see `command`

    decide_image(image, Asked(files or (), from_cluster, labels or (), only), kube, out)
