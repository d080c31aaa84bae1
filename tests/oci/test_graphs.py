"""Random graphs, many threads, random faults: a copy is complete and proven, or there is no tag."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci.images import Content, image, index
from oci.moving import BUFFER, Store, Well, content, idle, small_buffers, wait_until
from transship.errors import Reason, RetryLater
from transship.oci.closure import closure
from transship.oci.copier import Copier, Limits
from transship.oci.copy import CopyProgress, CopyReport, copy, missing, prove
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import MAX_INDEX_DEPTH, Manifest
from transship.oci.reference import Repository, Tag
from transship.oci.store import Chunk

ATTEMPTS = 60
TAG = Tag("v1")


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with small_buffers():
        yield


# Few different layers, so that images share them; one is more than a first range.
SIZES = [0, 1, 100, BUFFER, 5 * BUFFER, 18 * BUFFER]


def layers_of(numbers: list[int]) -> list[bytes]:
    return [content(SIZES[number], 1000 * number) for number in numbers]


IMAGES = st.builds(
    image,
    st.lists(st.integers(0, len(SIZES) - 1), max_size=4).map(layers_of),
    config=st.sampled_from([b"{}", b'{"os":"linux"}']),
    docker=st.booleans(),
)
GRAPHS = st.recursive(
    IMAGES,
    lambda below: st.builds(index, st.lists(below, max_size=4), docker=st.booleans(), note=st.text(max_size=3)),
    max_leaves=8,
).filter(lambda graph: height(graph) <= MAX_INDEX_DEPTH)
LIMITS = st.builds(
    Limits, st.sampled_from([1, 8 * BUFFER, 64 * BUFFER]), st.integers(1, 6), st.integers(0, 3), st.integers(1, 4)
)


def height(graph: Content) -> int:
    below = {each.descriptor.digest: each for each in graph.manifests}

    def of(manifest: Manifest) -> int:
        return max((1 + of(below[child.digest]) for child in manifest.children), default=0)

    return of(graph.root)


def holding(*graphs: Content) -> Well:
    source = Well(chunk_bytes=BUFFER)
    for graph in graphs:
        source.hold(*graph.blobs)
        source.manifests.update({each.descriptor.digest: each for each in graph.manifests})
    return source


@dataclass(frozen=True)
class Way:
    """From where to where, and by whom."""

    source: Well
    destination: Store
    copier: Copier

    def promote(
        self, graph: Content, tag: Tag = TAG, tell: Callable[[CopyProgress], None] = lambda _: None
    ) -> CopyReport:
        whole = closure(self.source, graph.root.descriptor.digest, self.copier)
        lacking = missing(self.destination, whole, self.copier)
        report = copy(self.source, self.destination, whole, lacking, self.copier, tag=tag, progress=tell)
        prove(self.destination, whole, tag, self.copier)
        return report


def assert_is_whole(graph: Content, destination: Store) -> None:
    """Every manifest and blob of a graph is there, byte by byte."""
    for manifest in graph.manifests:
        assert destination.manifests[manifest.descriptor.digest] == manifest
    for blob in graph.blobs:
        assert destination.blobs[Digest.of(blob)] == blob


@settings(max_examples=200, deadline=None)
@given(GRAPHS, LIMITS)
def test_any_graph_arrives_byte_by_byte_with_each_blob_sent_once_and_nothing_besides(
    graph: Content, limits: Limits
) -> None:
    source, destination, told = holding(graph), Store(), list[CopyProgress]()
    copier = Copier(limits)
    way = Way(source, destination, copier)
    report = way.promote(graph, tell=told.append)
    assert destination.manifests == source.manifests
    assert destination.blobs == source.blobs
    assert destination.tags == {TAG: graph.root.descriptor.digest}
    assert set(destination.committed.values()) <= {1}
    assert report.bytes_copied == report.bytes_total
    assert told[-1].bytes_copied == report.bytes_total
    again = way.promote(graph)
    assert (again.bytes_copied, again.bytes_skipped) == (0, again.bytes_total)
    assert idle(copier)


@settings(max_examples=100, deadline=None)
@given(st.lists(GRAPHS, min_size=2, max_size=6), LIMITS)
def test_graphs_that_are_copied_at_once_all_arrive_and_what_they_share_is_sent_once(
    graphs: list[Content], limits: Limits
) -> None:
    source, destination = holding(*graphs), Store()
    way = Way(source, destination, Copier(limits))
    with ThreadPoolExecutor(len(graphs)) as images:
        copies = [images.submit(way.promote, graph, Tag(f"v{number}")) for number, graph in enumerate(graphs)]
        reports = [each.result(60) for each in copies]
    for number, graph in enumerate(graphs):
        assert_is_whole(graph, destination)
        assert destination.tags[Tag(f"v{number}")] == graph.root.descriptor.digest
    assert destination.blobs == source.blobs
    assert set(destination.committed.values()) <= {1}
    assert all(each.bytes_copied + each.bytes_skipped == each.bytes_total for each in reports)


class Dice:
    """Decides by a seed which calls fail; the same seed rolls the same."""

    def __init__(self, seed: int, share: float) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._lock = threading.Lock()
        self.is_off = False

    def roll(self, *, seldom: bool = False) -> None:
        with self._lock:
            is_bad = self._random.random() < self._share / (4 if seldom else 1)
        if is_bad and not self.is_off:
            raise RetryLater(Reason.UNREACHABLE, "bad luck")


class Unlucky(Store):
    """A destination that fails before a call does its work, amid it, or after it."""

    dice: Dice

    def missing_manifests(self, digests: object) -> frozenset[Digest]:
        self.dice.roll()
        return Store.missing_manifests(self, digests)  # type: ignore[arg-type] # as it was called

    def missing_blobs(self, blobs: object) -> frozenset[Digest]:
        self.dice.roll()
        return Store.missing_blobs(self, blobs)  # type: ignore[arg-type] # as it was called

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        self.dice.roll()
        return Store.resolve(self, target)

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        self.dice.roll()
        Store.push_blob(self, blob, chunks, mount)
        self.dice.roll()
        return False

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        self.dice.roll()
        Store.push_manifest(self, manifest, target)
        if isinstance(target, Tag):
            assert_is_below(manifest, self)
        self.dice.roll()


def assert_is_below(manifest: Manifest, destination: Store) -> None:
    """At the very moment a tag appears, all of it is there."""
    for child in manifest.children:
        assert_is_below(destination.manifests[child.digest], destination)
    for blob in manifest.blobs:
        assert blob.digest in destination.blobs


@settings(max_examples=200, deadline=None)
@given(
    graph=GRAPHS,
    limits=LIMITS,
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.02, 0.1, 0.3]),
    restarts=st.sampled_from([0, 3]),
)
def test_whatever_fails_an_image_is_complete_under_its_tag_or_has_none_and_gets_there_in_the_end(
    graph: Content, limits: Limits, seed: int, share: float, restarts: int
) -> None:
    source, destination = holding(graph), Unlucky()
    dice = destination.dice = Dice(seed, share)
    copier = Copier(Limits(limits.memory, limits.blobs, limits.ranges, limits.lookups, restarts))

    source.before = lambda _digest, _at: dice.roll(seldom=True)
    way = Way(source, destination, copier)
    for left in range(ATTEMPTS, 0, -1):
        dice.is_off = left == 1
        try:
            report = way.promote(graph)
        except RetryLater:
            if destination.tags:
                assert_is_whole(graph, destination)
        else:
            break
    assert report.bytes_copied + report.bytes_skipped == report.bytes_total
    assert_is_whole(graph, destination)
    assert destination.tags == {TAG: graph.root.descriptor.digest}
    wait_until(lambda: idle(copier))
