"""M1 to M9 and F1, F2: manifests, tags and referrers."""

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecr_twin.names import Registry
from twin.clients import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    REGION,
    SOURCE,
    Launch,
    World,
    digest_of,
    manifest,
    referrer,
)

pytestmark = pytest.mark.twin
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ABSENT = "sha256:" + "0" * 64


def index(*children: bytes) -> bytes:
    items = [{"mediaType": OCI_MANIFEST, "digest": digest_of(body), "size": len(body)} for body in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": items}).encode()


def test_the_digest_is_that_of_the_bytes(world: World) -> None:
    name = world.repository()
    body = world.image(name, "m1")
    spaced = body.replace(b'", "', b'",   "')
    for tag, raw in (("a", body), ("b", spaced)):
        assert world.put(name, tag, raw).headers["Docker-Content-Digest"] == digest_of(raw)
        got = world.http("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": OCI_MANIFEST})
        assert got.body == raw
    assert digest_of(body) != digest_of(spaced)


def test_a_push_to_another_digest_is_refused(world: World) -> None:
    name = world.repository()
    body = world.image(name, "m1")
    answer = world.put(name, ABSENT, body)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert world.put(name, digest_of(body), body).status == 201
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        world.client("ecr").put_image(repositoryName=name, imageManifest=body.decode(), imageDigest=ABSENT)


def test_a_manifest_whose_layer_is_missing_is_refused(world: World) -> None:
    name = world.repository()
    config = world.push_blob(name, b"{}") | {"mediaType": OCI_CONFIG}
    body = manifest(config, [{"mediaType": OCI_LAYER, "digest": ABSENT, "size": 3}])
    answer = world.put(name, "v1", body)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"
    assert ABSENT in answer.message
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        world.client("ecr").put_image(repositoryName=name, imageManifest=body.decode(), imageTag="v1")


def test_an_index_needs_its_children_in_the_same_repository(world: World) -> None:
    elsewhere, name = world.repository(), world.repository()
    world.pushed(elsewhere, "v1")
    child = world.image(name, "salt")
    answer = world.put(name, "multi", index(child), OCI_INDEX)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"
    assert digest_of(child) in answer.message
    assert world.put(name, digest_of(child), child).status == 201
    assert world.put(name, "multi", index(child), OCI_INDEX).status == 201


def test_a_child_of_an_index_cannot_be_deleted(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    child = world.image(name, "m8")
    world.put(name, digest_of(child), child)
    world.put(name, "multi", index(child), OCI_INDEX)
    arguments = {"repositoryName": name, "imageIds": [{"imageDigest": digest_of(child)}]}
    failed = ecr.batch_delete_image(**arguments)["failures"]
    assert [item["failureCode"] for item in failed] == ["ImageReferencedByManifestList"]
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "multi"}])
    assert ecr.batch_delete_image(**arguments)["imageIds"] == [{"imageDigest": digest_of(child)}]


@pytest.mark.parametrize(
    ("change", "media_type"),
    [
        ({"mediaType": None}, "application/octet-stream"),
        ({"mediaType": "application/vnd.example"}, "application/vnd.example"),
        ({"artifactType": "application/x;version=1"}, OCI_MANIFEST),
        ({"layers": [{"mediaType": "a/b;v=1", "digest": ABSENT, "size": 1}]}, OCI_MANIFEST),
        ({"layers": [{"mediaType": OCI_LAYER, "digest": ABSENT, "size": 1}] * 501}, OCI_MANIFEST),
        ({"annotations": {"fat": "x" * (4 * 1024 * 1024)}}, OCI_MANIFEST),
    ],
    ids=[
        "no media type",
        "unknown media type",
        "artifact type parameter",
        "layer type parameter",
        "501 layers",
        "4 MiB",
    ],
)
def test_manifests_that_ecr_does_not_take_are_unsupported(
    world: World, change: dict[str, Any], media_type: str
) -> None:
    name = world.repository()
    document = json.loads(world.image(name, "m3")) | change
    body = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
    answer = world.put(name, "v1", body, media_type)
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("mode", "patterns", "movable"),
    [
        ("MUTABLE", None, {"v1", "latest"}),
        ("IMMUTABLE", None, set()),
        ("IMMUTABLE_WITH_EXCLUSION", ["la*t"], {"latest"}),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], {"latest"}),
    ],
)
def test_tags_move_only_where_the_mutability_lets_them(
    world: World, mode: str, patterns: list[str] | None, movable: set[str]
) -> None:
    filters = [{"filterType": "WILDCARD", "filter": item} for item in patterns or []]
    extra: dict[str, Any] = {"imageTagMutabilityExclusionFilters": filters} if filters else {}
    name = world.repository(imageTagMutability=mode, **extra)
    first, second = world.image(name, "one"), world.image(name, "two")
    for tag in ("v1", "latest"):
        assert world.put(name, tag, first).status == 201
        again, moved = world.put(name, tag, first), world.put(name, tag, second)
        if tag in movable:
            assert (again.status, moved.status) == (201, 201)
        else:
            assert (again.code, moved.code) == ("TAG_INVALID", "TAG_INVALID")
            assert f"'{tag}' already exists in the '{name}' repository and cannot be overwritten" in moved.message
            with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
                world.client("ecr").put_image(repositoryName=name, imageManifest=second.decode(), imageTag=tag)


def test_the_api_says_when_a_push_changes_nothing(world: World) -> None:
    name = world.repository()
    body = world.image(name, "same")
    arguments = {"repositoryName": name, "imageManifest": body.decode(), "imageTag": "v1"}
    world.client("ecr").put_image(**arguments)
    with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
        world.client("ecr").put_image(**arguments)


def test_the_answers_about_immutable_tags_are_switches(launch: Launch) -> None:
    with launch(sameDigestOnImmutableTag="accept", tagInvalidStatus=409) as own:
        name = own.repository(imageTagMutability="IMMUTABLE")
        body, other = own.image(name, "one"), own.image(name, "two")
        assert own.put(name, "v1", body).status == 201
        assert own.put(name, "v1", body).status == 201
        answer = own.put(name, "v1", other)
        assert (answer.status, answer.code) == (409, "TAG_INVALID")


def test_the_digest_header_is_on_head_only(world: World) -> None:
    name = world.repository()
    digest = world.pushed(name)
    head = world.http("HEAD", f"/v2/{name}/manifests/v1", headers={"Accept": OCI_MANIFEST})
    get = world.http("GET", f"/v2/{name}/manifests/v1", headers={"Accept": OCI_MANIFEST})
    assert head.headers["Docker-Content-Digest"] == digest
    assert "Docker-Content-Digest" not in get.headers
    assert get.headers["Content-Type"] == OCI_MANIFEST


def test_by_tag_a_manifest_is_converted_when_the_client_accepts_only_the_other_type(world: World) -> None:
    name = world.repository()
    digest = world.pushed(name)
    by_tag = world.http("GET", f"/v2/{name}/manifests/v1", headers={"Accept": DOCKER_MANIFEST})
    assert by_tag.headers["Content-Type"] == DOCKER_MANIFEST
    assert digest_of(by_tag.body) != digest
    by_digest = world.http("GET", f"/v2/{name}/manifests/{digest}", headers={"Accept": DOCKER_MANIFEST})
    assert digest_of(by_digest.body) == digest


def test_what_is_not_there_has_a_name(world: World) -> None:
    name = world.repository()
    missing = world.http("GET", "/v2/no/such/manifests/v1")
    assert (missing.status, missing.code) == (404, "NAME_UNKNOWN")
    assert f"'no/such' does not exist in the registry with id '{SOURCE}'" in missing.message
    answer = world.http("GET", f"/v2/{name}/manifests/v1")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert "Requested image not found" in answer.message


def test_the_api_reports_images_one_by_one(world: World) -> None:
    name = world.repository()
    digest = world.pushed(name)
    ids = [{"imageTag": "v1"}, {"imageTag": "v2"}, {"imageTag": "v1", "imageDigest": ABSENT}, {"imageDigest": "x"}]
    result = world.client("ecr").batch_get_image(repositoryName=name, imageIds=ids)
    assert [item["imageId"] for item in result["images"]] == [{"imageDigest": digest, "imageTag": "v1"}]
    codes = [item["failureCode"] for item in result["failures"]]
    assert codes == ["ImageNotFound", "ImageTagDoesNotMatchDigest", "InvalidImageDigest"]


def test_at_most_a_hundred_images_are_asked_for_at_once(world: World) -> None:
    with pytest.raises(ClientError, match=r"InvalidParameterException.*100"):
        world.client("ecr").batch_get_image(
            repositoryName=world.repository(), imageIds=[{"imageTag": f"v{number}"} for number in range(101)]
        )


def test_an_image_has_at_most_a_thousand_tags(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    world.pushed(name)
    # Reaching the limit through the door would take a thousand calls: the tags are written where they are kept.
    services = world.twin._server.services
    image = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])["images"][0]
    digest, body = image["imageId"]["imageDigest"], image["imageManifest"]

    async def fill() -> None:
        repository = services.repositories.get(Registry(SOURCE, REGION), name)
        for number in range(999):
            services.images.tag(repository, f"t{number}", digest)

    asyncio.run_coroutine_threadsafe(fill(), world.twin._loop).result(10)
    with pytest.raises(ClientError, match="LimitExceededException"):
        ecr.put_image(repositoryName=name, imageManifest=body, imageTag="one-more")


def test_referrers_are_listed_and_filtered_on_both_faces(world: World) -> None:
    name = world.repository()
    subject = world.pushed(name)
    bodies = {kind: referrer(world, name, subject, kind, kind) for kind in ("test/sbom", "test/signature")}
    for body in bodies.values():
        answer = world.put(name, digest_of(body), body)
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject)
    everything = world.http("GET", f"/v2/{name}/referrers/{subject}")
    assert everything.headers["Content-Type"] == OCI_INDEX
    listed = json.loads(everything.body)["manifests"]
    assert {item["digest"] for item in listed} == {digest_of(body) for body in bodies.values()}
    some = world.http("GET", f"/v2/{name}/referrers/{subject}?artifactType=test/sbom")
    assert some.headers["OCI-Filters-Applied"] == "artifactType"
    assert [item["annotations"]["salt"] for item in json.loads(some.body)["manifests"]] == ["test/sbom"]
    result = world.client("ecr").list_image_referrers(
        repositoryName=name, subjectId={"imageDigest": subject}, filter={"artifactTypes": ["test/signature"]}
    )
    assert [item["artifactType"] for item in result["referrers"]] == ["test/signature"]


@pytest.mark.parametrize("must_exist", [True, False])
def test_whether_a_subject_must_exist_is_a_switch(launch: Launch, *, must_exist: bool) -> None:
    with launch(subjectMustExist=must_exist) as own:
        name = own.repository()
        body = referrer(own, name, ABSENT, "test/sbom", "s")
        assert own.put(name, digest_of(body), body).status == (405 if must_exist else 201)


def test_referrers_come_in_pages(launch: Launch) -> None:
    with launch(referrersOverHttp="pages") as own:
        name = own.repository()
        subject = own.pushed(name)
        first_one = json.loads(referrer(own, name, subject, "test/sbom", "s"))
        for number in range(52):
            body = json.dumps(first_one | {"annotations": {"salt": f"{number}"}}).encode()
            assert own.put(name, digest_of(body), body).status == 201
        first = own.http("GET", f"/v2/{name}/referrers/{subject}")
        following = first.headers["Link"].partition("amazonaws.com")[2].partition(">")[0]
        rest = own.http("GET", following)
        assert [len(json.loads(answer.body)["manifests"]) for answer in (first, rest)] == [50, 2]
        assert "Link" not in rest.headers
        page = own.client("ecr").list_image_referrers(repositoryName=name, subjectId={"imageDigest": subject})
        assert len(page["referrers"]) == 20
        assert page["nextToken"]
