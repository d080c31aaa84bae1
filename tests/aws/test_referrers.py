"""What is attached to an image, by ECR's Referrers API, and what promoting it costs."""

from datetime import timedelta
from typing import Any

import pytest

from aws.conftest import Aws, Launch
from aws.fleet import DEVELOPMENT, PRODUCTION, build, desk, destination, holds, promotion, requests, unhurried
from oci.images import Content, artifact, multi_arch
from oci.store_contract import TAG
from promotion.world import Desk
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason
from transship.oci.attaching import missing_attached
from transship.oci.closure import closure
from transship.oci.copier import Copier
from transship.oci.copy import copy, missing
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Repository, Tag
from transship.oci.referrers import find_attached
from transship.oci.referrers_tag import fallback_tag
from transship.promotion.status import Outcome, Phase, ReferrersStatus

ONE = multi_arch(layer_bytes=1000)
SBOM = artifact(ONE.root.descriptor, b"sbom")
OF_CHILD = artifact(ONE.manifests[0].descriptor, b"attestation")
UPON_SBOM = artifact(SBOM.root.descriptor, b"signature of the sbom")
SIGNATURE = artifact(None, b"signature")
SIGNED = f"sha256-{ONE.root.descriptor.digest.hex}.sig"
ATTACHED = {"sbom": SBOM, "attestation": OF_CHILD, "upon": UPON_SBOM, SIGNED: SIGNATURE}


def prepare(aws: Aws, attached: dict[str, Content]) -> tuple[AwsRegistries, str]:
    """ONE in development as v1 with what is attached to it, and a controller."""
    path = aws.repository()
    build(aws.act_as("ci", quotas=unhurried()), path, {"v1": ONE, **attached})
    return aws.act_as("transship-controller", quotas=unhurried()), path


def wish(registries: AwsRegistries, path: str, mode: str = "Require", **spec: Any) -> Desk:
    return desk(registries, [(path, "v1")], referrers=mode, **spec)


def has_attached(registries: AwsRegistries, path: str) -> bool:
    store = destination(registries, path)
    found = (store.fetch_manifest(each.root.descriptor.digest) == each.root for each in ATTACHED.values())
    return all(found) and store.resolve(Tag(SIGNED)) == SIGNATURE.root.descriptor


def test_what_is_attached_is_promoted_and_listed_by_the_registry_itself(aws: Aws) -> None:
    registries, path = prepare(aws, ATTACHED)
    promoted = wish(registries, path)
    aws.twin.ledger.reset()
    promoted.look()
    assert promoted.status.phase is Phase.PROMOTED
    assert promoted.image("c0").referrers == ReferrersStatus(copied=4)
    calls = requests(aws.twin)
    # Three manifests of the image, four that are attached; nothing is listed twice, and no list is kept in a tag.
    assert calls["ecr:ListImageReferrers"] == 3 + 4
    assert calls["ecr:PutImage"] == 3 + 4 + 2, "each manifest once, and once for each tag"
    assert holds(registries, path, "v1", ONE)
    assert has_attached(registries, path)
    store = destination(registries, path)
    assert store.resolve(fallback_tag(ONE.root.descriptor.digest)) is None
    listed = store.list_referrers(ONE.root.descriptor.digest)
    assert [each.digest for each in listed] == [SBOM.root.descriptor.digest]

    aws.twin.ledger.reset()
    promoted.ask()
    assert promoted.image("c0").referrers == ReferrersStatus(present=4)
    assert requests(aws.twin)["ecr:PutImage"] == 0


def test_the_tags_of_an_image_and_its_children_are_one_call(aws: Aws) -> None:
    registries, path = prepare(aws, {})
    by = promotion()
    registries.prepare_source(by, Repository.of(DEVELOPMENT, path))
    source = registries.source(by, Repository.of(DEVELOPMENT, path))
    whole = closure(source, ONE.root.descriptor.digest, Copier())
    aws.twin.ledger.reset()
    assert find_attached(source, whole, Copier()).attachments == ()
    assert requests(aws.twin) == {"ecr:ListImageReferrers": 3, "ecr:BatchGetImage": 1}


def test_an_image_without_what_is_required_is_repaired_where_its_tag_is_immutable(aws: Aws) -> None:
    registries, path = prepare(aws, ATTACHED)
    settings = {"create": True, "imageTagMutability": "IMMUTABLE"}
    promoted = wish(registries, path, "Ignore", destinationRepository=settings)
    promoted.look()
    assert not has_attached(registries, path)
    again = wish(registries, path, "Require", destinationRepository=settings)
    again.look()
    assert again.image("c0").outcome is Outcome.COPIED
    assert has_attached(registries, path)


def test_what_production_has_signed_itself_is_no_reason_to_write(aws: Aws) -> None:
    registries, path = prepare(aws, {})
    promoted = wish(registries, path)
    promoted.look()
    own = artifact(ONE.root.descriptor, b"signed in production")
    build(registries, path, {"own": own}, registry=PRODUCTION)
    aws.twin.ledger.reset()
    promoted.ask()
    assert promoted.status.phase is Phase.PROMOTED
    assert requests(aws.twin)["ecr:PutImage"] == 0
    assert destination(registries, path).list_referrers(ONE.root.descriptor.digest) == (own.root.descriptor,)


def test_a_manifest_that_ecr_does_not_take_is_told_or_ends_the_copy(aws: Aws) -> None:
    registries, path = prepare(aws, {})
    place = Repository.of(PRODUCTION, path)
    registries.ensure_repository(promotion(), place)
    store = registries.destination(promotion(), place)
    source = MemoryRepository()
    refused = artifact(ONE.root.descriptor, b"refused", kind="application/vnd.example.sbom;version=1")
    for each in (ONE, refused, SBOM):
        held = each.in_memory()
        source.blobs.update(held.blobs)
        source.manifests.update(held.manifests)
    copier = Copier()
    whole = closure(source, ONE.root.descriptor.digest, copier)
    found = find_attached(source, whole, copier)
    lacking = missing(store, whole, copier)
    wanted = missing_attached(store, found, copier, is_required=True)
    with pytest.raises(NeedsHuman, match="HTTP 405 UNSUPPORTED") as caught:
        copy(source, store, whole, lacking, copier, tag=TAG, attaching=wanted)
    assert caught.value.reason is Reason.REFUSED_BY_REGISTRY
    assert store.resolve(TAG) is None

    best = missing_attached(store, found, copier, is_required=False)
    report = copy(source, store, whole, missing(store, whole, copier), copier, tag=TAG, attaching=best)
    assert [each.reason for each in report.attached.problems] == [Reason.REFUSED_BY_REGISTRY]
    assert store.resolve(TAG) == ONE.root.descriptor
    assert store.list_referrers(ONE.root.descriptor.digest) == (SBOM.root.descriptor,)


def test_a_list_in_pages_is_read_to_its_end(launch_accounts: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"a{number}": artifact(ONE.root.descriptor, b"%d" % number) for number in range(60)}
    with launch_accounts([timedelta()], referrersOverHttp="pages") as twin:
        aws = Aws(twin, monkeypatch, [timedelta()])
        registries, path = prepare(aws, many)
        promoted = wish(registries, path)
        promoted.look()
        assert promoted.image("c0").referrers == ReferrersStatus(copied=60)
        twin.ledger.reset()
        listed = destination(registries, path).list_referrers(ONE.root.descriptor.digest)
        assert requests(twin) == {"ecr:ListImageReferrers": 2}
        assert {each.digest for each in listed} == {each.root.descriptor.digest for each in many.values()}
        for client in aws.clients:
            client.close()
