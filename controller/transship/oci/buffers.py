"""The byte budget: the memory that everything on its way through this process shares (design §7).

It is made of buffers of one size, each used over and over. A blob is admitted with a share of its own, so that it can
always go on, and may borrow beyond that while others do not need it. What is borrowed is taken all at once: nobody
holds a part of what he waits for.
"""

import threading
from collections.abc import Callable

BUFFER_BYTES = 1024 * 1024
"""Size of one buffer; what is read, hashed and sent at a time."""
SHARE = 4
"""Buffers an admitted blob may count on; a small blob needs fewer."""


class Budget:
    """A fixed number of buffers. Thread-safe.

    Args:
        total_bytes: the memory there is; at least one share is kept.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total = max(SHARE, total_bytes // BUFFER_BYTES)
        self._free = self.total
        self._buffers: list[bytearray] = []
        self._changed = threading.Condition()
        self._waiting = 0
        self._admitted = 0

    @property
    def used(self) -> int:
        """Bytes that are given away now, whether they hold something or not."""
        return (self.total - self._free) * BUFFER_BYTES

    def admit(self, blob_bytes: int, is_over: Callable[[], bool]) -> "Allowance | None":
        """Wait until a blob of this size can be given its share; None when `is_over` says to wait no longer."""
        share = min(SHARE, max(1, -(-blob_bytes // BUFFER_BYTES)))
        with self._changed:
            self._waiting += 1
            try:
                while not is_over():
                    if self._free >= share:
                        break
                    self._changed.wait(0.1)
                else:
                    return None
                self._free -= share
                self._admitted += 1
            finally:
                self._waiting -= 1
        return Allowance(self, share)

    def take(self) -> bytearray:
        """A buffer somebody has the right to; the one used last comes first, while it is still in a cache."""
        with self._changed:
            return self._buffers.pop() if self._buffers else bytearray(BUFFER_BYTES)

    def put(self, buffer: bytearray) -> None:
        """Take a buffer back; the right to it is given back by itself."""
        with self._changed:
            self._buffers.append(buffer)

    def borrow(self, count: int, held: int) -> bool:
        """Give somebody the right to more buffers, unless he holds his part already or others wait to begin."""
        with self._changed:
            if self._waiting or self._free < count or held + count > self.total // max(1, self._admitted):
                return False
            self._free -= count
            return True

    def restore(self, count: int, *, ends: bool = False) -> None:
        """Give back the right to buffers; `ends` when the blob is done with its whole share."""
        with self._changed:
            self._free += count
            self._admitted -= ends
            self._changed.notify_all()


class Allowance:
    """One blob's part of the budget. Not thread-safe: its owner's lock guards it.

    Attributes:
        share: buffers it can always count on.
    """

    def __init__(self, budget: Budget, share: int) -> None:
        self._budget = budget
        self.share = share
        self._used = 0
        self._borrowed = 0

    @property
    def has_own(self) -> bool:
        """Whether a buffer of the share itself is unused."""
        return self._used < self.share

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in use, neither own nor borrowed."""
        return not self._used and not self._borrowed

    def take_own(self) -> bytearray:
        """A buffer of the share."""
        self._used += 1
        return self._budget.take()

    def borrow(self, count: int) -> list[bytearray] | None:
        """Buffers beyond the share, all or none."""
        if not self._budget.borrow(count, self.share + self._borrowed):
            return None
        self._borrowed += count
        return [self._budget.take() for _ in range(count)]

    def put(self, buffer: bytearray, *, is_own: bool) -> None:
        """Be done with a buffer."""
        self._budget.put(buffer)
        if is_own:
            self._used -= 1
        else:
            self._borrowed -= 1
            self._budget.restore(1)

    def end(self) -> None:
        """Give the share back; every buffer has been put back before."""
        self._budget.restore(self.share, ends=True)
