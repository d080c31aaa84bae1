"""A lock between processes, for work that must not be done twice at the same time."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, *, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an advisory lock on a file; the kernel releases it when this process ends, however it ends.

    Args:
        path: The lock file; it is created, and stays.
        when_waiting: Called once when somebody else holds the lock, to tell the person who now waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
