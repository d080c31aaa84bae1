"""The program that renders: `kustomize`, or `kubectl` which has it built in.

It is run with an empty home, an environment of its own, in a process group of its own, for so long, for so many bytes
and in so much memory. Nothing of what it may be asked for by a kustomization is reachable unless it was allowed:
without PATH it finds neither git nor helm, and a proxy that is nowhere keeps it from fetching.
"""

import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from transship.errors import NeedsHuman, Reason

VARIABLE = "TRANSSHIP_KUSTOMIZE"
"""Names the program, where no option does."""
MAX_BYTES = 16 * 1024 * 1024
MAX_MEMORY = 1024 * 1024 * 1024
"""For one process. 1500 resources take a twentieth of it."""
_OUT_OF_MEMORY = re.compile(r"out of memory|cannot allocate memory", re.IGNORECASE)
_MAX_ERROR = 64 * 1024
_CHUNK = 64 * 1024
_NOWHERE = "http://127.0.0.1:9"  # the port that discards
_KEPT = re.compile(r"(?:PATH|LANG|LC_ALL|SSL_CERT_FILE|SSL_CERT_DIR|(?:HTTPS?|NO)_PROXY|(?:https?|no)_proxy)\Z")


@dataclass(frozen=True, slots=True)
class Options:
    """How to render.

    Attributes:
        program: kustomize or kubectl, by path or name; by default `$TRANSSHIP_KUSTOMIZE`, or what PATH has.
        allow_helm: run helm for `helmCharts`. Charts are programs, and are fetched.
        allow_remote: fetch bases, components and resources that are named by URL.
        time_limit: seconds for one rendering.
        max_bytes: how much it may print.
        max_memory: how many bytes each of its processes may allocate, where Linux counts them.
    """

    program: str = ""
    allow_helm: bool = False
    allow_remote: bool = False
    time_limit: float = 60.0
    max_bytes: int = MAX_BYTES
    max_memory: int = MAX_MEMORY


DEFAULT = Options()


class Program:
    """A program found, and how it is run."""

    def __init__(self, path: str, options: Options = DEFAULT) -> None:
        self.path = path
        self._options = options
        self._build = ["kustomize"] if Path(path).name.removesuffix(".exe").startswith("kubectl") else ["build"]

    @classmethod
    def find(cls, options: Options = DEFAULT) -> "Program":
        """Find the program.

        Raises:
            NeedsHuman: InvalidRequest: there is none.
        """
        named = options.program or os.environ.get(VARIABLE, "")
        for name in [named] if named else ["kustomize", "kubectl"]:
            if path := shutil.which(name):
                return cls(str(Path(path).absolute()), options)
        what = f"{named!r} is no program" if named else "neither kustomize nor kubectl is on PATH"
        raise _refused(f"{what}; install kustomize, or name it by {VARIABLE}")

    @contextmanager
    def home(self) -> Iterator[Path]:
        """A directory that is empty, and gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="transship-") as directory:
            yield Path(directory).resolve()

    def build(self, folder: Path, home: Path, deadline: float) -> str:
        """What it prints for a folder.

        Args:
            folder: the kustomization's.
            home: of `home`.
            deadline: when it has to be done, by the monotonic clock.

        Raises:
            NeedsHuman: InvalidRequest: it failed, took too long, or printed too much.
        """
        command = [self.path, *self._build, str(folder), "--load-restrictor=LoadRestrictionsRootOnly"]
        if self._options.allow_helm:
            command.append("--enable-helm")
        return self._run(command, home, deadline)

    def _run(self, command: Sequence[str], home: Path, deadline: float) -> str:
        errors = home / "errors"
        with errors.open("w+b") as said, self._started(command, home, said) as process:
            output = self._read(process, deadline)
            said.seek(0)
            problem = said.read(_MAX_ERROR).decode("utf-8", "replace")
        if process.returncode != 0 and _OUT_OF_MEMORY.search(problem):
            raise _refused(
                f"{Path(self.path).name} did not render within {self._options.max_memory} bytes of memory; look for "
                "aliases that repeat each other, or render less at once"
            )
        if process.returncode != 0:
            raise _refused(f"{Path(self.path).name} cannot render: {_sentence(problem, process.returncode)}")
        try:
            return output.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _refused(f"{Path(self.path).name} printed what is not UTF-8") from error

    @contextmanager
    def _started(self, command: Sequence[str], home: Path, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
        # A group of its own, so that git and helm end with it when it has to be ended.
        process = subprocess.Popen(  # noqa: S603 - what the user named or has on PATH; the folder is no option of it
            command,
            cwd=home,
            env=self._environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with process:
            try:
                _limit_memory(process.pid, self._options.max_memory)
                yield process
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
                raise

    def _read(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        pipe, output = cast("IO[bytes]", process.stdout), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._too_late()
                chunk = os.read(pipe.fileno(), _CHUNK)
                if not chunk:
                    break
                output += chunk
                if len(output) > self._options.max_bytes:
                    raise _refused(f"what is rendered has more than {self._options.max_bytes} bytes")
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._too_late() from None
        return bytes(output)

    def _too_late(self) -> NeedsHuman:
        return _refused(f"{Path(self.path).name} did not render within {self._options.time_limit:g} seconds")

    def _environment(self, home: Path) -> dict[str, str]:
        own = {
            "HOME": str(home),
            "TMPDIR": str(home),
            "XDG_CONFIG_HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "KUBECONFIG": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
        }
        if self._options.allow_helm or self._options.allow_remote:
            return {name: value for name, value in os.environ.items() if _KEPT.match(name)} | own
        return own | {"PATH": "", "HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE}


def _limit_memory(process: int, limit: int) -> None:
    """Limit what a process and those it starts may write to: a Go program reserves far more addresses than it uses."""
    if sys.platform == "linux":
        # One that has ended already needs none.
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(process, resource.RLIMIT_DATA)
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.prlimit(process, resource.RLIMIT_DATA, (limit, limit))


def _sentence(problem: str, code: int) -> str:
    lines = [each.strip() for each in problem.splitlines() if each.strip() and not each.startswith("# Warning")]
    text = " ".join(lines).removeprefix("Error: ").removeprefix("error: ")
    printable = "".join(each if each.isprintable() else "?" for each in text)
    return printable[:600] or f"exit code {code}"


def _refused(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.INVALID_REQUEST, message)
