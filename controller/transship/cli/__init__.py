"""The command line, and the composition root: the one place where adapters meet."""

import os
import sys
from pathlib import Path

import typer.completion

from transship.cli.app import app

__all__ = ["main"]

COMPLETE = "_TRANSSHIP_COMPLETE"
"""The environment variable by which a shell asks what a word may become."""


def main() -> None:
    """Run the command line, under the name it was called by: kubectl finds plugins as `kubectl-transship`."""
    if COMPLETE in os.environ:
        typer.completion.completion_init()  # type: ignore[attr-defined] # public, and not re-exported
    called = Path(sys.argv[0]).name
    app(prog_name="kubectl transship" if called == "kubectl-transship" else None, complete_var=COMPLETE)
