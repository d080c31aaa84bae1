"""docs/cli.md: every command with its arguments, options and help, and what exit codes mean."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import typer

from reference.schemas import ROOT
from transship.cli.app import COMMANDS, load
from transship.cli.exits import MEANINGS, STALLED, STALLED_OTHERWISE
from transship.cli.kube import Kube
from transship.cli.options import OptionGroup
from transship.cli.output import Output
from transship.promotion.advice import ADVICE

PAGE = ROOT / "docs/cli.md"
_WIDTH = 120
_HEAD = """\
# The command line

<!-- Written by `make reference` from the commands; change them and not this page. -->

One program, `transship`; as `kubectl-transship` on PATH it is `kubectl transship`, too. Results go to standard output,
messages to standard error. `transship COMMAND --help` shows what is here, and `transship completion` makes shells
complete it.
"""
_GROUPS: Mapping[str, tuple[type[OptionGroup], str]] = {
    "Output": (Output, "How a command speaks. Colours are for terminals, and none are printed where NO_COLOR is set."),
    "Cluster": (
        Kube,
        "Which cluster and namespace, and as whom, as kubectl has it; in a pod its ServiceAccount.",
    ),
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_overview(), *_commands(), *_shared(), *_exit_codes()]).rstrip("\n") + "\n"


def _overview() -> Iterator[str]:
    for panel in dict.fromkeys(each.panel for each in COMMANDS.values()):
        yield f"| {panel.lower()} | |\n|---|---|"
        for name, place in COMMANDS.items():
            if place.panel == panel:
                yield f"| [`{name}`](#transship-{name}) | {_cell(place.summary)} |"
        yield ""


def _commands() -> Iterator[str]:
    for name in COMMANDS:
        yield from _command(f"transship {name}", load(name), 2)


def _command(title: str, command: Any, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {title}\n"
    subcommands = getattr(command, "commands", {})
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = [title, *(["[OPTIONS]"] if not subcommands else ["COMMAND"]), *map(_word, arguments)]
    yield f"```text\n{' '.join(words)}\n```\n"
    yield f"{_text(command.help or '')}\n"
    yield from _table("argument", ((_word(each), each.help or "") for each in arguments))
    own, shared = _options(command)
    yield from _table("option", own)
    if shared:
        links = " and ".join(f"[{name.lower()}](#options-of-{name.lower()})" for name in shared)
        yield f"And the options of {links}.\n"
    for name, each in subcommands.items():
        yield from _command(f"{title} {name}", each, depth + 1)


def _options(command: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Rows of the options that a command takes in its own way, and the groups of which it takes some as they are."""
    given = {each.name for each in command.params}
    rows = _rows(each for each in command.params if each.param_type_name == "option" and each.name != "help")
    groups = {name: _rows(_of_group(group)) for name, (group, _) in _GROUPS.items() if _names(group) <= given}
    shared = [name for name, each in groups.items() if not set(rows).isdisjoint(each)]
    told = {row for name in shared for row in groups[name]}
    return [row for row in rows if row not in told], shared


def _rows(options: Iterable[Any]) -> list[tuple[str, str]]:
    return [(_switch(each), _meaning(each)) for each in options]


def _shared() -> Iterator[str]:
    for name, (group, text) in _GROUPS.items():
        yield f"## Options of {name.lower()}\n\n{text}\n"
        yield from _table("option", _rows(_of_group(group)))


def _of_group(group: type[OptionGroup]) -> list[Any]:
    from transship.cli.status import status  # noqa: PLC0415 - a command that takes all groups

    alone = typer.Typer(add_completion=False)
    alone.command()(status)
    command: Any = typer.main.get_command(alone)
    return [each for each in command.params if each.name in _names(group)]


def _names(group: type[OptionGroup]) -> set[str]:
    return {each.name for each in fields(group)}  # type: ignore[arg-type] # every group is a dataclass


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield from _table("code", [(str(int(code)), meaning) for code, meaning in MEANINGS.items()])
    yield "`wait` ends with the reason for which a promotion has stalled; a number stays what it is once released:\n"
    rows = [(str(code), f"{reason}: {ADVICE[reason].meaning}") for reason, code in STALLED.items()]
    yield from _table("code", [*rows, (str(STALLED_OTHERWISE), "A reason that this version does not know.")])


def _table(head: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [f"| {_cell(f'`{name}`')} | {_cell(text)} |" for name, text in rows]
    if lines:
        yield "\n".join([f"| {head} | |\n|---|---|", *lines]) + "\n"


def _word(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    word = word.strip("[].")
    more = "..." if argument.nargs != 1 or argument.multiple else ""
    return f"{word}{more}" if argument.required else f"[{word}]{more}"


def _switch(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    off = f" / {', '.join(option.secondary_opts)}" if option.secondary_opts else ""
    if option.is_flag:
        return f"{names}{off}"
    kind = option.type_descriptor
    choices = "|".join(str(each.value) for each in kind.choices) if kind.is_choice else ""
    return f"{names} {choices or option.metavar or option.bare_type().removeprefix('list[').rstrip(']').upper()}"


def _meaning(option: Any) -> str:
    text = option.help or ""
    default = option.default
    if option.is_flag or default in {None, "", ()} or not option.show_default:
        return text
    return f"{text}{'' if text.endswith('.') else ';'} by default `{getattr(default, 'value', default)}`"


def _text(text: str) -> str:
    """Paragraphs as they are; lines of one paragraph joined."""
    parts = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(textwrap.fill(" ".join(part.split()), _WIDTH, break_on_hyphens=False) for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
