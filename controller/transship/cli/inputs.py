"""What a command is to work on: overlays, or rendered YAML; and the policies that hold there."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from transship.cli import configuration
from transship.cli.command import OptionGroup
from transship.cli.configuration import Configuration
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.errors import NeedsHuman, Reason
from transship.kustomization import render
from transship.kustomization.found import FoundImage, images
from transship.kustomization.render import Options, Rendered, Renderer, read_stream

STANDARD_INPUT = "-"

Overlays = Annotated[
    list[Path] | None, typer.Argument(metavar="OVERLAY", help="folders with a kustomization", show_default=False)
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
    def options(self) -> Options:
        """The options of the renderer."""
        return Options(program=self.kustomize, allow_helm=self.enable_helm, allow_remote=self.allow_remote)


@dataclass(frozen=True, slots=True)
class PolicyOptions(OptionGroup):
    """Where the policies are."""

    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help=f"YAML with PromotionPolicies, instead of {configuration.FILE} beside the overlay or above it; may be "
            "repeated",
        ),
    ] = None
    from_cluster: Annotated[bool, typer.Option("--from-cluster", help="go by the PromotionPolicies of the cluster")] = (
        False
    )

    def read(self, folder: Path, kube: Kube, out: Output) -> Configuration:
        """The policies for what is in a folder.

        Raises:
            PolicyError: there is none, or one cannot be used.
            NeedsHuman, RetryLater: of the cluster.
        """
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


@dataclass(frozen=True, slots=True)
class Input:
    """One overlay or stream, rendered.

    Attributes:
        name: what the user called it.
        folder: where its policies are looked for.
    """

    name: str
    folder: Path
    rendered: Rendered

    @property
    def images(self) -> Sequence[FoundImage]:
        """All images in it."""
        return images(self.rendered)


def read_inputs(overlays: Sequence[Path], files: Sequence[str], rendering: Rendering) -> list[Input]:
    """Render overlays and read files.

    Args:
        overlays: folders.
        files: YAML that has been rendered; - is standard input.
        rendering: how.

    Raises:
        NeedsHuman: InvalidRequest: there is nothing to read, or something cannot be read.
    """
    if not overlays and not files:
        raise NeedsHuman(Reason.INVALID_REQUEST, "name an overlay, or rendered YAML with -f FILE (- is standard input)")
    renderer = Renderer(rendering.options) if overlays else None
    found = [Input(str(each), each, _render(renderer, each)) for each in overlays if renderer is not None]
    return found + [Input(each, _folder(each), read_stream(_text(each), each)) for each in files]


def _render(renderer: Renderer, overlay: Path) -> render.Rendered:
    if not overlay.is_dir():
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{overlay} is not a folder; name one that has a kustomization")
    return renderer.render(overlay)


def _folder(file: str) -> Path:
    return Path() if file == STANDARD_INPUT else Path(file).parent


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{file} cannot be read: {why}") from error
