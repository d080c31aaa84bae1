"""Commands of `transship`.

A command's module is loaded when the command is run: the operator's libraries take half a second and tens of megabytes
that nobody who copies an image, or asks for help, should wait for. So what help lists of a command stands here; a test
holds it against the command.
"""

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from transship.cli import stopping
from transship.cli.exits import Exit

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
_CLUSTER, _IMAGES, _OVERLAYS = "Promotions in a cluster", "Images, without a cluster", "Overlays"
_POLICIES, _RUNNING, _ITSELF = "Policies", "Parts that run in a cluster", "The program itself"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is.

    Attributes:
        path: module and name.
        summary: the first sentence of its help.
        panel: what help lists it under.
    """

    path: str
    summary: str
    panel: str


COMMANDS: Mapping[str, Place] = {
    "copy": Place(
        "transship.cli.copy:copy_command",
        "Copy an image exactly: every manifest and blob as it is, tag and digest kept, and proven at the end.",
        _IMAGES,
    ),
    "status": Place(
        "transship.cli.status:status",
        "Show the PromotionRequests of a namespace or of all, and how far they are; of one, image by image.",
        _CLUSTER,
    ),
    "wait": Place("transship.cli.wait:wait", "Wait until every promotion is Ready, or one is Stalled.", _CLUSTER),
    "plan": Place("transship.cli.plan:plan_command", "Say what promoting the images of overlays would do.", _OVERLAYS),
    "history": Place(
        "transship.cli.history:history",
        "Say which digests of an image were promoted: where, when, who asked, and from which revision.",
        _CLUSTER,
    ),
    "report": Place(
        "transship.cli.report:report_command",
        "Make a page of a cluster's promotions: what runs where, from which digest, and what waits for what.",
        _CLUSTER,
    ),
    "promote": Place(
        "transship.cli.promote:promote_command",
        "Promote the images of overlays, and prove that they are there.",
        _OVERLAYS,
    ),
    "check": Place(
        "transship.cli.check:check_command",
        "Check that every image of overlays is pinned, exists at the source, and that a hook names it.",
        _OVERLAYS,
    ),
    "set-image": Place(
        "transship.cli.set_image:set_image_command",
        "Name another version of an image in an overlay, and show what changes.",
        _OVERLAYS,
    ),
    "diff": Place(
        "transship.cli.diff:diff_command",
        "Compare two overlays, or two registries: images, tags, digests and ages.",
        _OVERLAYS,
    ),
    "explain": Place(
        "transship.cli.explain:explain_command",
        "Say why a PromotionRequest does not go on and what to do, or what would become of an image.",
        _CLUSTER,
    ),
    "policy": Place(
        "transship.cli.policy:app",
        "Check PromotionPolicies, and keep the statement that lets the destination's account pull from the source.",
        _POLICIES,
    ),
    "login-check": Place(
        "transship.cli.login_check:login_check",
        "Say who you are on each side of a policy, how long the token is good for, and what you may do.",
        _POLICIES,
    ),
    "admission": Place(
        "transship.cli.admission:admission",
        "Run the admission webhook until it is told to stop: pods wait for images that are missing.",
        _RUNNING,
    ),
    "operator": Place(
        "transship.cli.operate:operator", "Run the operator until it is told to stop (SIGTERM or SIGINT).", _RUNNING
    ),
    "settings": Place(
        "transship.cli.operate:settings",
        "Print every setting of the operator: its environment variable, its value now, and what it means.",
        _RUNNING,
    ),
    "completion": Place(
        "transship.cli.completion:completion",
        "Print what makes a shell complete commands and options: bash, zsh or fish.",
        _ITSELF,
    ),
    "version": Place(
        "transship.cli.version:version",
        "Print the version, and that of Python; `-o name` prints the version alone.",
        _ITSELF,
    ),
}


class _Lazy(TyperGroup):
    """A group whose commands are loaded once they are run."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        return TyperCommand(cmd_name, help=place.summary, rich_help_panel=place.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        found = load(name) if name is not None and name in COMMANDS else command
        if not gc.isenabled():  # see `main`; a program that calls us looks after its own garbage
            gc.freeze()
            gc.enable()
        return name, found, rest

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _endings():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _endings():
            return super().invoke(ctx)


@contextmanager
def _endings() -> Iterator[None]:
    """End as docs/cli.md says: wrong usage is an error in a sentence, and not something to do; and Ctrl-C is told."""
    try:
        yield
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a class of typer's own, that has no name to import
            error.exit_code = Exit.ERROR
            raise
        from transship.cli.usage import sentence_of  # noqa: PLC0415 - what only wrong usage needs

        typer.echo(f"transship: {sentence_of(error)}", err=True)
        raise typer.Exit(Exit.ERROR) from None
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        # Python would try again to write what it has kept, and say so in words of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        typer.echo(f"transship: standard output cannot be written: {error.strerror}", err=True)
        raise typer.Exit(Exit.ERROR) from None
    except KeyboardInterrupt:
        stopping.say()
        raise typer.Exit(Exit.STOPPED) from None


def load(name: str) -> Any:
    """The command of that name, with all that it imports."""
    module, _, attribute = COMMANDS[name].path.partition(":")
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
def _commands(context: typer.Context) -> None:
    """Take colours away where nobody wants them."""
    if os.environ.get("NO_COLOR"):
        context.color = False
