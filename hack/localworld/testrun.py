"""`make test`: all tests, with what needs no tools first while the tools are being built."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from localworld import argocd, cluster, node, paths, processes, registries, tools

NEEDS_TOOLS = "needs_tools"  # tests/conftest.py puts this mark on a test that asks for a fixture made of tools
BUILD_NICENESS = 10  # the tests that run meanwhile go first


def run(options: Sequence[str]) -> int:
    """Run pytest once, or twice when tools are missing; returns an exit status."""
    world = [*argocd.NEEDS, *registries.NEEDS, *cluster.choose(own_network=True).needs]
    needed = ["actionlint", "helm3", "helm4", "kind", "prometheusoperator", *world]
    missing = tools.missing([*needed, *(node.NEEDS if node.why_not() is None else ())])
    if not missing:
        return _pytest(options)
    names = [tool.name for tool in missing]
    tools.say(f"To be built, the first time only: {', '.join(names)}. Tests that need no tools run meanwhile.")
    with _child("localworld", "tools", *names) as build:
        os.setpriority(os.PRIO_PROCESS, build.pid, BUILD_NICENESS)
        first = _pytest(["-m", f"not {NEEDS_TOOLS}", *options])
        tools.say("Tests that need tools come next, as soon as these are built.")
        if build.wait() != 0:
            return 1  # it has said why
    return _pytest(["-m", NEEDS_TOOLS, *options]) or first


def _pytest(options: Sequence[str]) -> int:
    with _child("pytest", *options) as process:
        return process.wait()


@contextmanager
def _child(module: str, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A Python program that gets SIGTERM when we end, by whatever way: pytest then takes its fixtures down."""
    command = processes.tethered([sys.executable, "-m", module, *arguments], at_our_end=signal.SIGTERM)
    process = subprocess.Popen(command, cwd=paths.REPOSITORY, env=_environment())
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(paths.REPOSITORY / "hack")}
