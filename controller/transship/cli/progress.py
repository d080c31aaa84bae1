"""What a person sees while images are copied: bars on a terminal, lines elsewhere; always on standard error."""

import sys
import threading
import time
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

    def ended(self, name: str, said: str) -> None:
        """An image has ended, well or not."""


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

    def ended(self, name: str, said: str) -> None:
        """See `Watcher`."""


class Lines(Silent):
    """A line when an image ends, and one now and then while it moves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def begun(self, name: str, missing: int) -> None:  # noqa: ARG002 - of the protocol
        """See `Watcher`."""
        with self._lock:
            self._told[name] = time.monotonic()

    def moved(self, name: str, state: CopyProgress) -> None:
        """See `Watcher`."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(name, now) < _LINE_EVERY:
                return
            self._told[name] = now
        missing = state.bytes_total - state.bytes_skipped
        share = 100 * state.bytes_copied // missing if missing else 100
        print(f"{name}: {share} % of {missing} bytes", file=sys.stderr, flush=True)  # noqa: T201 - for people

    def ended(self, name: str, said: str) -> None:
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
        self._moved: dict[str, int] = {}
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
            self._tasks[name] = self._progress.add_task(name, total=missing)
            self._progress.update(self._all, total=(self._progress.tasks[0].total or 0) + missing)

    def moved(self, name: str, state: CopyProgress) -> None:
        """See `Watcher`."""
        with self._lock:
            self._progress.update(self._tasks[name], completed=state.bytes_copied)
            self._progress.advance(self._all, state.bytes_copied - self._moved.get(name, 0))
            self._moved[name] = state.bytes_copied

    def ended(self, name: str, said: str) -> None:
        """See `Watcher`."""
        with self._lock:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._progress.remove_task(task)
            self._progress.console.print(f"{name}: {said}", markup=False, highlight=False)
