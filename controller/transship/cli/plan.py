"""`transship plan`: what promoting would do, said before the merge by somebody who may only read."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.command import OptionGroup, command
from transship.cli.engine import Stop, build_promoter
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import Input, Overlays, PolicyOptions, Rendering, read_inputs
from transship.cli.kube import Kube
from transship.cli.looking import Looking
from transship.cli.output import Format, Output
from transship.cli.plan_document import document
from transship.cli.plan_text import markdown, text
from transship.cli.planning import Planned, plan, wanted_images
from transship.cli.registries import build_registries

MARKDOWN = "markdown"

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--filename", "-f", metavar="FILE", help="YAML that has been rendered; - is standard input; may be repeated"
    ),
]


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
    plain = out.plain
    inputs = read_inputs(overlays or [], filename or [], rendering)
    plans = plan_all(inputs, policies, kube, plain)
    names = [str(each.destination) for planned in plans for each in planned.images if each.is_to_do]
    if out.output is PlanFormat.MARKDOWN:
        plain.print(markdown(plans))
    else:
        plain.show(document(plans), lambda: "\n\n".join(text(each, verbose=out.verbose) for each in plans), names)
    raise typer.Exit(status(plans))


def plan_all(inputs: Sequence[Input], policies: PolicyOptions, kube: Kube, out: Output) -> list[Planned]:
    """The plan of each overlay or stream.

    Raises:
        PolicyError, NeedsHuman, RetryLater: the plan could not even be begun.
    """
    settings = load_settings(Exit.ERROR)
    folders = dict.fromkeys(each.folder for each in inputs)
    found = {folder: policies.read(folder, kube, out) for folder in folders}
    looking = Looking(build_registries(settings))
    promoter = build_promoter(settings, looking, Stop())  # nothing is written, so Ctrl-C may end it as it comes
    plans = []
    for each in inputs:
        out.detail(f"looking at {each.name}")
        wanted = wanted_images(each.images, kube.namespace or "")
        images = plan(wanted, found[each.folder], looking, promoter)
        plans.append(Planned(each.name, found[each.folder].origin, images))
    return plans


def status(plans: Sequence[Planned]) -> Exit:
    """The exit code of plans."""
    if any(each.is_wrong for each in plans):
        return Exit.ERROR
    return Exit.SOMETHING_TO_DO if any(each.is_to_do for each in plans) else Exit.OK
