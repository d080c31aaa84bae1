"""Everything that can go wrong at ECR, one by one and by dice: nothing is lost, and nobody is called in vain."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from aws.conftest import Aws
from aws.fleet import DEVELOPMENT, build, desk, holds, unhurried
from aws.test_source_access import EDITOR, LAMBDA, SID
from ecr_twin import Fault
from oci.images import image, multi_arch
from promotion.world import Desk
from transship.cli.registries import AwsRegistries
from transship.errors import Reason
from transship.promotion.status import Phase

CONTENT, OTHER = multi_arch(seed=b"faulty", layer_bytes=60_000), image([b"other"])
MOST_LOOKS = 40
ON_THE_WAY = ("reset-request", "reset-response", "truncate", "status-before", "status-after", "slow")
HERE, THERE = "111111111111*", "222222222222*"


def fault(kind: str, **settings: Any) -> Fault:
    return Fault(kind, **settings)


HEALING: Mapping[str, Fault] = {
    "X1 a download is reset": fault("reset", action="GetObject", at=10_000),
    "X1 an upload is reset": fault("reset", method="PATCH", direction="request", at=10_000),
    "X1 the answer to a push is lost": fault("reset", action="PutImage"),
    "X1 the answer of the API is lost": fault("reset", action="BatchGetImage"),
    "X2 a layer is cut short": fault("truncate", action="GetObject", at=10_000),
    "X2 a byte of a layer is flipped": fault("flip", action="GetObject", at=12_345),
    "X2 a byte of an API answer is flipped, and it is no JSON any more": fault("flip", action="BatchGetImage", at=0),
    "X2 a byte of a manifest is flipped": fault("flip", action="BatchGetImage", at=150),
    "X4 everything is far away": fault("slow", seconds=0.05, times=20),
    "X5 a stream stalls": fault("stall", action="GetObject", at=5_000, seconds=0.3),
    "X6 an upload vanishes before its part": fault("vanish", action="UploadLayerPart"),
    "X6 an upload vanishes before its end": fault("vanish", action="CompleteLayerUpload"),
    "X7 reads are stale": fault("stale", seconds=0.5),
    "X8 somebody removes the tag": fault(
        "foreign", action="PutImage", when="after", write="delete-tag", tag="v1", nth=3
    ),
    "X8 layers are cleaned up before the manifest": fault("foreign", action="PutImage", write="purge-layers"),
    "X8 somebody deletes a child that has arrived, before the index": fault(
        "foreign",
        action="PutImage",
        url=THERE,
        nth=2,
        write="delete-image",
        digest=str(CONTENT.manifests[0].descriptor.digest),
    ),
    "X8 somebody creates the repository just before us": fault(
        "foreign", action="CreateRepository", url=THERE, write="create-repository"
    ),
    "X9 the clocks are ten minutes apart": fault("skew", seconds=600),
    "X10 the blob host has no name": fault("unreachable", how="dns"),
    "X10 the blob host has a strange certificate": fault("unreachable", how="tls"),
} | {
    f"X3 {action} answers {status} {when} its effect": fault("status", action=action, status=status, when=when)
    for action in ("PutImage", "CompleteLayerUpload", "InitiateLayerUpload", "CreateRepository", "BatchGetImage")
    for status, when in ((500, "before"), (502, "after"), (503, "after"))
}


@pytest.fixture(autouse=True)
def _no_fault_stays(aws: Aws) -> Iterator[None]:
    yield
    aws.twin.faults.clear()


@pytest.fixture
def path(aws: Aws) -> str:
    """A repository in development with CONTENT at v1 and OTHER at v2."""
    found = aws.repository()
    build(aws.act_as("ci", quotas=unhurried()), found, {"v1": CONTENT, "v2": OTHER})
    return found


@pytest.fixture
def registries(aws: Aws, path: str) -> AwsRegistries:
    return aws.act_as("transship-controller", quotas=unhurried())


def look_until_it_ends(request: Desk) -> None:
    for _ in range(MOST_LOOKS):
        result = request.look()
        assert result is None or not result.unexpected, result.unexpected
        if request.status.phase is not Phase.RETRYING:
            return


@pytest.mark.parametrize("name", HEALING)
def test_what_heals_is_tried_again_until_the_image_is_there(
    aws: Aws, registries: AwsRegistries, path: str, name: str
) -> None:
    request = desk(registries, [(path, "v1")])
    aws.twin.faults.add(HEALING[name])
    look_until_it_ends(request)
    assert request.status.phase is Phase.PROMOTED, request.status.ready
    if HEALING[name].kind == "skew":
        assert aws.twin.faults.skew == HEALING[name].seconds, "the clocks were apart all the time"
    elif HEALING[name].kind != "stale":
        assert aws.twin.faults.happened(), "the fault was met"
    aws.twin.faults.clear()
    assert holds(registries, path, "v1", CONTENT)


def test_a_tag_that_somebody_moves_meanwhile_is_a_conflict_and_stays_theirs(
    aws: Aws, registries: AwsRegistries, path: str
) -> None:
    first = desk(registries, [(path, "v2")])
    first.look()
    other = str(OTHER.root.descriptor.digest)
    move = fault("foreign", action="PutImage", when="after", write="move-tag", tag="v1", digest=other, nth=3)
    aws.twin.faults.add(move)
    request = desk(registries, [(path, "v1")])
    look_until_it_ends(request)
    assert aws.twin.faults.happened()
    assert (request.status.phase, request.status.images[0].reason) == (Phase.STALLED, Reason.TAG_CONFLICT)
    assert other in request.status.images[0].message


def test_a_repository_that_somebody_deletes_meanwhile_is_made_again(
    aws: Aws, registries: AwsRegistries, path: str
) -> None:
    aws.twin.faults.add(fault("foreign", action="InitiateLayerUpload", url=THERE, write="delete-repository"))
    request = desk(registries, [(path, "v1")])
    request.look()
    assert aws.twin.faults.happened()
    assert request.status.images[0].reason == Reason.REPOSITORY_MISSING
    request.ask()
    assert request.status.phase is Phase.PROMOTED, request.status.ready
    assert holds(registries, path, "v1", CONTENT)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_policy_that_somebody_else_writes_meanwhile_is_kept_and_so_is_our_statement(
    aws: Aws, registries: AwsRegistries, path: str, when: Any
) -> None:
    theirs = {"Version": "2012-10-17", "Statement": [LAMBDA]}
    aws.twin.faults.add(fault("foreign", action="SetRepositoryPolicy", when=when, write="edit-policy", policy=theirs))
    as_itself = {"registry": str(DEVELOPMENT)}
    request = desk(registries, [(path, "v1")], source=as_itself, sourceAccess={"managePolicy": True, **EDITOR})
    look_until_it_ends(request)
    assert aws.twin.faults.happened()
    assert request.status.phase is Phase.PROMOTED, request.status.ready
    assert SID in aws.sids(path)
    if when == "after":  # one written between our read and our write is lost, as the how-to says
        assert LAMBDA["Sid"] in aws.sids(path)


def test_clocks_that_are_an_hour_apart_need_somebody_and_the_message_names_the_clock(
    aws: Aws, registries: AwsRegistries, path: str
) -> None:
    aws.twin.faults.add(fault("skew", seconds=3600))
    request = desk(registries, [(path, "v1")])
    request.look()
    assert (request.status.phase, request.status.images[0].reason) == (Phase.STALLED, Reason.DENIED)
    assert "clock" in request.status.images[0].message


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_dice_do_nothing_is_lost_and_nobody_is_called(aws: Aws, seed: int) -> None:
    path = f"shop/dice-{seed}"  # the same name every time: the dice look at names, too
    aws.ecr("ci").create_repository(repositoryName=path)
    build(aws.act_as("ci", quotas=unhurried()), path, {"v1": CONTENT, "v2": OTHER})
    registries = aws.act_as("transship-controller", quotas=unhurried())
    request = desk(registries, [(path, "v1"), (path, "v2")])
    aws.twin.faults.add(fault("random", probability=0.12, seed=seed, at=20_000, kinds=ON_THE_WAY))
    # Bytes are flipped where digests have to find it; what an answer of the API says is TLS's to protect.
    aws.twin.faults.add(fault("random", action="GetObject", probability=0.3, seed=seed, at=100, kinds=("flip",)))
    look_until_it_ends(request)
    struck = len(aws.twin.faults.happened())
    aws.twin.faults.clear()
    assert struck, "the dice did something"
    assert request.status.phase is Phase.PROMOTED, request.status.ready
    assert holds(registries, path, "v1", CONTENT)
    assert holds(registries, path, "v2", OTHER)
