"""A source and a destination that count, and that are slow, break off, hang or lie where a test says so."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from oci.images import blob_descriptor
from transship.errors import Reason, RetryLater, Side
from transship.oci import backoff, buffers, flow, ranges
from transship.oci.copier import Brought, Copier
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Repository
from transship.oci.store import BlobReader, Chunk

BUFFER = 4096
"""Bytes of a buffer while `small_buffers` is in force."""


@contextmanager
def small_buffers() -> Iterator[None]:
    """Everything a 256th of its size, so that small blobs are large ones, and little waiting."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (buffers, flow, ranges):
            for name, size in {
                "BUFFER_BYTES": BUFFER,
                "CHUNK_BYTES": BUFFER // 4,
                "FIRST_RANGE": 16 * BUFFER,
                "JOINED_RANGE": 2 * BUFFER,
                "_LOOK_AFTER": 0.005,
            }.items():
                if hasattr(module, name):
                    patch.setattr(module, name, size)
        patch.setattr(backoff, "FIRST_SECONDS", 0.002)
        patch.setattr(backoff, "MAX_SECONDS", 0.01)
        yield


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same nowhere: a part in the wrong place is noticed."""
    numbers = range(seed, seed + size // 8 + 1)
    return b"".join(number.to_bytes(8, "big") for number in numbers)[:size]


def cut() -> RetryLater:
    return RetryLater(Reason.UNREACHABLE, "the connection broke off", side=Side.SOURCE, step="read blob")


@dataclass(slots=True)
class Well(MemoryRepository):
    """A source that counts what is read of it.

    Attributes:
        has_ranges: whether it gives parts; else it answers everything with the whole blob.
        pause: seconds before each read of a connection.
        before: called before each read with the blob's digest and the position; what it raises, the read raises.
        opened: per blob, what was asked for.
        served: per blob, bytes handed out.
        readers: connections that are being read.
        most_readers: the most there were at once.
        rooms: the buffers that bytes were put into.
    """

    has_ranges: bool = True
    pause: float = 0.0
    before: Callable[[Digest, int], None] = lambda _digest, _at: None
    opened: dict[Digest, list[tuple[int, int | None]]] = field(default_factory=dict)
    served: Counter[Digest] = field(default_factory=Counter)
    readers: int = 0
    most_readers: int = 0
    rooms: dict[int, object] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, *blobs: bytes) -> list[Descriptor]:
        """Have these blobs."""
        self.blobs.update({Digest.of(blob): blob for blob in blobs})
        return [blob_descriptor(blob) for blob in blobs]

    def read_blob(self, blob: Descriptor) -> BlobReader:
        return _WellReader(self, blob)


@dataclass(slots=True)
class _WellReader:
    well: Well
    blob: Descriptor
    takes_ranges: bool = True

    @contextmanager
    def open(self, start: int = 0, stop: int | None = None) -> Iterator["_WellStream"]:
        well = self.well
        with well.lock:
            well.opened.setdefault(self.blob.digest, []).append((start, stop))
            well.readers += 1
            well.most_readers = max(well.most_readers, well.readers)
        try:
            if not well.has_ranges and (start, stop) != (0, None):
                self.takes_ranges = False
                stop = None
                if start:
                    raise RetryLater(Reason.REGISTRY_ERROR, "it cannot continue", side=Side.SOURCE, step="read blob")
            yield _WellStream(well, self.blob.digest, start, memoryview(well.blobs[self.blob.digest])[start:stop])
        finally:
            with well.lock:
                well.readers -= 1


@dataclass(slots=True)
class _WellStream:
    well: Well
    digest: Digest
    at: int
    left: memoryview

    def readinto(self, room: memoryview) -> int:
        well = self.well
        if self.left:
            time.sleep(well.pause)
            well.before(self.digest, self.at)
        count = min(len(room), len(self.left), well.chunk_bytes)
        room[:count], self.left = self.left[:count], self.left[count:]
        self.at += count
        with well.lock:
            well.served[self.digest] += count
            if len(room.obj) > 1:  # type: ignore[arg-type] # a buffer; a single byte only asks whether there is more
                well.rooms[id(room.obj)] = room.obj
        return count


@dataclass(slots=True)
class Store(MemoryRepository):
    """A destination that counts what is brought to it.

    Attributes:
        before: called before each push with the blob.
        between: called after each chunk with the blob and the bytes so far; what it raises, the push raises.
        began: per blob, how often an upload of it began.
        committed: per blob, how often one was completed.
        seen: per blob, the bytes of the latest upload, completed or not.
    """

    before: Callable[[Descriptor], None] = lambda _blob: None
    between: Callable[[Descriptor, int], None] = lambda _blob, _count: None
    began: Counter[Digest] = field(default_factory=Counter)
    committed: Counter[Digest] = field(default_factory=Counter)
    seen: dict[Digest, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        with self.lock:
            self.began[blob.digest] += 1
        self.before(blob)
        MemoryRepository.push_blob(self, blob, self._watch(blob, chunks))
        with self.lock:
            self.committed[blob.digest] += 1
        return False

    def _watch(self, blob: Descriptor, chunks: Iterator[Chunk]) -> Iterator[bytes]:
        self.seen[blob.digest] = 0
        for chunk in chunks:
            held = bytes(chunk)  # a chunk is good until the next one is asked for
            self.seen[blob.digest] += len(held)
            yield held
            self.between(blob, self.seen[blob.digest])


def bring(
    copier: Copier,
    source: Well,
    destination: Store,
    blobs: Iterable[Descriptor],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> list[Brought]:
    """Move blobs, as a copy of one image does."""
    return list(copier.bring(source, destination, blobs, lambda _blob, _count: None, is_cancelled))


def idle(copier: Copier) -> bool:
    """Whether a copier has nothing left to do, and has everything back that it lent."""
    budget = copier._budget
    return not copier._flights and not copier._moving and not copier._joined and budget._free == budget.total


def wait_until(is_true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)
