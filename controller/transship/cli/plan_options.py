"""How plans are printed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.options import OptionGroup
from transship.cli.output import Format, Output

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
