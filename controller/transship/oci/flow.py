"""One blob on its way: ranges come in, maybe by several connections, and go out as one stream in order.

Theory of operation. The consumer (whoever uploads) asks for chunks; it waits for the buffer at its position, hashes it
and hands it on, and keeps the last one back until size and digest agree, so that a wrong blob is never completed.
Buffers are filled from one connection at first, in ranges that grow: by the consumer itself, or by a reader in a thread
of its own while there are processors to spare. When that connection is the limit, more readers join, each with a short
range further on (facts/copy-performance §6.5). Memory is bounded by the allowance: what is read in order uses the
blob's own share, whoever reads further on borrows, and who reads what is wanted next never waits for them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

from transship.errors import Reason, RetryLater
from transship.oci.buffers import BUFFER_BYTES, Allowance
from transship.oci.descriptor import Descriptor
from transship.oci.hashing import Beside, Inline
from transship.oci.ranges import Filled, Over, Range, Ranges, Wishes, mismatch
from transship.oci.store import BlobReader, Chunk

CHUNK_BYTES = 256 * 1024
"""What the consumer gets at a time, as a sender's time-out counts for so much; a blob of one buffer comes whole."""
FIRST_RANGE = 16 * BUFFER_BYTES
GROWTH = 4
"""How much longer each range of a lone reader is than the one before."""
JOINED_RANGE = 2 * BUFFER_BYTES
"""Range of a reader that joined: a few round trips long on the connections it is meant for."""
_LOOK_AFTER = 0.1
_SLOW_WAIT = 0.6
_SLOW_RATE = 150e6
_BUSY = 0.8
"""Of one processor: with more, it is not the network that holds things up, and more connections would not help."""
_ENOUGH = 400e6
"""Bytes a second of all blobs together: with more, hashing and encrypting are the next limit anyway."""


@dataclass(frozen=True, slots=True)
class Joining:
    """How readers may join.

    Attributes:
        start: runs a reader in a thread of its own.
        may_join: takes a place for one more reader of a blob that has so many, if there is one.
        leave: gives that place back.
        moved: how many bytes of all blobs have been moved until now.
        reads_ahead: whether the first reader has a thread of its own, too.
    """

    start: Callable[[Callable[[], None]], None]
    may_join: Callable[[int], bool]
    leave: Callable[[], None]
    moved: Callable[[], int] = lambda: 0
    reads_ahead: bool = True


class Flow:
    """The bytes of one blob, from a reader to a consumer.

    Args:
        blob: what it has to be.
        reader: where it comes from.
        allowance: its part of the memory.
        joining: how more readers come.
        is_cancelled: nobody wants it any more.
    """

    def __init__(
        self,
        blob: Descriptor,
        reader: BlobReader,
        allowance: Allowance,
        joining: Joining,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._blob = blob
        self._allowance = allowance
        self._joining = joining
        self._is_cancelled = is_cancelled
        self._changed = threading.Condition()
        self._filled: dict[int, Filled] = {}
        self._claimed = 0
        self._readers = 0
        self._moved_before = 0
        self._is_joined = False
        self._is_over = False
        self._failure: Exception | None = None
        wishes = Wishes(self._check_wanted, self._is_unwanted, self._take_own, self._put_back, self._widen)
        self._ranges = Ranges(blob, reader, wishes)
        self._by_consumer: Generator[Filled, None, None] | None = None
        self._is_read_ahead = joining.reads_ahead and blob.size > allowance.share * BUFFER_BYTES

    def chunks(self) -> Generator[Chunk, None, None]:
        """The blob in order; the last chunk comes only when size and digest agree. To be iterated once.

        Raises:
            RetryLater: ContentMismatch, or whatever reading raises after its own retries.
            NeedsHuman: whatever reading raises.
        """
        hashing, at = self._hashing(), 0
        try:
            self._begin()
            while at < self._blob.size:
                filled = self._next(at)
                try:
                    view = memoryview(filled.buffer)[: filled.length]
                    hashing.update(view)
                    at += filled.length
                    if at == self._blob.size:
                        self._finish(hashing.wait())
                    step = CHUNK_BYTES if filled.length < self._blob.size else BUFFER_BYTES
                    for start in range(0, filled.length, step):
                        yield view[start : start + step]
                finally:
                    hashing.wait()
                    self._put_back(filled.buffer, filled.is_own)
            if not self._blob.size:
                self._finish(hashing.wait())
        except Over:
            raise RetryLater(Reason.PENDING, f"nobody waits for blob {self._blob.digest} any more") from None
        finally:
            hashing.end()
            self.stop()

    def _hashing(self) -> Inline | Beside:
        """Beside the sending while there are processors to spare, and enough to hash that a thread pays."""
        hasher = self._blob.digest.hasher()
        return Beside(hasher, self._joining.start) if self._is_read_ahead else Inline(hasher)

    def stop(self) -> None:
        """Want no more."""
        if self._by_consumer is not None:
            self._by_consumer.close()
            self._by_consumer = None
        with self._changed:
            self._is_over = True
            for filled in self._filled.values():
                self._allowance.put(filled.buffer, is_own=filled.is_own)
            self._filled.clear()
            self._changed.notify_all()

    def end(self) -> None:
        """Want no more, and wait for the readers, who notice within one read."""
        self.stop()
        with self._changed:
            while self._readers:
                self._changed.wait(0.2)

    def _finish(self, found: str) -> None:
        if found != self._blob.digest.hex:
            raise mismatch(f"the bytes received for blob {self._blob.digest} have another digest")

    def _begin(self) -> None:
        if self._is_read_ahead:
            self._readers = 1
            self._joining.start(self._run(self._read_ahead))
        else:
            self._by_consumer = self._read_alone()

    def _next(self, position: int) -> Filled:
        if self._by_consumer is not None:
            filled = next(self._by_consumer, None)
            if filled is not None:
                return filled
            self._by_consumer = None
        with self._changed:
            while position not in self._filled:
                if self._failure is not None:
                    raise self._failure
                if self._is_cancelled():
                    raise Over
                self._changed.wait(0.2)
            return self._filled.pop(position)

    # Reading: by the consumer, or by readers in threads of their own.

    def _read_alone(self) -> Generator[Filled, None, None]:
        """One connection, range after range, until others join."""
        length = FIRST_RANGE
        while not self._is_joined:
            with self._changed:
                start = self._claimed
                self._claimed = min(start + length, self._blob.size)
                self._moved_before = self._joining.moved()
            part = Range(start, self._claimed)
            for filled in self._ranges.read(part):
                yield filled
                self._consider(part)
            if self._claimed == self._blob.size:
                return
            length *= GROWTH

    def _read_ahead(self) -> None:
        for filled in self._read_alone():
            self._hand_over(filled)
        self._read_joined()

    def _read_joined(self) -> None:
        while (part := self._claim()) is not None:
            self._invite()
            for filled in self._ranges.read(part):
                self._hand_over(filled)

    def _hand_over(self, filled: Filled) -> None:
        with self._changed:
            if self._is_over:
                self._allowance.put(filled.buffer, is_own=filled.is_own)
                raise Over
            self._filled[filled.at] = filled
            self._changed.notify_all()

    def _run(self, read: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                read()
            except Over:
                pass
            except Exception as error:  # noqa: BLE001 - it is raised where the chunks are asked for
                with self._changed:
                    self._failure = self._failure or error
            finally:
                with self._changed:
                    self._readers -= 1
                    self._changed.notify_all()

        return run

    def _claim(self) -> Range | None:
        """The next short range, with buffers for all of it; None when there is none left."""
        with self._changed:
            while self._claimed < self._blob.size:
                self._check_wanted()
                stop = min(self._claimed + JOINED_RANGE, self._blob.size)
                count = -(-(stop - self._claimed) // BUFFER_BYTES)
                buffers = self._allowance.borrow(count)
                is_own = buffers is None and self._allowance.is_idle
                if is_own:
                    buffers = [self._allowance.take_own() for _ in range(min(count, self._allowance.share))]
                    stop = min(stop, self._claimed + len(buffers) * BUFFER_BYTES)
                if buffers is not None:
                    part = Range(self._claimed, stop, deque(buffers), is_own)
                    self._claimed = stop
                    return part
                self._changed.wait(0.05)
        return None

    def _invite(self) -> bool:
        """Let as many readers join as there is room for; whether any did."""
        has_joined = False
        while True:
            with self._changed:
                if self._is_over or self._claimed >= self._blob.size or not self._joining.may_join(self._readers):
                    return has_joined
                self._readers += 1
                has_joined = True
            run = self._run(self._read_joined)

            def visit(run: Callable[[], None] = run) -> None:
                try:
                    run()
                finally:
                    self._joining.leave()

            self._joining.start(visit)

    def _consider(self, part: Range) -> None:
        """Whether this one connection is the limit, and not the processors: then others join."""
        if self._is_joined or self._blob.size - self._claimed < JOINED_RANGE:
            return
        elapsed, worked = time.monotonic() - part.begun[0], time.process_time() - part.begun[1]
        moved = self._joining.moved() - self._moved_before
        if elapsed < _LOOK_AFTER or worked > _BUSY * elapsed or moved > _ENOUGH * elapsed:
            return
        if part.waited > _SLOW_WAIT * elapsed and part.at - part.start < _SLOW_RATE * elapsed:
            self._split(part)

    def _split(self, part: Range) -> None:
        """Leave the rest of a range to readers who join; without a place for anybody, whoever reads goes on alone."""
        with self._changed:
            stop = part.stop
            part.stop = self._claimed = part.at
        self._is_joined = self._invite()
        if not self._is_joined:
            with self._changed:
                part.stop = self._claimed = stop

    # What readers wish to know.

    def _take_own(self) -> bytearray:
        with self._changed:
            while not self._allowance.has_own:
                self._check_wanted()
                self._changed.wait(0.2)
            return self._allowance.take_own()

    def _put_back(self, buffer: bytearray, is_own: bool) -> None:  # noqa: FBT001 - of the shape `Wishes` has
        with self._changed:
            self._allowance.put(buffer, is_own=is_own)
            self._changed.notify_all()

    def _widen(self, part: Range) -> None:
        """The registry sends the whole blob, whatever it was asked for: then all of it is this range."""
        with self._changed:
            part.stop = self._claimed = self._blob.size

    def _is_unwanted(self) -> bool:
        return self._is_over or self._failure is not None or self._is_cancelled()

    def _check_wanted(self) -> None:
        if self._is_unwanted():
            raise Over
