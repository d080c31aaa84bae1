"""How the rights are printed that policies need, and of whom."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.options import OptionGroup


class IamFormat(StrEnum):
    """How rights are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    TERRAFORM = "terraform"
    CLOUDFORMATION = "cloudformation"


@dataclass(frozen=True, slots=True)
class OperatorOptions(OptionGroup):
    """As whom the operator runs."""

    operator_role: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="IAM role as whom the operator runs; by default role/transship in the destination's account, where "
            "no policy names a destination.roleArn",
        ),
    ] = None
    admission_role: Annotated[
        str, typer.Option(metavar="ARN", help="IAM role as whom the admission webhook runs, if there is one")
    ] = ""
    oidc_issuer: Annotated[
        str, typer.Option(metavar="URL", help="the cluster's OIDC issuer: trust by IRSA instead of EKS Pod Identity")
    ] = ""
    cluster_arn: Annotated[
        str, typer.Option(metavar="ARN", help="trust only this EKS cluster's Pod Identity, not every one's")
    ] = ""
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="of the operator's ServiceAccount")] = (
        "transship-system"
    )
    service_account: Annotated[str, typer.Option(metavar="NAME", help="the operator's ServiceAccount")] = "transship"
