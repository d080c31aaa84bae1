"""The options by which commands are given PromotionPolicies."""

from typing import Annotated

import typer

CONFIGURATION = "transship.yaml"
"""The file of policies beside overlays."""

_FILE = typer.Option("--file", "-f", help="YAML with PromotionPolicies; - is standard input. May be repeated.")
Files = Annotated[list[str], _FILE]
FilesOrCluster = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        help="YAML with PromotionPolicies, instead of the cluster's; - is standard input. May be repeated.",
    ),
]
