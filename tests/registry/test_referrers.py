"""What is attached to an image, at a registry without the Referrers API and at one that lies about it."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from oci.images import Content, artifact, as_json, image, manifest_of, multi_arch
from oci.store_contract import TAG, push
from registry.conftest import open_repository
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.attaching import missing_attached
from transship.oci.closure import closure
from transship.oci.copier import Copier
from transship.oci.copy import copy, missing, prove
from transship.oci.digest import Digest
from transship.oci.manifest import OCI_INDEX, Manifest
from transship.oci.reference import Registry, Repository, Tag
from transship.oci.referrers import MAX_REFERRERS, find_attached
from transship.oci.referrers_tag import fallback_tag
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

SUBJECT = Digest.of(b"subject")


@pytest.fixture
def transport(distribution: str) -> Transport:
    return Transport(Network(HostRules.of(plain_http=[distribution])))


def open_new(distribution: str, transport: Transport) -> HttpRepository:
    path = f"shop/signed-{uuid.uuid4().hex[:12]}"
    return HttpRepository(Repository.of(Registry.parse(distribution), path), Side.DESTINATION, transport, Anonymous())


@pytest.fixture
def repository(distribution: str, transport: Transport) -> HttpRepository:
    return open_new(distribution, transport)


def entries(repository: HttpRepository, subject: Digest) -> list[dict[str, object]]:
    """The list as it is kept under the subject's tag."""
    found = repository.resolve(fallback_tag(subject))
    manifest = repository.fetch_manifest(found.digest) if found is not None else None
    return json.loads(manifest.content)["manifests"] if manifest is not None else []


def index_of(*listed: dict[str, object]) -> Manifest:
    return manifest_of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(listed)})


def test_a_list_is_merged_and_what_others_wrote_on_it_stays(repository: HttpRepository) -> None:
    content = image([b"layer"])
    subject = content.root.descriptor
    theirs, ours = artifact(subject, b"theirs"), artifact(subject, b"ours")
    push(repository, content)
    push(repository, theirs)
    foreign = as_json(theirs.root.descriptor) | {"artifactType": "of/others", "annotations": {"kept": "yes"}}
    repository.push_manifest(index_of(foreign), fallback_tag(subject.digest))
    push(repository, ours)
    push(repository, ours)
    listed = entries(repository, subject.digest)
    assert listed[0] == foreign
    assert [each["digest"] for each in listed] == [str(each.root.descriptor.digest) for each in (theirs, ours)]


def test_many_that_are_pushed_at_once_are_all_listed(
    distribution: str, transport: Transport, repository: HttpRepository
) -> None:
    content = image([b"layer"])
    push(repository, content)
    attached = [artifact(content.root.descriptor, b"%d" % number) for number in range(8)]

    def push_alone(each: Content) -> None:
        mine = HttpRepository(repository.repository, Side.DESTINATION, transport, Anonymous())
        push(mine, each)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push_alone, attached))
    listed = repository.list_referrers(content.root.descriptor.digest)
    assert {each.digest for each in listed} == {each.root.descriptor.digest for each in attached}


def test_an_image_arrives_with_all_that_is_attached_to_it_between_registries_without_the_api(
    distribution: str, transport: Transport
) -> None:
    source, destination = open_new(distribution, transport), open_new(distribution, transport)
    content = multi_arch(layer_bytes=1000)
    sbom = artifact(content.root.descriptor, b"sbom")
    of_child, upon_sbom = (
        artifact(content.manifests[0].descriptor, b"of child"),
        artifact(sbom.root.descriptor, b"upon"),
    )
    signature = artifact(None, b"signature")
    signed = Tag(f"sha256-{content.manifests[1].descriptor.digest.hex}.sig")
    for each in (content, sbom, of_child, upon_sbom):
        push(source, each)
    push(source, signature, signed)
    copier = Copier()
    whole = closure(source, content.root.descriptor.digest, copier)
    found = find_attached(source, whole, copier)
    assert found.problems == ()
    attaching = missing_attached(destination, found, copier, is_required=True)
    report = copy(source, destination, whole, missing(destination, whole, copier), copier, tag=TAG, attaching=attaching)
    prove(destination, whole, TAG, copier, report.attached.written)
    assert len(report.attached.written) == 4
    for subject, attached in ((content, sbom), (sbom, upon_sbom)):
        listed = destination.list_referrers(subject.root.descriptor.digest)
        assert [each.digest for each in listed] == [attached.root.descriptor.digest]
    assert destination.resolve(signed) == signature.root.descriptor
    for each in (sbom, of_child, upon_sbom, signature):
        assert destination.fetch_manifest(each.root.descriptor.digest) == each.root
    assert not missing_attached(destination, find_attached(source, whole, copier), copier, is_required=True)


def test_something_else_under_the_tag_of_a_list_is_not_overwritten(repository: HttpRepository) -> None:
    content, other = image([b"layer"]), image([b"other"])
    push(repository, content)
    push(repository, other, fallback_tag(content.root.descriptor.digest))
    with pytest.raises(NeedsHuman, match="not an index") as caught:
        push(repository, artifact(content.root.descriptor, b"signature"))
    assert caught.value.reason is Reason.UNSUPPORTED_CONTENT
    assert repository.resolve(fallback_tag(content.root.descriptor.digest)) == other.root.descriptor


def answer_list(*listed: Content, link: str = "") -> Answer:
    body = index_of(*(as_json(each.root.descriptor) for each in listed)).content
    return sized(body, 200, Content_Type=OCI_INDEX, **({"Link": link} if link else {}))


def artifacts(count: int, start: int = 0) -> list[Content]:
    subject = image([b"layer"]).root.descriptor
    return [artifact(subject, b"%d" % number) for number in range(start, start + count)]


def test_pages_are_followed_by_their_query_and_nowhere_else(hostile: HostileServer, victim: HttpRepository) -> None:
    first, second = artifacts(2)

    def reply(seen: Seen) -> Answer:
        if "nextToken=two" in seen.path:
            return answer_list(second)
        return answer_list(first, link='<https://169.254.169.254/v2/x/referrers/y?nextToken=two&n=1>; rel="next"')

    hostile.reply = reply
    assert victim.list_referrers(SUBJECT) == (first.root.descriptor, second.root.descriptor)
    assert [seen.path for seen in hostile.seen] == [
        f"/v2/shop/checkout/referrers/{SUBJECT}",
        f"/v2/shop/checkout/referrers/{SUBJECT}?nextToken=two&n=1",
    ]


def test_a_list_without_an_end_is_not_followed_for_ever(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: answer_list(*artifacts(30), link='</v2/again?n=1>; rel="next"')
    assert len(victim.list_referrers(SUBJECT)) == 30, "each digest once"
    assert len(hostile.seen) <= 1 + MAX_REFERRERS // 30
    hostile.reply = lambda _: answer_list(link='</v2/again?n=1>; rel="next"')
    with pytest.raises(RetryLater, match="does not end"):
        victim.list_referrers(SUBJECT)


@pytest.mark.parametrize(
    "answer",
    [
        sized(b"404 page not found", 404),
        sized(b"", 405),
        sized(b"<html>", 200, Content_Type="text/html"),
        sized(b"", 303, Location="https://example.com/docs"),
    ],
)
def test_a_registry_without_the_api_is_asked_once_for_it_and_then_for_the_tag(
    hostile: HostileServer, victim: HttpRepository, answer: Answer
) -> None:
    hostile.reply = lambda seen: answer if "/referrers/" in seen.path else sized(b"", 404)
    assert victim.list_referrers(SUBJECT) == ()
    assert victim.list_referrers(SUBJECT) == ()
    kinds = ["referrers" if "/referrers/" in seen.path else seen.path.rpartition("/")[2] for seen in hostile.seen]
    assert kinds == ["referrers", str(fallback_tag(SUBJECT)), str(fallback_tag(SUBJECT))]


def test_a_repository_that_does_not_exist_says_nothing_about_the_api(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: sized(b'{"errors": [{"code": "NAME_UNKNOWN"}]}', 404)
    assert victim.list_referrers(SUBJECT) == ()
    assert victim.list_referrers(SUBJECT) == ()
    assert ["/referrers/" in seen.path for seen in hostile.seen] == [True, True]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sized(b"", 403), Reason.DENIED),
        (sized(b"", 429), Reason.THROTTLED),
        (sized(b"", 503), Reason.REGISTRY_ERROR),
        (sized(b"[]", 200, Content_Type=OCI_INDEX), Reason.UNSUPPORTED_CONTENT),
        (sized(b'{"manifests": [{"digest": "x"}]}', 200, Content_Type=OCI_INDEX), Reason.UNSUPPORTED_CONTENT),
    ],
)
def test_a_list_that_is_refused_or_is_none_is_an_error(hostile: HostileServer, answer: Answer, reason: Reason) -> None:
    hostile.reply = lambda _: answer
    with pytest.raises(TransshipError) as caught:
        open_repository(hostile.host).list_referrers(SUBJECT)
    assert caught.value.reason is reason
    assert caught.value.step == "list referrers"


class Racing:
    """A registry without the API where somebody else always writes the list last."""

    def __init__(self, loses: int) -> None:
        self.loses = loses
        self.tag = index_of()
        self.puts = 0

    def reply(self, seen: Seen) -> Answer:
        if "/referrers/" in seen.path:
            return sized(b"", 404)
        if "/manifests/sha256-" not in seen.path:
            return sized(b"", 201)
        if seen.method == "GET":
            return sized(self.tag.content, 200, Content_Type=OCI_INDEX)
        self.puts += 1
        if self.puts > self.loses:
            self.tag = Manifest.parse(seen.body, OCI_INDEX, Digest.of(seen.body))
        return sized(b"", 201)


@pytest.mark.parametrize("loses", [0, 2])
def test_a_list_that_somebody_else_overwrites_is_written_again(
    hostile: HostileServer, victim: HttpRepository, loses: int
) -> None:
    (ours,) = artifacts(1)
    racing = Racing(loses)
    hostile.reply = racing.reply
    victim.push_manifest(ours.root, ours.root.descriptor.digest)
    assert racing.puts == loses + 1
    assert [each.digest for each in racing.tag.children] == [ours.root.descriptor.digest]


def test_a_race_that_is_never_won_is_left_for_later(hostile: HostileServer, victim: HttpRepository) -> None:
    (ours,) = artifacts(1)
    hostile.reply = Racing(1000).reply
    with pytest.raises(RetryLater, match="others keep writing"):
        victim.push_manifest(ours.root, ours.root.descriptor.digest)


def test_entries_of_others_whose_manifests_are_gone_do_not_keep_ours_from_being_listed(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    gone, ours = artifacts(2)
    racing = Racing(0)
    racing.tag = index_of(as_json(gone.root.descriptor))

    def reply(seen: Seen) -> Answer:
        if seen.method == "HEAD":
            return sized(b"", 404 if str(gone.root.descriptor.digest) in seen.path else 200)
        if seen.method == "PUT" and str(gone.root.descriptor.digest).encode() in seen.body:
            return sized(b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}', 400)
        return racing.reply(seen)

    hostile.reply = reply
    victim.push_manifest(ours.root, ours.root.descriptor.digest)
    assert [each.digest for each in racing.tag.children] == [ours.root.descriptor.digest]


def test_an_immutable_list_says_what_to_let_move(hostile: HostileServer, victim: HttpRepository) -> None:
    (ours,) = artifacts(1)
    racing = Racing(0)

    def reply(seen: Seen) -> Answer:
        if seen.method == "PUT" and "/manifests/sha256-" in seen.path:
            return sized(b'{"errors": [{"code": "TAG_INVALID"}]}', 400)
        if seen.method == "HEAD":
            return racing.reply(Seen("GET", seen.path, seen.headers, b""))
        return racing.reply(seen)

    hostile.reply = reply
    with pytest.raises(NeedsHuman, match=r"immutable; let tags sha256-\* move") as caught:
        victim.push_manifest(ours.root, ours.root.descriptor.digest)
    assert caught.value.reason is Reason.TAG_CONFLICT


def test_a_registry_that_has_noted_the_subject_needs_no_list(hostile: HostileServer, victim: HttpRepository) -> None:
    (ours,) = artifacts(1)
    hostile.reply = lambda _: sized(b"", 201, OCI_Subject=str(SUBJECT))
    victim.push_manifest(ours.root, ours.root.descriptor.digest)
    assert len(hostile.seen) == 1
