"""Wrong usage, told in one sentence as every other error is: typer's own words fill a box, and name its libraries."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import typer

from transship.cli.output import clean
from transship.cli.values import problem_of

_NO_COMMAND = re.compile(r"No such command '(?P<name>.*)'\.", re.DOTALL)
_TOO_MANY = re.compile(r"Got unexpected extra argument\(?s?\)? \((?P<those>.*)\)", re.DOTALL)
_SHOWN = 80


def sentence_of(error: typer.TyperException) -> str:
    """What is wrong with the words of a command, and where it is said which ones there are."""
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return clean(f"{_wrong(error)}{hint}")


def _wrong(error: Any) -> str:
    match type(error).__name__:  # they are classes of typer's own, which it does not give out
        case "MissingParameter":
            return f"{_name_of(error.param)} is missing"
        case "NoSuchOption":
            return (
                f"there is no option {error.option_name[:_SHOWN]}{_meant(error.option_name, error.possibilities or ())}"
            )
        case "BadOptionUsage":
            return f"{error.option_name} takes {'no' if 'not take' in error.message else 'a'} value"
        case "BadParameter" if error.param is not None:
            return f"{_name_of(error.param)}: {_wrong_value(error)}"
        case _:
            return _wrong_words(error)


def _wrong_words(error: Any) -> str:
    """What typer says of words that are neither options nor their values."""
    if found := _NO_COMMAND.match(error.message):
        known = error.ctx.command.list_commands(error.ctx)
        return f"there is no command {found['name'][:_SHOWN]}{_meant(found['name'], known)}"
    if found := _TOO_MANY.match(error.message):
        return f"there is no argument for {found['those'][:_SHOWN]}"
    return _plain(error.message)


def _meant(word: str, known: Iterable[str]) -> str:
    like = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f" (did you mean {like[0]}?)" if like else ""


def _name_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(max(parameter.opts, key=len))


def _wrong_value(error: Any) -> str:
    """What is wrong with a value; where pydantic has looked at it, told by what it found and not by its text."""
    details = getattr(error.__cause__, "errors", None)
    return _plain(problem_of(details()[0]) if details is not None else error.message)


def _plain(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}".rstrip(".")
