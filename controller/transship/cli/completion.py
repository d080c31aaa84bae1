"""`transship completion`: scripts for shells, as typer makes them."""

from enum import StrEnum
from typing import Annotated

import typer
import typer.completion

from transship.cli import COMPLETE

_REGISTER = "compdef _transship_completion transship"
_ZSH = f"""\
if (( $+compstate )); then
  _transship_completion "$@" # Tab has read this from a file of fpath, and waits for an answer
else
  {_REGISTER}
fi"""


class Shell(StrEnum):
    """A shell that can complete words."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="the shell that is to complete")]) -> None:
    """Print what makes a shell complete commands and options: bash, zsh or fish.

    For bash: `source <(transship completion bash)`. For zsh: `transship completion zsh > "${fpath[1]}/_transship"`. For
    fish: `transship completion fish > ~/.config/fish/completions/transship.fish`.
    """
    script = typer.completion.get_completion_script(  # type: ignore[attr-defined] # public, and not re-exported
        prog_name="transship", complete_var=COMPLETE, shell=shell.value
    )
    typer.echo(script.replace(_REGISTER, _ZSH))
