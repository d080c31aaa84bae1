"""`transship plan`: what promoting would do, said before the merge by somebody who may only read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import Kube
from transship.cli.options import OptionGroup
from transship.cli.output import Format, Output
from transship.cli.overlay_options import Files, Overlays, PolicyOptions, Rendering

MARKDOWN = "markdown"


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    MARKDOWN = MARKDOWN


@dataclass(frozen=True, slots=True)
class PlanOutput(OptionGroup):
    """As `Output`, with one form more."""

    output: Annotated[
        PlanFormat,
        typer.Option("--output", "-o", help="how the plan is printed: markdown is for comments on pull requests"),
    ] = PlanFormat.TABLE
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="say who names each image and what it costs, and what is being done")
    ] = False
    no_color: Annotated[bool, typer.Option("--no-color", help="print no colours, as NO_COLOR in the environment")] = (
        False
    )

    @property
    def plain(self) -> Output:
        """The output of other commands; Markdown is text there."""
        is_markdown = self.output is PlanFormat.MARKDOWN
        return Output(Format.TABLE if is_markdown else Format(self.output), self.verbose, self.no_color)


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
