"""The commands behind `make tools`, `make test` and `make dev`."""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from localworld import devworld, testrun, tools
from localworld.errors import WorldError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    signal.signal(signal.SIGTERM, _leave)
    # A script's shell has what it starts in the background ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.run is not _test:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        status: int = options.run(options)
    except WorldError as error:
        print(f"localworld: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into an exception, so that everything that was started is stopped on the way out."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localworld", description="Transship's local world.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("tools", help="build the pinned Go tools into the per-user cache")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(tools.TOOLS)} (default: all)")
    build.set_defaults(run=_tools)

    test = commands.add_parser("test", help="run the tests, building missing tools meanwhile; passes options to pytest")
    test.set_defaults(run=_test)

    up = commands.add_parser("up", help="start the local world and keep it until Ctrl-C or SIGTERM")
    up.set_defaults(run=_up)

    demo = commands.add_parser("demo", help="show the main job, end to end")
    demo.set_defaults(run=_demo)

    screenshots = commands.add_parser("screenshots", help="take the screenshots of docs/images")
    screenshots.set_defaults(run=_screenshots)
    return parser


def _tools(options: argparse.Namespace) -> int:
    unknown = set(options.names) - set(tools.TOOLS)
    if unknown:
        raise WorldError(f"No tool is called {', '.join(sorted(unknown))}: there are {', '.join(tools.TOOLS)}.")
    names = options.names or list(tools.TOOLS)
    tools.ensure(names)
    for name in names:
        print(f"{name}: {tools.TOOLS[name].directory}")
    return 0


def _test(options: argparse.Namespace) -> int:
    return testrun.run(options.rest)


def _up(_options: argparse.Namespace) -> int:
    devworld.keep()
    return 0


def _demo(_options: argparse.Namespace) -> int:
    # Imported when asked for: the other commands work without what the demo needs.
    status: int = importlib.import_module("localworld.demo").main()
    return status


def _screenshots(_options: argparse.Namespace) -> int:
    status: int = importlib.import_module("localworld.screenshots").main()
    return status
