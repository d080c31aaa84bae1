"""Hashing a stream while its bytes are on their way elsewhere."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition

from transship.oci.digest import Hasher


class Inline:
    """Hashes in the thread that asks for it."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        self._hasher.update(data)

    def wait(self) -> str:
        """Lower-case hex of everything taken in so far."""
        return self._hasher.hexdigest()

    def end(self) -> None:
        """Nothing to end."""


class Beside:
    """Hashes in a thread of its own: for few large blobs, whose sender would have to wait for each buffer otherwise.

    Args:
        hasher: of the blob's algorithm.
        start: runs a call in a thread.
    """

    def __init__(self, hasher: Hasher, start: Callable[[Callable[[], None]], None]) -> None:
        self._hasher = hasher
        self._waiting: SimpleQueue[memoryview | None] = SimpleQueue()
        self._changed = Condition()
        self._left = 0
        start(self._run)

    def update(self, data: memoryview) -> None:
        """Take in the next bytes, which stay as they are until `wait` returns."""
        with self._changed:
            self._left += 1
        self._waiting.put(data)

    def wait(self) -> str:
        """Lower-case hex of everything taken in so far, when it has been."""
        with self._changed:
            self._changed.wait_for(lambda: not self._left)
            return self._hasher.hexdigest()

    def end(self) -> None:
        """Let the thread go; what it was given has been taken in by then."""
        self._waiting.put(None)
        with self._changed:
            self._changed.wait_for(lambda: not self._left)

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._hasher.update(data)
            with self._changed:
                self._left -= 1
                self._changed.notify_all()
