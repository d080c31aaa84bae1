"""Child processes that are ready when they say so, leave a log, and never outlive this process."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from localworld.errors import WorldError

TETHER = Path(__file__).with_name("tether.py")
POLL_SECONDS = 0.02
LOG_TAIL_CHARACTERS = 1500
# What a child keeps of our environment: enough to find programs and a place for temporary files, and no credentials,
# proxies or kubeconfigs that would make it behave differently on another machine.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


def tethered(command: Sequence[str], *, at_our_end: signal.Signals = signal.SIGKILL) -> list[str]:
    """The same command, with the promise that it gets a signal when the thread that starts it ends.

    The kernel watches the *thread* that called fork: start long-lived children from the main thread.
    """
    return [sys.executable, "-I", "-S", str(TETHER), str(int(at_our_end)), str(os.getpid()), *command]


@dataclass(frozen=True)
class Child:
    """A started process and where it writes what it has to say."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its process id; the tether is replaced by the program, so this is the program's own."""
        return self.process.pid

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()


class Started(ABC):
    """What is started and stopped; a context manager that does both, and leaves nothing of a start that failed."""

    @abstractmethod
    def start(self) -> None:
        """Start it; returns when it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """Stop what was started, and remove what it left."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # also Ctrl-C: what has been started so far must not stay
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Processes:
    """Children that belong together: started one after the other, stopped in the opposite order.

    A context manager: leaving it stops what is still running.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        at_our_end: signal.Signals = signal.SIGKILL,
    ) -> Child:
        """Start a process with its own log file and a nearly empty environment."""
        log = self._directory / f"{name}.log"
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        with log.open("wb") as output:
            process = subprocess.Popen(
                tethered(command, at_our_end=at_our_end),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=inherited | dict(env or {}),
                # Ctrl-C in a terminal goes to a whole group; the order of stopping is ours to choose.
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def stop(self, *, grace: float = 5.0) -> None:
        """Ask each to end, the youngest first, and insist when it does not within `grace` seconds."""
        while self._children:
            child = self._children.pop()
            child.process.terminate()
            try:
                child.process.wait(grace)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def wait_until_ready(child: Child, is_ready: Callable[[], bool], *, seconds: float) -> None:
    """Poll a child until it is ready.

    Raises:
        WorldError: It ended, or was not ready in time; the message has the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        status = child.process.poll()
        if status is not None:
            raise WorldError(f"{child.name} ended at its start with status {status}; it said:\n{child.said()}")
        if time.monotonic() > deadline:
            raise WorldError(f"{child.name} was not ready after {seconds:.0f} s; it said:\n{child.said()}")
        time.sleep(POLL_SECONDS)
