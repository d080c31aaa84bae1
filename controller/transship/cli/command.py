"""What the commands have in common: how groups of options become options, and how an error ends a command.

Whoever asks for help waits for a command's module, and for nothing that only running it needs: that is loaded by the
command itself.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

import typer

from transship.cli.exits import Exit
from transship.cli.options import OptionGroup
from transship.cli.output import clean
from transship.errors import TransshipError


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command.

    A parameter that is an `OptionGroup` becomes the options of its fields. What this project raises on purpose becomes
    a sentence on standard error and exit code 1.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[OptionGroup]] = {
        name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, OptionGroup)
    }

    @wraps(function)
    def run(**given: Any) -> None:
        from transship.promotion.policy import PolicyError  # noqa: PLC0415 - see the module

        try:
            for name, group in groups.items():
                given[name] = group(**{each: given.pop(each) for each in _options(group)})
            function(**given)
        except (TransshipError, PolicyError) as error:
            fail(str(error))

    own = [each for each in inspect.signature(function).parameters.values() if each.name not in groups]
    options = [option for group in groups.values() for option in _options(group).values()]
    parameters = [each.replace(annotation=hints[each.name]) for each in own] + options
    del run.__wrapped__  # typer would take the options from there
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # read by inspect.signature
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _options(group: type[OptionGroup]) -> Mapping[str, inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return {
        each.name: inspect.Parameter(each.name, kind, default=each.default, annotation=hints[each.name])
        for each in fields(group)  # type: ignore[arg-type] # every group is a dataclass
    }


def fail(sentence: str, code: int = Exit.ERROR) -> None:
    """End the command with a sentence on standard error.

    Raises:
        typer.Exit: always.
    """
    typer.echo(f"transship: {clean(sentence)}", err=True)
    raise typer.Exit(code)
