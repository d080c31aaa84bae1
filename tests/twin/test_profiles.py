"""The open questions: named profiles that answer all of them, and what each of the two answers does."""

from dataclasses import asdict, fields
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from ecr_twin import PROFILES, ConfigError, Profile, load
from ecr_twin.profile import OTHER, spelling
from twin.clients import (
    DESTINATION,
    OCI_CONFIG,
    OCI_MANIFEST,
    SOURCE,
    Launch,
    World,
    allow,
    configuration,
    digest_of,
    document,
    grant,
    manifest,
    user,
)

pytestmark = pytest.mark.twin
CONFIG = digest_of(b'{"salt": "salt"}')


def test_every_question_has_another_answer_and_a_profile_that_gives_it() -> None:
    questions = {item.name for item in fields(Profile)}
    assert set(OTHER) == questions
    default, opposite = asdict(PROFILES["default"]), asdict(PROFILES["opposite"])
    assert all(default[name] != opposite[name] for name in questions)
    for name in questions:
        alone = asdict(PROFILES[f"only-{name.replace('_', '-')}"])
        assert {key for key in questions if alone[key] != default[key]} == {name}
    assert len(PROFILES) == len(questions) + 2


def test_a_profile_can_be_named_and_departed_from() -> None:
    base = configuration()
    assert load(base | {"profile": "opposite"}).profile == PROFILES["opposite"]
    changed = load(base | {"profile": {"name": "opposite", "blobUrlSeconds": 5}}).profile
    assert (changed.blob_url_seconds, changed.expired_body) == (5, "text")


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("tomorrow", "There is no profile 'tomorrow'"),
        ({"expired": "json"}, "expired is not a setting of profile of the configuration"),
        ({"expiredBody": "xml"}, "expiredBody of the profile must be one of json, text"),
        ({"subjectMustExist": "yes"}, "subjectMustExist of the profile must be of type bool"),
        ({"tagInvalidStatus": True}, "tagInvalidStatus of the profile must be of type int"),
    ],
)
def test_a_mistake_in_a_profile_is_named(profile: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(configuration() | {"profile": profile})


def test_a_profile_is_spelt_in_yaml_as_in_the_readme() -> None:
    text = yaml.safe_dump({spelling(name): value for name, value in OTHER.items()})
    assert load(configuration(**yaml.safe_load(text))).profile == PROFILES["opposite"]


@pytest.mark.parametrize("name", ["default", "opposite"])
def test_a_stock_client_pushes_and_pulls_under_every_answer(launch: Launch, name: str) -> None:
    with launch(configuration() | {"profile": name}) as own:
        repository = own.repository()
        digest = own.pushed(repository)
        pulled = own.crane("pull", own.reference(repository), str(own.folder / "pulled.tar"))
        assert pulled.returncode == 0, pulled.stderr
        copied = own.crane("copy", own.reference(repository), own.reference(own.repository()))
        assert copied.returncode == 0, copied.stderr
        assert own.crane("digest", own.reference(repository)).stdout.strip() == digest


def test_a_manifest_is_deleted_over_http(world: World) -> None:
    name = world.repository()
    body = world.image(name, "gone")
    for tag in ("v1", "v2"):
        world.put(name, tag, body)
    assert world.http("DELETE", f"/v2/{name}/manifests/v1").status == 202
    assert world.http("HEAD", f"/v2/{name}/manifests/v2").status == 200
    assert world.http("DELETE", f"/v2/{name}/manifests/{digest_of(body)}").status == 202
    assert world.http("HEAD", f"/v2/{name}/manifests/v2").status == 404
    assert world.http("DELETE", f"/v2/{name}/manifests/v2").code == "MANIFEST_UNKNOWN"


def test_a_child_of_an_index_is_not_deleted_over_http(world: World) -> None:
    name = world.repository()
    child = world.pushed(name)
    item = {"mediaType": OCI_MANIFEST, "digest": child, "size": 9}
    kind = "application/vnd.oci.image.index.v1+json"
    index = f'{{"schemaVersion": 2, "mediaType": "{kind}", "manifests": [{str(item).replace(chr(39), chr(34))}]}}'
    assert world.put(name, "multi", index.encode(), kind).status == 201
    assert world.http("DELETE", f"/v2/{name}/manifests/{child}").code == "UNSUPPORTED"


def test_an_upload_tells_how_far_it_is_and_can_be_cancelled(world: World) -> None:
    location = world.http("POST", f"/v2/{world.repository()}/blobs/uploads/").headers["Location"]
    path = location.partition("amazonaws.com")[2]
    assert world.http("GET", path).headers["Range"] == "0-0"
    world.http("PATCH", path, body=b"1234")
    told = world.http("GET", path)
    assert (told.status, told.headers["Range"], told.headers["Location"]) == (204, "0-3", location)
    assert world.http("GET", path, who="promoter").status == 403
    assert world.http("DELETE", path).status == 204
    assert world.http("GET", path).code == "BLOB_UPLOAD_UNKNOWN"


def test_the_other_answers_about_deleting(launch: Launch) -> None:
    with launch(manifestDelete="not-found", uploadDelete="unsupported") as own:
        name = own.repository()
        own.pushed(name)
        answer = own.http("DELETE", f"/v2/{name}/manifests/v1")
        assert (answer.status, answer.body) == (404, b"404 page not found\n")
        location = own.http("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        assert own.http("DELETE", location.partition("amazonaws.com")[2]).code == "UNSUPPORTED"


@pytest.mark.parametrize(("answer", "status"), [("accepted", 201), ("ignored", 202)])
def test_whether_one_post_stores_a_blob_is_a_switch(launch: Launch, answer: str, status: int) -> None:
    with launch(singlePost=answer) as own:
        name, data = own.repository(), b"all at once"
        posted = own.http("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", body=data)
        assert posted.status == status
        found = own.http("HEAD", f"/v2/{name}/blobs/{digest_of(data)}").status
        assert found == (200 if answer == "accepted" else 404)


@pytest.mark.parametrize(("answer", "status"), [("plain", 200), ("redirect", 307)])
def test_how_the_head_of_a_blob_is_answered_is_a_switch(launch: Launch, answer: str, status: int) -> None:
    with launch(blobHead=answer) as own:
        name = own.repository()
        own.pushed(name)
        assert own.http("HEAD", f"/v2/{name}/blobs/{CONFIG}").status == status
        assert own.http("HEAD", f"/v2/{name}/blobs/{digest_of(b'absent')}").status == 404


@pytest.mark.parametrize("needed", [False, True])
def test_whether_a_pull_needs_the_right_to_ask_for_availability_is_a_switch(launch: Launch, *, needed: bool) -> None:
    with launch(pullNeedsAvailability=needed) as own:
        name = own.repository()
        own.pushed(name)
        own.client("ecr").set_repository_policy(
            repositoryName=name,
            policyText=document(grant({"AWS": DESTINATION}, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")),
        )
        pulled = own.crane("pull", own.reference(name), str(own.folder / "pulled.tar"), who="promoter")
        assert (pulled.returncode == 0) != needed, pulled.stderr


@pytest.mark.parametrize(("answer", "status"), [("allowed", 307), ("denied", 403)])
def test_whether_another_account_reads_under_a_customers_key_is_a_switch(
    launch: Launch, answer: str, status: int
) -> None:
    with launch(kmsAcrossAccounts=answer) as own:
        key = f"arn:aws:kms:eu-west-1:{SOURCE}:key/1234"
        name = own.repository(encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key})
        own.pushed(name)
        own.client("ecr").set_repository_policy(
            repositoryName=name, policyText=document(grant({"AWS": DESTINATION}, "ecr:*"))
        )
        assert own.http("GET", f"/v2/{name}/blobs/{CONFIG}", who="promoter").status == status
        assert own.http("GET", f"/v2/{name}/blobs/{CONFIG}").status == 307


@pytest.mark.parametrize("seconds", [0, 60])
def test_how_long_an_upload_lives_is_a_switch(launch: Launch, seconds: int) -> None:
    with launch(uploadSeconds=seconds) as own:
        own.clock.stopped = True
        name, ecr = own.repository(), own.client("ecr")
        ids = {"repositoryName": name, "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
        own.clock.ahead += 60
        part = {"partFirstByte": 0, "partLastByte": 3, "layerPartBlob": b"data"}
        if seconds:
            with pytest.raises(ClientError, match="UploadNotFoundException"):
                ecr.upload_layer_part(**ids, **part)
        else:
            assert ecr.upload_layer_part(**ids, **part)["lastByteReceived"] == 3


@pytest.mark.parametrize("there", [True, False])
def test_whether_china_has_referrers_is_a_switch(launch: Launch, *, there: bool) -> None:
    config = {"regions": ["cn-north-1"], "accounts": {SOURCE: {"users": [user("ci", allow("ecr:*"))]}}}
    with launch(config | {"profile": {"referrersInChina": there}}) as own:
        own.client("ecr", region="cn-north-1").create_repository(repositoryName="app")
        password = own.password("ci", "cn-north-1")
        url = f"https://{SOURCE}.dkr.ecr.cn-north-1.amazonaws.com.cn/v2/app/referrers/{digest_of(b'')}"
        assert own.http("GET", url, headers=World.basic(password)).status == (200 if there else 405)


def test_a_blob_that_no_image_uses_yet_can_be_pushed_before_its_image(world: World) -> None:
    name = world.repository()
    config = world.push_blob(name, b"{}") | {"mediaType": OCI_CONFIG}
    assert world.put(name, "v1", manifest(config, [])).status == 201
