"""One blob on its way: ranges come in, maybe by several connections, and go out as one stream in order.

Theory of operation. The consumer (whoever uploads) asks for chunks; it waits for the buffer at its position, hashes it
and hands it on, and keeps the last one back until size and digest agree, so that a wrong blob is never completed. A
reader fills buffers from one connection, in ranges that grow. When it mostly waits for the network, that one connection
is the limit: then more readers join, each with a short range further on (facts/copy-performance §6.5). A range that
breaks off is continued at the byte it reached. Memory is bounded by the allowance: the first reader uses the blob's own
share, the others borrow, and the one who reads what is wanted next never waits for them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

from transship.errors import Reason, RetryLater, Side, doing
from transship.oci.backoff import Backoff
from transship.oci.buffers import BUFFER_BYTES, Allowance
from transship.oci.descriptor import Descriptor
from transship.oci.store import BlobReader, Chunk, Stream

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
_BUSY = 0.5
"""Of one processor: with more, it is not the network that holds things up, and more connections would not help."""
_RESUMES = 5
_RESUMES_IN_ALL = 100


@dataclass(frozen=True, slots=True)
class Joining:
    """How readers may join.

    Attributes:
        start: runs a reader in a thread of its own.
        may_join: takes a place for one more reader of a blob that has so many, if there is one.
        leave: gives that place back.
    """

    start: Callable[[Callable[[], None]], None]
    may_join: Callable[[int], bool]
    leave: Callable[[], None]


@dataclass(slots=True)
class _Range:
    """Bytes `start` to `stop`, and the buffers for them; None when each is taken as it is needed."""

    start: int
    stop: int
    buffers: deque[bytearray] | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class _Filled:
    buffer: bytearray
    length: int
    is_own: bool


class _Over(Exception):  # noqa: N818 - it is no error, but how readers are told to stop
    """Nobody wants the rest."""


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
        self._reader = reader
        self._allowance = allowance
        self._joining = joining
        self._is_cancelled = is_cancelled
        self._changed = threading.Condition()
        self._filled: dict[int, _Filled] = {}
        self._claimed = 0
        self._readers = 0
        self._resumes = 0
        self._is_joined = False
        self._is_over = False
        self._failure: Exception | None = None

    def chunks(self) -> Generator[Chunk, None, None]:
        """The blob in order; the last chunk comes only when size and digest agree. To be iterated once.

        Raises:
            RetryLater: ContentMismatch, or whatever reading raises after its own retries.
            NeedsHuman: whatever reading raises.
        """
        hasher, at = self._blob.digest.hasher(), 0
        try:
            self._begin()
            while at < self._blob.size:
                filled = self._wait_for(at)
                try:
                    view = memoryview(filled.buffer)[: filled.length]
                    hasher.update(view)
                    at += filled.length
                    if at == self._blob.size:
                        self._check(hasher.hexdigest())
                    step = CHUNK_BYTES if filled.length < self._blob.size else BUFFER_BYTES
                    for start in range(0, filled.length, step):
                        yield view[start : start + step]
                finally:
                    self._put(filled)
            if not self._blob.size:
                self._check(hasher.hexdigest())
        finally:
            self._end()

    def _check(self, found: str) -> None:
        if found != self._blob.digest.hex:
            raise _mismatch(f"the bytes received for blob {self._blob.digest} have another digest")

    def _begin(self) -> None:
        if self._blob.size > self._allowance.share * BUFFER_BYTES:
            self._readers = 1
            self._joining.start(self._run(self._read_alone))
        elif self._blob.size:
            # All of it has room at once: no thread is needed to read ahead.
            self._claimed = self._blob.size
            try:
                self._read(_Range(0, self._blob.size, None, is_own=True))
            except _Over:
                raise self._cancelled() from None

    def _wait_for(self, position: int) -> _Filled:
        with self._changed:
            while position not in self._filled:
                if self._failure is not None:
                    raise self._failure
                if self._is_cancelled():
                    raise self._cancelled()
                self._changed.wait(0.2)
            return self._filled.pop(position)

    def _put(self, filled: _Filled) -> None:
        with self._changed:
            self._allowance.put(filled.buffer, is_own=filled.is_own)
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._is_over = True
            for filled in self._filled.values():
                self._allowance.put(filled.buffer, is_own=filled.is_own)
            self._filled.clear()
            self._changed.notify_all()

    # Readers, each in a thread of its own.

    def _run(self, read: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                read()
            except _Over:
                pass
            except Exception as error:  # noqa: BLE001 - it is raised where the chunks are asked for
                with self._changed:
                    self._failure = self._failure or error
            finally:
                with self._changed:
                    self._readers -= 1
                    self._changed.notify_all()

        return run

    def _read_alone(self) -> None:
        length = FIRST_RANGE
        while not self._is_joined:
            with self._changed:
                start = self._claimed
                self._claimed = min(start + length, self._blob.size)
                if start == self._claimed:
                    return
            self._read(_Range(start, self._claimed, None, is_own=True))
            length *= GROWTH
        self._read_joined()

    def _read_joined(self) -> None:
        while (found := self._claim()) is not None:
            self._invite()
            self._read(found)

    def _claim(self) -> _Range | None:
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
                    found = _Range(self._claimed, stop, deque(buffers), is_own)
                    self._claimed = stop
                    return found
                self._changed.wait(0.05)
        return None

    def _invite(self) -> None:
        """Let as many readers join as there is room for."""
        while True:
            with self._changed:
                if self._is_over or self._claimed >= self._blob.size or not self._joining.may_join(self._readers):
                    return
                self._readers += 1
            run = self._run(self._read_joined)

            def visit(run: Callable[[], None] = run) -> None:
                try:
                    run()
                finally:
                    self._joining.leave()

            self._joining.start(visit)

    def _read(self, part: _Range) -> None:
        """Read a range into buffers and hand each over; continue where it breaks off."""
        progress = _Progress(part)
        backoff = Backoff(_RESUMES)
        try:
            while progress.at < part.stop:
                reached = progress.at
                try:
                    self._read_on(part, progress)
                except RetryLater as error:
                    if progress.at > reached:
                        backoff = Backoff(_RESUMES)
                    self._rest(backoff, error)
        finally:
            self._put_back(part, progress)

    def _read_on(self, part: _Range, progress: "_Progress") -> None:
        with doing(Side.SOURCE, "read blob"):
            whole = part.stop == self._blob.size and progress.at == 0
            with self._reader.open(progress.at, None if whole else part.stop) as stream:
                if not self._reader.takes_ranges and progress.at == 0:
                    self._take_all(part)
                while progress.at < part.stop:
                    self._fill(part, progress, stream)
                if part.stop == self._blob.size and stream.readinto(memoryview(bytearray(1))):
                    raise _mismatch(f"blob {self._blob.digest} has more than its {self._blob.size} bytes")

    def _take_all(self, part: _Range) -> None:
        """The registry sends the whole blob, whatever it was asked for: then all of it is this range."""
        with self._changed:
            part.stop = self._claimed = self._blob.size

    def _fill(self, part: _Range, progress: "_Progress", stream: Stream) -> None:
        if progress.buffer is None:
            progress.buffer = part.buffers.popleft() if part.buffers is not None else self._take_own()
        wanted = min(BUFFER_BYTES, part.stop - progress.at + progress.filled)
        view = memoryview(progress.buffer)
        while progress.filled < wanted:
            begun = time.monotonic()
            count = stream.readinto(view[progress.filled : wanted])
            progress.waited += time.monotonic() - begun
            if not count:
                raise _mismatch(f"blob {self._blob.digest} ended after {progress.at} of {self._blob.size} bytes")
            progress.filled += count
            progress.at += count
        with self._changed:
            self._check_wanted()
            self._filled[progress.at - progress.filled] = _Filled(progress.buffer, progress.filled, part.is_own)
            progress.buffer, progress.filled = None, 0
            self._changed.notify_all()
        if part.buffers is None and not self._is_joined:
            self._consider(progress)

    def _consider(self, progress: "_Progress") -> None:
        """Whether this one connection is the limit, and not the processors: then others join."""
        elapsed = time.monotonic() - progress.begun
        left = self._blob.size - self._claimed
        if elapsed < _LOOK_AFTER or left < JOINED_RANGE:
            return
        rate = (progress.at - progress.start) / elapsed
        is_waiting = progress.waited > _SLOW_WAIT * elapsed and rate < _SLOW_RATE
        if is_waiting and time.process_time() - progress.begun_processor < _BUSY * elapsed:
            self._is_joined = True
            self._invite()

    def _take_own(self) -> bytearray:
        with self._changed:
            while not self._allowance.has_own:
                self._check_wanted()
                self._changed.wait(0.2)
            return self._allowance.take_own()

    def _put_back(self, part: _Range, progress: "_Progress") -> None:
        left = [*(part.buffers or ()), *([progress.buffer] if progress.buffer is not None else ())]
        with self._changed:
            for buffer in left:
                self._allowance.put(buffer, is_own=part.is_own)

    def _rest(self, backoff: Backoff, error: RetryLater) -> None:
        """Wait before a range is continued, or give up."""
        with self._changed:
            self._check_wanted()
            self._resumes += 1
            if error.reason is Reason.CONTENT_MISMATCH or self._resumes > _RESUMES_IN_ALL:
                raise error
        if not backoff.rest(error.after, lambda: self._is_over or self._is_cancelled()):
            raise error

    def _check_wanted(self) -> None:
        if self._is_over or self._is_cancelled() or self._failure is not None:
            raise _Over

    def _cancelled(self) -> RetryLater:
        return RetryLater(Reason.PENDING, f"nobody waits for blob {self._blob.digest} any more")

    def end(self) -> None:
        """Want no more, and wait for the readers, who notice within one read."""
        self._end()
        with self._changed:
            while self._readers:
                self._changed.wait(0.2)


class _Progress:
    """How far a range is, and how long its reader waited for the network."""

    def __init__(self, part: _Range) -> None:
        self.start = self.at = part.start
        self.begun = time.monotonic()
        self.begun_processor = time.process_time()
        self.waited = 0.0
        self.buffer: bytearray | None = None
        self.filled = 0


def _mismatch(what: str) -> RetryLater:
    return RetryLater(Reason.CONTENT_MISMATCH, what, side=Side.SOURCE, step="read blob")
