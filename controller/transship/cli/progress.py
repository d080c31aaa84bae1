"""What a person sees while images are copied: bars on a terminal, lines elsewhere; always on standard error."""

import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from transship.oci.copy import CopyProgress

_LINE_EVERY = 5.0


class Watcher(Protocol):
    """Hears how far images are. Thread-safe."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be done."""

    def begun(self, name: str, missing: int) -> None:
        """An image is about to be copied, and so many bytes of it are missing."""

    def moved(self, name: str, state: CopyProgress) -> None:
        """Bytes of an image have moved."""

    def ended(self, name: str, said: str, *, is_there: bool = False) -> None:
        """An image has ended, well or not; one that is to be tried again is begun once more."""


def watcher(*, is_quiet: bool) -> Watcher:
    """The one that fits where standard error leads to."""
    if is_quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines()


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def begun(self, name: str, missing: int) -> None:
        """See `Watcher`."""

    def moved(self, name: str, state: CopyProgress) -> None:
        """See `Watcher`."""

    def ended(self, name: str, said: str, *, is_there: bool = False) -> None:
        """See `Watcher`."""


@dataclass(slots=True)
class _Way:
    """How far one image has come of what it lacked when it was begun.

    What was lost on the way and is sent again, within an upload or by another attempt, counts once: until it has come
    as far as before, the image stands where it was, and is said to be sent again.

    Attributes:
        total: bytes that it lacked.
        reached: of them are there, or were as good as there.
    """

    total: int
    reached: int = 0
    is_again: bool = False

    def follow(self, state: CopyProgress) -> None:
        """Bytes have moved; what another image has brought has come as well."""
        left = state.bytes_total - state.bytes_skipped - state.bytes_copied
        at = self.total - max(0, left)
        self.is_again = at < self.reached
        self.reached = max(self.reached, at)

    @property
    def again(self) -> str:
        """What is added to what is told."""
        return ", sending again what was lost" if self.is_again else ""


class Lines(Silent):
    """A line when an image ends, and one now and then while it moves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._ways: dict[str, _Way] = {}

    def begun(self, name: str, missing: int) -> None:
        """See `Watcher`."""
        with self._lock:
            self._told[name] = time.monotonic()
            self._ways.setdefault(name, _Way(missing))

    def moved(self, name: str, state: CopyProgress) -> None:
        """See `Watcher`."""
        now = time.monotonic()
        with self._lock:
            way = self._ways[name]
            way.follow(state)
            if now - self._told[name] < _LINE_EVERY:
                return
            self._told[name] = now
            share = 100 * way.reached // way.total if way.total else 100
            line = f"{name}: {share} % of {way.total} bytes{way.again}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - for people

    def ended(self, name: str, said: str, *, is_there: bool = False) -> None:  # noqa: ARG002 - of the protocol
        """See `Watcher`."""
        print(f"{name}: {said}", file=sys.stderr, flush=True)  # noqa: T201 - for people


class Bars:
    """A bar for each image that moves, with bytes, rate and the time left, and one for all of them."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._ways: dict[str, _Way] = {}
        self._all = self._progress.add_task("all images", total=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begun(self, name: str, missing: int) -> None:
        """See `Watcher`."""
        with self._lock:
            way = self._ways.setdefault(name, _Way(missing))
            self._tasks[name] = self._progress.add_task(name, total=way.total, completed=way.reached)
            self._show_all()

    def moved(self, name: str, state: CopyProgress) -> None:
        """See `Watcher`."""
        with self._lock:
            way = self._ways[name]
            way.follow(state)
            self._progress.update(self._tasks[name], description=f"{name}{way.again}", completed=way.reached)
            self._show_all()

    def ended(self, name: str, said: str, *, is_there: bool = False) -> None:
        """See `Watcher`."""
        with self._lock:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._progress.remove_task(task)
            if is_there and name in self._ways:
                self._ways[name].reached = self._ways[name].total
                self._show_all()
            self._progress.console.print(f"{name}: {said}", markup=False, highlight=False)

    def _show_all(self) -> None:
        total, reached = (sum(getattr(each, name) for each in self._ways.values()) for name in ("total", "reached"))
        self._progress.update(self._all, total=total, completed=reached)
