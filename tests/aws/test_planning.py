"""What planning and promoting cost at ECR, counted by the twin."""

import uuid

import pytest

from aws.conftest import Aws
from aws.fleet import (
    DEVELOPMENT,
    PRODUCTION,
    build,
    desk,
    desks,
    holds,
    promotion,
    requests,
    small_images,
    unhurried,
)
from oci.images import blob_descriptor, image, multi_arch
from oci.store_contract import TAG, StoreContract, push
from transship.aws.batch import PER_CALL
from transship.cli.ecr_repository import EcrRepository
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.digest import Digest
from transship.oci.reference import Repository, Tag
from transship.oci.store import Destination
from transship.promotion.status import Outcome, Phase


def a_repository(aws: Aws, who: str = "transship-controller") -> EcrRepository:
    registries = aws.act_as(who, quotas=unhurried())
    place = Repository.of(PRODUCTION, f"shop/checkout-{uuid.uuid4().hex[:8]}")
    by = promotion()
    registries.ensure_repository(by, place)
    found = registries.destination(by, place)
    assert isinstance(found, EcrRepository)
    return found


class TestEcrRepository(StoreContract):
    """The rules of every store, on the ECR API and the distribution API together."""

    @pytest.fixture
    def repository(self, aws: Aws) -> EcrRepository:
        return a_repository(aws)

    def test_an_empty_blob_can_be_pushed(self, repository: Destination) -> None:
        """Not to ECR: an upload without a part is none (ecr.md §8, B8), and nothing is left of it."""
        with pytest.raises(RetryLater):
            repository.push_blob(blob_descriptor(b""), iter([]))
        assert repository.missing_blobs([blob_descriptor(b"")]) == {Digest.of(b"")}


def test_a_hundred_images_and_one_are_resolved_in_two_calls_and_their_manifests_come_along(aws: Aws) -> None:
    repository = a_repository(aws)
    contents = small_images(PER_CALL // 10)
    for tag, content in contents.items():
        push(repository, content, Tag(tag))
    digests = [content.root.descriptor.digest for content in contents.values()]
    targets = [*map(Tag, contents), *digests, *(Tag(f"gone{number}") for number in range(PER_CALL - 19))]
    aws.twin.ledger.reset()
    answers = repository.resolve_all(targets)
    assert [answers[Tag(tag)] for tag in contents] == [each.root.descriptor for each in contents.values()]
    assert [answers[digest] for digest in digests] == [each.root.descriptor for each in contents.values()]
    assert {answers[target] for target in targets[20:]} == {None}
    assert [repository.fetch_manifest(digest) for digest in digests] == [each.root for each in contents.values()]
    assert requests(aws.twin) == {"ecr:BatchGetImage": 2}


def test_of_many_blobs_the_missing_ones_are_found_a_hundred_a_call(aws: Aws) -> None:
    repository = a_repository(aws)
    here = image([b"here"])
    push(repository, here, TAG)
    gone = [blob_descriptor(b"gone %d" % number) for number in range(PER_CALL)]
    aws.twin.ledger.reset()
    assert repository.missing_blobs([*here.root.blobs, *gone]) == {each.digest for each in gone}
    assert requests(aws.twin) == {"ecr:BatchCheckLayerAvailability": 2}


def test_the_children_of_an_index_are_read_in_one_call(aws: Aws) -> None:
    repository = a_repository(aws)
    content = multi_arch()
    push(repository, content, TAG)
    digests = [each.descriptor.digest for each in content.manifests]
    aws.twin.ledger.reset()
    assert {each.descriptor.digest for each in repository.fetch_manifests(digests)} == set(digests)
    assert requests(aws.twin) == {"ecr:BatchGetImage": 1}


def test_a_digest_that_the_api_cannot_name_does_not_spoil_the_answers_about_others(aws: Aws) -> None:
    repository = a_repository(aws)
    push(repository, image([b"layer"]), TAG)
    strong = Digest.of(b"strong", "sha512")
    answers = repository.resolve_all([TAG, strong])
    assert answers == {TAG: image([b"layer"]).root.descriptor}


def test_without_the_right_to_describe_a_missing_image_is_just_missing(aws: Aws) -> None:
    registries = aws.act_as("transship-controller")
    path = aws.repository()
    source = registries.source(promotion(), Repository.of(DEVELOPMENT, path))
    assert source.resolve(Tag("gone")) is None
    assert not source.is_archived(Tag("gone"))


def test_a_whole_batch_that_is_denied_says_so_once_with_the_statement_to_add(aws: Aws) -> None:
    path = aws.repository()
    wanted = [(path, f"v{number}") for number in range(20)]
    request = desk(aws.act_as("transship-controller"), wanted, source={"registry": str(DEVELOPMENT)})
    aws.twin.ledger.reset()
    request.look()
    assert {each.reason for each in request.status.images} == {Reason.DENIED}
    assert requests(aws.twin)["ecr:BatchGetImage"] == 1
    message = request.status.images[0].message
    assert "user/transship-controller may not ecr:BatchGetImage on" in message
    assert "no resource-based policy allows it: add to the policy of the repository {" in message


def test_a_hundred_images_are_promoted_and_looking_again_costs_four_calls(aws: Aws) -> None:
    path, contents = aws.repository(), small_images(100)
    build(aws.act_as("ci", quotas=unhurried()), path, contents)
    registries = aws.act_as("transship-controller", quotas=unhurried())
    requested = desks(registries, path, list(contents))
    aws.twin.ledger.reset()
    for each in requested:
        each.look()
    assert {each.status.phase for each in requested} == {Phase.PROMOTED}
    assert {image.outcome for each in requested for image in each.status.images} == {Outcome.COPIED}
    counts = requests(aws.twin)
    print("calls for 100 images:", sum(counts.values()), dict(counts))  # shown with -rP
    assert counts["ecr:PutImage"] == len(contents), "an image that nothing refers to is put under its tag at once"
    assert counts["ecr:BatchCheckLayerAvailability"] <= len(contents), "what an image lacks is asked in one call"
    assert counts["ecr:DescribeRepositories"] == 2, "before the repository is created and after"
    assert counts["ecr:CreateRepository"] == 1
    assert all(holds(registries, path, tag, content) for tag, content in list(contents.items())[::25])

    aws.twin.ledger.reset()
    for each in requested:
        each.ask()
    assert {each.status.phase for each in requested} == {Phase.PROMOTED}
    calls = requests(aws.twin)
    print("calls when there is nothing to do:", dict(calls))
    assert calls == {"ecr:BatchGetImage": 4}, "one call for each request on each side"


def test_a_layer_that_ten_images_share_is_read_and_sent_once(aws: Aws) -> None:
    path, contents = aws.repository(), small_images(10)
    build(aws.act_as("ci", quotas=unhurried()), path, contents)
    request = desk(aws.act_as("transship-controller", quotas=unhurried()), [(path, tag) for tag in contents])
    aws.twin.ledger.reset()
    request.look()
    assert request.status.phase is Phase.PROMOTED
    blobs = {blob.digest for content in contents.values() for manifest in content.manifests for blob in manifest.blobs}
    counts = requests(aws.twin)
    assert counts["ecr:CompleteLayerUpload"] == counts["s3:GetObject"] == len(blobs)


def test_a_repository_is_described_once_for_all_images_until_the_next_resync_or_until_it_is_gone(aws: Aws) -> None:
    place = f"shop/checkout-{uuid.uuid4().hex[:8]}"
    registries, there = aws.act_as("transship-controller", resync=3600.0), Repository.of(PRODUCTION, place)
    for _ in range(5):
        registries.ensure_repository(promotion(), there)
    aws.twin.ledger.reset()
    registries.ensure_repository(promotion(), there)
    assert requests(aws.twin) == {}
    aws.ecr("transship-controller").delete_repository(repositoryName=place)
    assert registries.destination(promotion(), there).resolve_all([TAG]) == {TAG: None}
    registries.ensure_repository(promotion(), there)
    assert requests(aws.twin)["ecr:CreateRepository"] == 1


def test_an_image_cannot_be_planned_in_a_repository_of_nobody(aws: Aws) -> None:
    registries = aws.act_as("transship-controller")
    nowhere = Repository.of(PRODUCTION, "shop/never-made")
    repository = registries.destination(promotion(), nowhere)
    assert repository.resolve_all([TAG]) == {TAG: None}
    assert repository.missing_blobs(image([b"x"]).root.blobs) == {each.digest for each in image([b"x"]).root.blobs}
    with pytest.raises(NeedsHuman) as caught:
        push(repository, image([b"x"]), TAG)
    assert caught.value.reason is Reason.REPOSITORY_MISSING
