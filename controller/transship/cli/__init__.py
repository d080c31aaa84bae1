"""The command line, and the composition root: the one place where adapters meet."""

import gc
import os
import sys
from pathlib import Path

from transship.cli import stopping

__all__ = ["main"]

COMPLETE = "_TRANSSHIP_COMPLETE"
"""The environment variable by which a shell asks what a word may become."""


def main() -> None:
    """Run the command line, under the name it was called by: kubectl finds plugins as `kubectl-transship`."""
    _open_streams()
    stopping.begin()
    gc.disable()  # what is loaded stays: looking for garbage in it is a tenth of the time that help takes
    import typer.main  # noqa: PLC0415 - loaded after that

    from transship.cli.app import app  # noqa: PLC0415 - as well

    if COMPLETE in os.environ:
        import typer.completion  # noqa: PLC0415 - what only a shell needs

        typer.completion.completion_init()  # type: ignore[attr-defined] # public, and not re-exported
    called = Path(sys.argv[0]).name
    # Called as a function, the application would put typer's hook for what nobody catches in the place of ours.
    run = typer.main.get_command(app)
    run(prog_name="kubectl transship" if called == "kubectl-transship" else None, complete_var=COMPLETE)


def _open_streams() -> None:
    """Give the process the streams it was started without, lest a file or a connection takes their place."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as we run
