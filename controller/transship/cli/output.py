"""How commands speak: results on standard output in the form that was asked for, messages on standard error.

What comes from a cluster or a registry is text of strangers: control characters in it are shown, never sent to the
terminal.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from transship.cli.options import OptionGroup

_GAP = 3


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Colour(StrEnum):
    """Colours by what they mean."""

    GOOD = typer.colors.GREEN
    BAD = typer.colors.RED
    BUSY = typer.colors.YELLOW
    NOTE = typer.colors.CYAN


@dataclass(frozen=True, slots=True)
class Cell:
    """A word of a table that has a colour."""

    text: str
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Output(OptionGroup):
    """The options of every command, and where it speaks."""

    output: Annotated[
        Format, typer.Option("--output", "-o", help="how the result is printed: for people, or for programs")
    ] = Format.TABLE
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say on standard error what is being done")] = False
    no_color: Annotated[
        bool,
        typer.Option("--no-color", help="print no colours, as NO_COLOR in the environment; nor where nobody looks"),
    ] = False

    def show(self, document: Any, text: Callable[[], str], names: Iterable[str] = ()) -> None:
        """Print a result.

        Args:
            document: what programs get, as JSON has it.
            text: makes what people get.
            names: what `-o name` prints, one a line.
        """
        if self.output is Format.JSON:
            self.print(json.dumps(document, indent=2))
        elif self.output is Format.YAML:
            self.print(as_yaml(document))
        elif self.output is Format.NAME:
            self.print("\n".join(clean(each) for each in names))
        else:
            self.print(text())

    def print(self, text: str) -> None:
        """Print on standard output; nothing when there is nothing."""
        if text:
            typer.echo(text, color=self._color)

    def say(self, message: str) -> None:
        """Tell something on standard error."""
        typer.echo(message, err=True, color=self._color)

    def detail(self, message: str) -> None:
        """Tell something that only -v asks for."""
        if self.verbose:
            self.say(clean(message))

    @property
    def _color(self) -> bool | None:
        """False for none; None lets the stream decide, which has to be a terminal."""
        return False if self.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def as_yaml(document: Any) -> str:
    """A document as YAML, without a line's end: of what JSON would say, as YAML knows no words of enumerations."""
    import yaml  # noqa: PLC0415 - what nobody needs who asks for help

    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False).rstrip("\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> str:
    """Lay out a table as kubectl does: no rules, three spaces between columns, nothing after the last."""
    lines = [[Cell(each) for each in columns], *([_cell(each) for each in row] for row in rows)]
    widths = [max(len(line[index].text) for line in lines) for index in range(len(columns))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(line: Sequence[Cell], widths: Sequence[int]) -> str:
    last = len(line) - 1
    parts = (
        paint(cell.text, cell.colour) + ("" if index == last else " " * (widths[index] - len(cell.text) + _GAP))
        for index, cell in enumerate(line)
    )
    return "".join(parts).rstrip()


def _cell(content: str | Cell) -> Cell:
    cell = Cell(content) if isinstance(content, str) else content
    return Cell(clean(cell.text), cell.colour)


def paint(text: str, colour: Colour | None) -> str:
    """Colour a text that is clean; whoever prints it takes the colour away where it is not wanted."""
    return typer.style(text, fg=colour.value) if colour else text


def clean(text: str) -> str:
    """Make text of strangers one line that a terminal takes for nothing but text."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
