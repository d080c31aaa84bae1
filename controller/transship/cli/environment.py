"""The process's environment, read once a command needs it."""

import os

import typer
from pydantic import ValidationError

from transship import logs
from transship.cli.values import problem_of
from transship.settings import Settings


def load_settings(exit_code: int = 1) -> Settings:
    """The settings; one that cannot be read is named, and ends the process.

    Commands log nothing of their own; their libraries are kept quiet here, as the operator keeps them.
    """
    logs.quiet_libraries()
    try:
        return Settings()  # type: ignore[call-arg] # every field has a default or comes from the environment
    except ValidationError as error:
        for problem in error.errors():
            name = f"TRANSSHIP_{'_'.join(str(part) for part in problem['loc']).upper()}"
            typer.echo(f"transship: {name}={os.environ.get(name, '')!r}: {problem_of(problem)}", err=True)
        raise typer.Exit(exit_code) from None
