"""A run counts only when what should have arrived has arrived, exactly."""

import sys
from pathlib import Path

from copying import contenders, verification
from copying.contenders import Contender
from copying.content import REPOSITORY
from copying.rounds import measure
from copying.scenarios import CRANE, CRANE_ALL, CRANE_P8
from copying.world import World

from benchmarks.conftest import MakeWorld
from localworld import tools

# A client that moves everything, and changes one byte of the largest blob on the way.
CARELESS = f"""
import http.client, json, sys
source, destination, listing = sys.argv[1:]
def ask(host, method, path, body=None, kind="application/octet-stream"):
    connection = http.client.HTTPConnection(host)
    connection.request(method, path, body=body, headers={{"Content-Type": kind}})
    response = connection.getresponse()
    return response, response.read()
content = json.load(open(listing))
names = ["sha256:" + blob.rpartition("/")[2] for blob in content["blobs"]]
bodies = {{name: ask(source, "GET", "/v2/{REPOSITORY}/blobs/" + name)[1] for name in names}}
largest = max(bodies, key=lambda name: len(bodies[name]))
bodies[largest] = bodies[largest][:-1] + b"?"
for name, body in bodies.items():
    started, _ = ask(destination, "POST", "/v2/{REPOSITORY}/blobs/uploads/")
    done, _ = ask(destination, "PUT", started.headers["Location"] + "&digest=" + name, body)
    assert done.status == 201, done.status
for image in content["images"]:
    path = "/v2/{REPOSITORY}/manifests/" + image["tag"]
    assert ask(destination, "PUT", path, image["manifest"], image["mediaType"])[0].status == 201
"""


def careless(world: World) -> list[list[str]]:
    hosts = [world.places.source.host, world.places.destination.host]
    return [[sys.executable, "-I", "-c", CARELESS, *hosts, str(world.content.path)]]


def test_stock_crane_copies_and_is_believed_after_the_content_was_read(
    make_world: MakeWorld, crane_binary: Path
) -> None:
    assert crane_binary.is_file()
    world = make_world()

    for name in (CRANE, CRANE_P8, CRANE_ALL):
        run = measure(world, contenders.PEERS[name])

        assert run.is_good, (name, run.failure, run.complaints)
        assert run.counts is not None
        assert run.counts.by_kind["PUT manifests"] == 2
        assert run.counts.received >= world.content.size
        assert run.memory > 0
        assert run.cpu > 0


def test_a_byte_that_differs_makes_a_run_wrong(make_world: MakeWorld) -> None:
    world = make_world()

    run = measure(world, Contender("careless", careless))

    assert not run.failure
    assert not run.is_good
    largest = world.content.largest
    assert run.complaints == (f"blob {largest.digest} has other content, {largest.size} bytes of it",)


def test_a_client_that_does_nothing_and_says_all_is_well_is_wrong(make_world: MakeWorld) -> None:
    world = make_world()

    run = measure(world, Contender("idle", lambda _: [["true"]]))

    assert not run.is_good
    assert run.complaints[:2] == ("tag v000 is missing", "tag v001 is missing")


def test_a_client_that_fails_is_a_failure_with_what_it_said(make_world: MakeWorld) -> None:
    world = make_world()

    run = measure(
        world, Contender("failing", lambda _: [["true"], ["sh", "-c", "echo no such luck; exit 3"], ["true"]])
    )

    assert "no such luck" in run.failure
    assert "exit status 3" in run.failure


def test_every_run_meets_the_same_destination(make_world: MakeWorld) -> None:
    empty = make_world()
    measure(empty, Contender("careless", careless))

    empty.reset()

    complaints = verification.complaints(empty.inspect_address, empty.content)
    assert len(complaints) == len(empty.content.images) + len(empty.content.blobs)


def test_a_filled_destination_has_everything(make_world: MakeWorld) -> None:
    world = make_world(filled=True)

    run = measure(world, Contender("idle", lambda _: [["true"]]))

    assert run.is_good
    assert run.counts is not None
    assert run.counts.requests == 0


def test_the_launcher_itself_is_pinned_like_every_tool() -> None:
    assert set(contenders.NEEDS) <= set(tools.TOOLS)
