"""Reading ranges of one blob into buffers, continuing each where it breaks off."""

import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from transship.errors import Reason, RetryLater, Side, doing
from transship.oci.backoff import Backoff
from transship.oci.buffers import BUFFER_BYTES
from transship.oci.descriptor import Descriptor
from transship.oci.store import BlobReader, Stream

_RESUMES = 5
_RESUMES_IN_ALL = 100


class Over(Exception):  # noqa: N818 - it is no error, but how readers are told to stop
    """Nobody wants the rest."""


@dataclass(slots=True)
class Range:
    """Bytes `start` to `stop`, and how far they have been read.

    Attributes:
        buffers: for all of it; None when each is taken from the blob's own share as it is needed.
        is_own: whether its buffers are of the blob's own share.
        at: the next byte to be read.
        waited: seconds its reader has waited for the network.
        begun: when reading began, on the clock and in processor time of the process, in seconds.
    """

    start: int
    stop: int
    buffers: deque[bytearray] | None = None
    is_own: bool = True
    at: int = field(init=False)
    waited: float = 0.0
    begun: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def __post_init__(self) -> None:
        self.at = self.start


@dataclass(frozen=True, slots=True)
class Filled:
    """A buffer with the bytes of a blob from `at` on."""

    at: int
    buffer: bytearray
    length: int
    is_own: bool


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a reader has to know of whom it reads for.

    Attributes:
        check: raises `Over` when nobody wants the rest.
        is_over: the same as an answer.
        take_own: waits for a buffer of the blob's own share.
        put_back: takes a buffer that was not filled.
        widen: says that all of the blob comes with the range that begins it.
    """

    check: Callable[[], None]
    is_over: Callable[[], bool]
    take_own: Callable[[], bytearray]
    put_back: Callable[[bytearray, bool], None]
    widen: Callable[[Range], None]


class Ranges:
    """Reads ranges of one blob; several threads may, each its own."""

    def __init__(self, blob: Descriptor, reader: BlobReader, wishes: Wishes) -> None:
        self._blob = blob
        self._reader = reader
        self._wishes = wishes
        self._resumes = 0

    def read(self, part: Range) -> Generator[Filled, None, None]:
        """Fill buffers with a range, one after the other; each is whoever's it is yielded to.

        Raises:
            Over: nobody wants the rest.
            RetryLater: ContentMismatch, or the connection breaks off time and again.
            NeedsHuman: whatever the source refuses.
        """
        backoff, reached, held = Backoff(_RESUMES), part.start, _Held()
        try:
            while part.at < part.stop:
                try:
                    yield from self._read_on(part, held)
                except RetryLater as error:
                    if part.at > reached:
                        backoff, reached = Backoff(_RESUMES), part.at
                    self._rest(backoff, error)
        finally:
            for buffer in (*(part.buffers or ()), *((held.buffer,) if held.buffer is not None else ())):
                self._wishes.put_back(buffer, part.is_own)

    def _read_on(self, part: Range, held: "_Held") -> Generator[Filled, None, None]:
        with doing(Side.SOURCE, "read blob"):
            is_whole = part.stop == self._blob.size and part.at == 0
            with self._reader.open(part.at, None if is_whole else part.stop) as stream:
                if part.at == 0 and not self._reader.takes_ranges:
                    self._wishes.widen(part)
                while part.at < part.stop:
                    yield self._fill(part, held, stream)

    def _fill(self, part: Range, held: "_Held", stream: Stream) -> Filled:
        if held.buffer is None:
            held.buffer = part.buffers.popleft() if part.buffers is not None else self._wishes.take_own()
        wanted = min(BUFFER_BYTES, part.stop - part.at + held.length)
        room = memoryview(held.buffer)
        while held.length < wanted:
            begun = time.monotonic()
            count = stream.readinto(room[held.length : wanted])
            part.waited += time.monotonic() - begun
            if not count:
                raise mismatch(f"blob {self._blob.digest} ended after {part.at} of {self._blob.size} bytes")
            held.length += count
            part.at += count
        if part.at == self._blob.size and stream.readinto(memoryview(bytearray(1))):
            raise mismatch(f"blob {self._blob.digest} has more than its {self._blob.size} bytes")
        self._wishes.check()
        filled = Filled(part.at - held.length, held.buffer, held.length, part.is_own)
        held.buffer, held.length = None, 0
        return filled

    def _rest(self, backoff: Backoff, error: RetryLater) -> None:
        """Wait before a range is continued, or give up."""
        self._wishes.check()
        self._resumes += 1
        if error.reason is Reason.CONTENT_MISMATCH or self._resumes > _RESUMES_IN_ALL:
            raise error
        if not backoff.rest(error.after, self._wishes.is_over):
            raise error


class _Held:
    """A buffer that is being filled."""

    def __init__(self) -> None:
        self.buffer: bytearray | None = None
        self.length = 0


def mismatch(what: str) -> RetryLater:
    """The content is not what it was said to be."""
    return RetryLater(Reason.CONTENT_MISMATCH, what, side=Side.SOURCE, step="read blob")
