"""Shells as people have them: bash of the machine, zsh and fish of Debian's packages, run where they are unpacked."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from command_line.command import SECONDS
from localworld import debian

_PACKAGES = "shells"
prepare = partial(debian.ensure, _PACKAGES)
"""Fetches what is missing: to be called before a network of our own is entered."""
CTRL_U = "\x15"
"""Takes away what has been typed."""


def install(home: Path) -> dict[str, str]:
    """Put the program on a PATH; the environment of whoever has it there."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / "transship"
    program.write_text(f'#!/bin/sh\nunset LD_LIBRARY_PATH\nexec {sys.executable} -m transship "$@"\n')
    program.chmod(0o755)
    return {"HOME": str(home), "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}


def bash() -> list[str]:
    return [shutil.which("bash") or "bash", "--noprofile", "--norc", "-i"]


def zsh(home: Path, startup: str) -> list[str]:
    """A zsh that reads these lines when it starts, with functions of one's own in `functions`."""
    program = debian.find(_PACKAGES, "zsh")
    base = _base(program, "usr/share/zsh")
    (home / "functions").mkdir(exist_ok=True)
    # Debian's zsh looks for its modules and functions where it would be installed.
    modules = "\n".join(f"module_path=({each.parent.parent})" for each in base.glob("usr/lib/*/zsh/*/zsh/zle.so"))
    lines = f"{modules}\nfpath=({home}/functions {base}/usr/share/zsh/functions/**/*(/N) $fpath)\n"
    (home / ".zshenv").write_text(lines)
    (home / ".zshrc").write_text(f"PS1='> '\nautoload -Uz compinit\ncompinit -u\n{startup}\n")
    return [str(program), "-i"]


def fish(home: Path) -> tuple[list[str], Mapping[str, str]]:
    """A fish, and what it must have in its environment; it finds its own files beside itself."""
    program = debian.find(_PACKAGES, "fish")
    base = _base(program, "usr/share/fish")
    folder = home / "fish"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(program, folder / "bin")
    for name, there in (("share", base / "usr/share"), ("etc", base / "etc")):
        (folder / name).symlink_to(there)
    return [str(folder / "bin/fish")], debian.environment(_PACKAGES) if base != Path("/") else {}


def _base(program: Path, folder: str) -> Path:
    return next(each for each in program.parents if (each / folder).is_dir())


class Terminal:
    """Somebody who types into a shell, and reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def read_until(self, wanted: str) -> str:
        """What is shown until that is.

        Raises:
            AssertionError: it never is.
        """
        deadline = time.monotonic() + SECONDS
        poll = select.poll()  # select.select() knows no descriptor above 1023
        poll.register(self._descriptor, select.POLLIN)
        while wanted not in self._unread:
            ready = poll.poll(1000 * max(0.0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} is not shown, but {self._unread!r}"
            self._unread += os.read(self._descriptor, 65536).decode(errors="replace")
        shown, _, self._unread = self._unread.partition(wanted)
        return shown


@contextmanager
def terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A shell at a terminal, which is hung up at the end."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        child.kill()
        child.wait()
        os.close(ours)
