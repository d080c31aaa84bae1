"""Commands of `transship`.

A command's module is loaded when the command is run: the operator's libraries take half a second and tens of megabytes
that nobody who copies an image should wait for.
"""

import platform
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from transship import __version__

COMMANDS: Mapping[str, str] = {
    "copy": "transship.cli.copy:copy_command",
    "explain": "transship.cli.explain:explain_command",
    "policy": "transship.cli.policy:app",
    "admission": "transship.cli.admission:admission",
    "operator": "transship.cli.operate:operator",
    "settings": "transship.cli.operate:settings",
}


class _Lazy(TyperGroup):
    """A group whose commands are loaded by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        place = COMMANDS.get(cmd_name)
        return super().get_command(ctx, cmd_name) if place is None else _load(cmd_name, place)


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found: typer.Typer | Callable[..., None] = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="transship",
    cls=_Lazy,
    help="Makes container images arrive in the environment that is about to run them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keep `version` a command of its own, though typer sees no other."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"transship {__version__} (Python {platform.python_version()})")
