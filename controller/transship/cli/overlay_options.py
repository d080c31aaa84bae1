"""The options of commands that work on overlays: which ones, how they are rendered, and by which policies."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transship.cli.kube import Kube
from transship.cli.options import OptionGroup
from transship.cli.output import Output
from transship.cli.policy_options import CONFIGURATION
from transship.errors import NeedsHuman, Reason

if TYPE_CHECKING:
    from transship.cli.configuration import Configuration
    from transship.kustomization.render import Options

Overlays = Annotated[
    list[Path] | None, typer.Argument(metavar="OVERLAY", help="folders with a kustomization", show_default=False)
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--filename", "-f", metavar="FILE", help="YAML that has been rendered; - is standard input; may be repeated"
    ),
]


@dataclass(frozen=True, slots=True)
class Rendering(OptionGroup):
    """How overlays are rendered."""

    kustomize: Annotated[
        str,
        typer.Option(
            "--kustomize",
            metavar="PROGRAM",
            help="kustomize or kubectl; TRANSSHIP_KUSTOMIZE, else what is on PATH",
            show_default=False,
        ),
    ] = ""
    enable_helm: Annotated[bool, typer.Option("--enable-helm", help="run helm for charts that overlays inflate")] = (
        False
    )
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="fetch bases that overlays name by URL")] = False

    @property
    def options(self) -> "Options":
        """The options of the renderer."""
        from transship.kustomization.render import Options  # noqa: PLC0415 - see `command`

        return Options(program=self.kustomize, allow_helm=self.enable_helm, allow_remote=self.allow_remote)


@dataclass(frozen=True, slots=True)
class PolicyOptions(OptionGroup):
    """Where the policies are."""

    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help=f"YAML with PromotionPolicies, instead of {CONFIGURATION} beside the overlay or above it; may be "
            "repeated",
        ),
    ] = None
    from_cluster: Annotated[bool, typer.Option("--from-cluster", help="go by the PromotionPolicies of the cluster")] = (
        False
    )

    def read(self, folder: Path, kube: Kube, out: Output) -> "Configuration":
        """The policies for what is in a folder.

        Raises:
            PolicyError: there is none, or one cannot be used.
            NeedsHuman, RetryLater: of the cluster.
        """
        from transship.cli import configuration  # noqa: PLC0415 - see `command`

        if self.policy and self.from_cluster:
            raise NeedsHuman(Reason.INVALID_REQUEST, "--policy and --from-cluster exclude each other; choose one")
        if self.from_cluster:
            found = configuration.read_cluster(kube.connect(out).cluster)
        else:
            found = configuration.read_files(self.policy) if self.policy else configuration.read_beside(folder)
        for problem in found.problems:
            out.say(f"transship: {problem}")
        out.detail(f"policies of {found.origin}: {', '.join(each.name for each in found.policies)}")
        return found
