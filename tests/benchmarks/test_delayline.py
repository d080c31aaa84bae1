"""The servers of the benchmark are as far away as they say, count what they see, and refuse what a registry refuses.

Times are compared with lower bounds only: a slow machine makes everything later, never earlier.
"""

import base64
import hashlib
import time
from http.client import HTTPConnection, HTTPResponse, IncompleteRead

import pytest
from copying.content import REPOSITORY
from copying.scenarios import Images, Network
from copying.world import PASSWORD, USER, World

from benchmarks.conftest import KIBIBYTE, MakeWorld

BASIC = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
REGISTRY = f"/v2/{REPOSITORY}"


def ask(
    host: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def get_blob(world: World, headers: dict[str, str] | None = None) -> tuple[HTTPResponse, bytes]:
    path = f"{REGISTRY}/blobs/{world.content.largest.digest}"
    return ask(world.places.source.host, "GET", path, headers)


def upload(world: World, data: bytes, digest: str) -> HTTPResponse:
    host = world.places.destination.host
    started, _ = ask(host, "POST", f"{REGISTRY}/blobs/uploads/")
    patched, _ = ask(host, "PATCH", started.headers["Location"], body=data)
    return ask(host, "PUT", f"{patched.headers['Location']}&digest={digest}")[0]


def test_a_blob_arrives_as_it_is_over_a_line_with_delay_and_cap(make_world: MakeWorld) -> None:
    world = make_world(network=Network(round_trip_ms=5, download_rate=20e6, upload_rate=20e6))

    _, data = get_blob(world)

    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == world.content.largest.digest


def test_nothing_is_faster_than_the_round_trips_and_the_rate_allow(make_world: MakeWorld) -> None:
    round_trip, rate = 0.1, 4e6
    world = make_world(network=Network(round_trip_ms=round_trip * 1000, download_rate=rate))
    began = time.monotonic()

    _, data = get_blob(world)

    # One round trip for the handshake, one for question and answer.
    assert time.monotonic() - began >= 2 * round_trip + len(data) / rate - 0.01


def test_uploads_have_a_rate_of_their_own(make_world: MakeWorld) -> None:
    rate = 4e6
    world = make_world(network=Network(upload_rate=rate))
    data = bytes(1200 * KIBIBYTE)
    began = time.monotonic()

    response = upload(world, data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    assert response.status == 201
    assert time.monotonic() - began >= len(data) / rate - 0.01


def test_requests_and_bytes_are_counted_until_the_next_reset(make_world: MakeWorld) -> None:
    world = make_world()
    _, data = get_blob(world)
    get_blob(world)
    ask(world.places.destination.host, "HEAD", f"{REGISTRY}/blobs/{world.content.largest.digest}")

    counts = world.counts()

    assert counts is not None
    assert counts.by_kind == {"GET blobs": 2, "HEAD blobs": 1}
    assert (counts.requests, counts.connections, counts.served) == (3, 3, 2 * len(data))
    world.reset()
    after = world.counts()
    assert after is not None
    assert (after.requests, after.connections, after.served, after.received) == (0, 0, 0, 0)


def test_bytes_that_arrive_are_counted_even_if_they_are_refused(make_world: MakeWorld) -> None:
    world = make_world()

    response = upload(world, b"x" * 1000, "sha256:" + "0" * 64)

    assert response.status == 400
    counts = world.counts()
    assert counts is not None
    assert counts.received == 1000
    assert "blobs committed" not in counts.by_kind


def test_a_range_is_answered_with_exactly_those_bytes(make_world: MakeWorld) -> None:
    world = make_world()
    _, whole = get_blob(world)

    response, part = get_blob(world, {"Range": "bytes=1000-2999"})

    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes 1000-2999/{len(whole)}"
    assert part == whole[1000:3000]


@pytest.mark.parametrize("network", [Network(), Network(round_trip_ms=1)], ids=["near", "far"])
def test_so_many_downloads_break_off_in_their_middle_and_then_no_more(make_world: MakeWorld, network: Network) -> None:
    world = make_world(network=network, cuts=2)
    for _ in range(2):
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            get_blob(world)

    _, whole = get_blob(world)

    assert len(whole) == world.content.largest.size
    counts = world.counts()
    assert counts is not None
    assert counts.by_kind["cuts"] == 2
    assert counts.served == len(whole) // 2 * 2 + len(whole)


def test_ecr_asks_for_credentials_and_sends_to_a_host_that_wants_none(make_world: MakeWorld) -> None:
    world = make_world(network=Network(like_ecr=True))
    refused, _ = get_blob(world)
    redirected, _ = get_blob(world, BASIC)
    _, _, host, path = redirected.headers["Location"].split("/", 3)

    with_credentials, _ = ask(host, "GET", f"/{path}", BASIC)
    without, data = ask(host, "GET", f"/{path}")

    assert (refused.status, redirected.status, with_credentials.status, without.status) == (401, 307, 400, 200)
    assert host == world.places.blobs.host
    assert len(data) == world.content.largest.size


def test_a_manifest_needs_its_blobs(make_world: MakeWorld) -> None:
    world = make_world()
    image = world.content.images[0]
    path = f"{REGISTRY}/manifests/{image.tag}"

    response, _ = ask(world.places.destination.host, "PUT", path, body=image.manifest.encode())

    assert response.status == 400


def test_an_upload_is_continued_only_where_it_ended(make_world: MakeWorld) -> None:
    world = make_world()
    host = world.places.destination.host
    started, _ = ask(host, "POST", f"{REGISTRY}/blobs/uploads/")
    ask(host, "PATCH", started.headers["Location"], body=b"some")

    again, _ = ask(host, "PATCH", started.headers["Location"], body=b"some")

    assert again.status == 416


def test_quotas_answer_429_after_their_burst(make_world: MakeWorld) -> None:
    world = make_world(images=Images(1, (KIBIBYTE,)), ecr_quotas=True)
    path = f"{REGISTRY}/manifests/v1"

    statuses = [ask(world.places.destination.host, "PUT", path, body=b"{}")[0].status for _ in range(200)]

    # However slow this machine is, ten a second and a burst of ten are fewer than two hundred at once.
    assert set(statuses) == {201, 429}
    counts = world.counts()
    assert counts is not None
    assert counts.by_kind["429"] == statuses.count(429)


def test_a_destination_that_keeps_nothing_hashes_what_comes(make_world: MakeWorld) -> None:
    world = make_world(keeps_blobs=False)
    good = bytes(3000)

    assert upload(world, good, f"sha256:{hashlib.sha256(good).hexdigest()}").status == 201
    assert upload(world, bytes(3001), f"sha256:{hashlib.sha256(good).hexdigest()}").status == 400


def test_the_ceiling_is_below_the_caps(make_world: MakeWorld) -> None:
    world = make_world(network=Network(round_trip_ms=1, download_rate=8e6, upload_rate=4e6))

    ceiling = world.ceiling(2)

    assert 0 < ceiling["download"] <= 2 * 8e6
    assert 0 < ceiling["upload"] <= 2 * 4e6
