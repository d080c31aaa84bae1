"""The copier against a registry that lies: one clear error, nothing at the destination, and the process stays well."""

import gzip
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from oci.images import Content, blob_descriptor, image
from oci.moving import BUFFER, Store, content, idle, small_buffers, wait_until
from registry.conftest import SECRET, open_repository
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.closure import closure
from transship.oci.copier import Copier, Limits
from transship.oci.copy import CopyReport, copy, missing, prove
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Tag
from transship.oci.store import Destination, Source

LAYER = content(50 * BUFFER)
LAYER_DIGEST = blob_descriptor(LAYER).digest
IMAGE = image([LAYER, b"small"])
GOOD = image([content(30 * BUFFER, 77), b"other"])
TAG = Tag("v1")
SIGNED = "?X-Amz-Signature=canary-of-a-signature"
WORDS = b"words-of-the-registry"
SECONDS = 10.0

Reply = Callable[[Seen], Answer]


@pytest.fixture(autouse=True)
def _small(hasty: None) -> Iterator[None]:
    with small_buffers():
        yield


@pytest.fixture
def copier() -> Copier:
    return Copier(Limits(memory=16 * BUFFER, restarts=1))


def range_of(seen: Seen, size: int) -> tuple[int, int]:
    """Start and stop of what is asked for."""
    start, _, last = seen.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(start), min(int(last or size - 1) + 1, size)


def serve(blob: bytes, seen: Seen) -> Answer:
    """What an honest registry answers when it is asked for a blob, or a part of one."""
    start, stop = range_of(seen, len(blob))
    if "Range" not in seen.headers:
        return sized(blob)
    return sized(blob[start:stop], 206, Content_Range=f"bytes {start}-{stop - 1}/{len(blob)}")


def honest(*images: Content) -> Reply:
    """A registry that holds these images."""
    things = {str(blob_descriptor(blob).digest): blob for each in images for blob in each.blobs}
    manifests = {str(each.descriptor.digest): each for content_of in images for each in content_of.manifests}

    def reply(seen: Seen) -> Answer:
        name = seen.path.rpartition("/")[2]
        if name in things:
            return serve(things[name], seen)
        if name in manifests:
            return sized(manifests[name].content, Content_Type=manifests[name].descriptor.media_type)
        return sized(b"", 404)

    return reply


def lying(lie: Reply, about: bytes = LAYER) -> Reply:
    """The same, but for one blob."""
    name, otherwise = str(blob_descriptor(about).digest), honest(IMAGE, GOOD)
    return lambda seen: lie(seen) if name in seen.path else otherwise(seen)


def promote(source: Source, destination: Destination, copier: Copier, what: Content = IMAGE) -> CopyReport:
    whole = closure(source, what.root.descriptor.digest, copier)
    report = copy(source, destination, whole, missing(destination, whole, copier), copier, tag=TAG)
    prove(destination, whole, TAG, copier)
    return report


def error_of(source: Source, destination: Destination, copier: Copier) -> TransshipError:
    begun = time.monotonic()
    with pytest.raises(TransshipError) as caught:
        promote(source, destination, copier)
    assert time.monotonic() - begun < SECONDS
    for secret in (SECRET, "canary", "X-Amz", "Basic ", WORDS.decode()):
        assert secret not in str(caught.value)
    assert caught.value.side is not None
    assert caught.value.step
    return caught.value


def assert_is_well(hostile: HostileServer, copier: Copier) -> None:
    """The same process copies a good image, by the same copier, from the same host."""
    wait_until(lambda: idle(copier))
    hostile.reply = honest(IMAGE, GOOD)
    there = MemoryRepository()
    promote(open_repository(hostile.host), there, copier, GOOD)
    assert set(there.blobs.values()) == set(GOOD.blobs)
    wait_until(lambda: idle(copier))


def elsewhere_in_the_blob(seen: Seen) -> Answer:
    start, stop = range_of(seen, len(LAYER))
    return sized(LAYER[start:stop], 206, Content_Range=f"bytes {start + 8}-{stop + 7}/{len(LAYER)}")


def another_part_under_the_right_name(seen: Seen) -> Answer:
    start, stop = range_of(seen, len(LAYER))
    return sized(LAYER[::-1][start:stop], 206, Content_Range=f"bytes {start}-{stop - 1}/{len(LAYER)}")


def less_than_was_asked_for(seen: Seen) -> Answer:
    start, stop = range_of(seen, len(LAYER))
    stop = max(start, stop - 10)
    return sized(LAYER[start:stop], 206, Content_Range=f"bytes {start}-{stop - 1}/{len(LAYER)}")


def forever(chunk: bytes) -> Iterable[bytes]:
    return itertools.repeat(chunk)


def hop(seen: Seen) -> Answer:
    return sized(WORDS, 307, Location=seen.path)


LIES: dict[str, tuple[Reply, set[Reason]]] = {
    "wrong bytes": (lambda seen: serve(LAYER[:-1] + b"?", seen), {Reason.CONTENT_MISMATCH}),
    "fewer bytes": (lambda _: sized(LAYER[:-100]), {Reason.CONTENT_MISMATCH}),
    "no bytes": (lambda _: sized(b""), {Reason.CONTENT_MISMATCH}),
    "an endless body": (lambda _: Answer(200, {}, forever(b"x" * 65536)), {Reason.CONTENT_MISMATCH}),
    "an endless body without ranges": (lambda _: Answer(206, {}, forever(b"x" * 65536)), {Reason.REGISTRY_ERROR}),
    "the metadata service": (
        lambda _: sized(WORDS, 307, Location=f"http://169.254.169.254/latest/{SIGNED}"),
        {Reason.HOST_NOT_ALLOWED},
    ),
    "the metadata service under TLS": (
        lambda _: sized(WORDS, 307, Location=f"https://169.254.169.254/latest/{SIGNED}"),
        {Reason.HOST_NOT_ALLOWED},
    ),
    "redirects for ever": (hop, {Reason.REGISTRY_ERROR}),
    "a bomb": (
        lambda _: sized(gzip.compress(b"0" * 5_000_000), Content_Encoding="gzip"),
        {Reason.REFUSED_BY_REGISTRY},
    ),
    "another part, and says so": (elsewhere_in_the_blob, {Reason.REGISTRY_ERROR}),
    "another part, and does not say so": (another_part_under_the_right_name, {Reason.CONTENT_MISMATCH}),
    "a part of the part": (less_than_was_asked_for, {Reason.CONTENT_MISMATCH, Reason.UNREACHABLE}),
    "no such part": (lambda _: sized(WORDS, 416), {Reason.REGISTRY_ERROR}),
    "come back in an hour": (lambda _: sized(WORDS, 429, Retry_After="3600"), {Reason.THROTTLED}),
    "an error of its own": (lambda _: sized(WORDS, 500), {Reason.REGISTRY_ERROR}),
    "it hangs up": (lambda _: Answer(200, {"Content-Length": "204800"}, ()), {Reason.UNREACHABLE}),
    "it has lost the layer": (lambda _: sized(WORDS, 404), {Reason.SOURCE_MISSING}),
    "nobody may": (lambda _: sized(WORDS, 403), {Reason.DENIED}),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_ends_in_one_clear_error_and_nothing_visible_and_the_next_image_is_copied(
    lie: str, hostile: HostileServer, copier: Copier
) -> None:
    reply, reasons = LIES[lie]
    hostile.reply = lying(reply)
    destination = Store()
    error = error_of(open_repository(hostile.host), destination, copier)
    assert error.reason in reasons, error
    assert (destination.tags, destination.manifests) == ({}, {})
    assert blob_descriptor(LAYER).digest not in destination.blobs
    assert len(hostile.seen) < 200
    assert_is_well(hostile, copier)


def test_a_registry_that_answers_ranges_with_the_whole_blob_is_copied_from(
    hostile: HostileServer, copier: Copier
) -> None:
    hostile.reply = lying(lambda _: sized(LAYER))
    destination = Store()
    promote(open_repository(hostile.host), destination, copier)
    assert set(destination.blobs.values()) == set(IMAGE.blobs)


@pytest.mark.parametrize("seed", range(8))
def test_connections_that_are_cut_anywhere_are_continued_there_and_nothing_is_read_twice(
    seed: int, hostile: HostileServer, copier: Copier
) -> None:
    dice, parts = random.Random(seed), list[tuple[int, int]]()

    def cut(seen: Seen) -> Answer:
        answer, (start, stop) = serve(LAYER, seen), range_of(seen, len(LAYER))
        where = dice.randrange(start, stop) if len(parts) < 6 else stop
        parts.append((start, where))
        return Answer(answer.status, answer.headers, (LAYER[start:where],))

    hostile.reply = lying(cut)
    destination = Store()
    promote(open_repository(hostile.host), destination, copier)
    assert set(destination.blobs.values()) == set(IMAGE.blobs)
    read = sorted(part for part in parts if part[0] < part[1])
    assert [start for start, _ in read] == [0, *(stop for _, stop in read[:-1])]
    assert read[-1][1] == len(LAYER)


def test_a_cut_where_parts_are_not_to_be_had_begins_again_a_bounded_number_of_times(
    hostile: HostileServer, copier: Copier
) -> None:
    hostile.reply = lying(lambda _: Answer(200, {"Content-Length": str(len(LAYER))}, (LAYER[:100_000],)))
    destination = Store()
    error = error_of(open_repository(hostile.host), destination, copier)
    assert error.reason in {Reason.UNREACHABLE, Reason.REGISTRY_ERROR}
    assert destination.committed[LAYER_DIGEST] == 0
    assert len(hostile.seen) < 60
    assert_is_well(hostile, copier)


# --- a destination that lies


def receiving(**answers: Answer) -> Reply:
    """A registry that takes every upload, but for the methods that are said; it holds nothing."""
    usual = {
        "HEAD": sized(b"", 404),
        "POST": sized(b"", 202, Location="/v2/upload?_state=canary"),
        "PATCH": sized(b"", 202, Location="/v2/upload?_state=canary"),
        "PUT": sized(b"", 201),
        "DELETE": sized(b"", 204),
    }
    return lambda seen: answers.get(seen.method) or usual.get(seen.method) or sized(b"", 404)


@pytest.mark.parametrize(
    ("answers", "reasons"),
    [
        ({"POST": sized(b"", 202)}, {Reason.REGISTRY_ERROR}),
        ({"POST": sized(WORDS, 500)}, {Reason.REGISTRY_ERROR}),
        ({"POST": sized(WORDS, 403)}, {Reason.DENIED}),
        ({"PATCH": sized(WORDS, 500)}, {Reason.REGISTRY_ERROR}),
        ({"PUT": sized(WORDS, 500)}, {Reason.REGISTRY_ERROR}),
        ({"PUT": sized(WORDS, 429, Retry_After="3600")}, {Reason.THROTTLED}),
        ({}, {Reason.NOT_PROVEN}),
    ],
    ids=["no location", "POST 500", "POST 403", "PATCH 500", "PUT 500", "PUT 429", "it throws everything away"],
)
def test_a_destination_that_takes_nothing_ends_in_one_clear_error(
    answers: dict[str, Answer], reasons: set[Reason], hostile: HostileServer, copier: Copier
) -> None:
    hostile.reply = receiving(**answers)
    error = error_of(IMAGE.in_memory(), open_repository(hostile.host), copier)
    assert error.reason in reasons, error
    assert len(hostile.seen) < 60
    assert_is_well(hostile, copier)


def test_no_byte_of_an_upload_goes_to_another_host(
    hostile: HostileServer, elsewhere: HostileServer, copier: Copier
) -> None:
    hostile.reply = receiving(POST=sized(b"", 202, Location=f"{elsewhere.url}/v2/upload{SIGNED}"))
    destination = open_repository(hostile.host, plain_http=(hostile.host, elsewhere.host))
    error = error_of(IMAGE.in_memory(), destination, copier)
    assert isinstance(error, NeedsHuman)
    assert error.reason is Reason.REFUSED_BY_REGISTRY
    assert elsewhere.seen == []
    assert_is_well(hostile, copier)


def test_wrong_bytes_never_get_a_closing_put_and_their_upload_is_given_up(
    hostile: HostileServer, elsewhere: HostileServer, copier: Copier
) -> None:
    elsewhere.reply = lying(lambda seen: serve(LAYER[:-1] + b"?", seen))
    hostile.reply = receiving()
    source = open_repository(elsewhere.host)
    error_of(source, open_repository(hostile.host), copier)
    digest = str(LAYER_DIGEST).replace(":", "%3A")
    assert not [seen for seen in hostile.seen if seen.method == "PUT" and digest in seen.path]
    assert "DELETE" in {seen.method for seen in hostile.seen}
    assert not [seen for seen in hostile.seen if "/manifests/" in seen.path and seen.method == "PUT"]


def test_a_cancelled_copy_leaves_a_registry_that_never_answers_at_once(hostile: HostileServer, copier: Copier) -> None:
    is_asked, is_free = threading.Event(), threading.Event()

    def hang(_: Seen) -> Answer:
        is_asked.set()
        is_free.wait(20)
        return sized(b"", 500)

    hostile.reply = lying(hang)
    source = open_repository(hostile.host)
    whole, destination = closure(source, IMAGE.root.descriptor.digest, copier), Store()
    lacking = missing(destination, whole, copier)
    begun = time.monotonic()
    with pytest.raises(RetryLater):
        copy(source, destination, whole, lacking, copier, tag=TAG, cancelled=is_asked.is_set)
    assert time.monotonic() - begun < 2
    is_free.set()
    assert_is_well(hostile, copier)
    assert destination.tags == {}
