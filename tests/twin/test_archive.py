"""M7, F3 to F5: the archive, managed signing, and referrers that outlive their subject."""

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from twin.clients import Launch, World, configuration, digest_of, referrer

pytestmark = pytest.mark.twin
PROFILE = "arn:aws:signer:eu-west-1:111111111111:/signing-profiles/shop"


@pytest.fixture(scope="module")
def own(launch: Launch) -> Iterator[World]:
    """A twin whose clock stands still until a test moves it."""
    with launch(configuration(restoreSeconds=600) | {"signingSeconds": 30, "cleanupSeconds": 3600}) as world:
        world.clock.stopped = True
        yield world


def archive(own: World, name: str, digest: str, target: str = "ARCHIVE") -> str:
    answer = own.client("ecr").update_image_storage_class(
        repositoryName=name, imageId={"imageDigest": digest}, targetStorageClass=target
    )
    return str(answer["imageStatus"])


def test_an_archived_image_cannot_be_pulled_and_is_hidden(own: World) -> None:
    name, ecr = own.repository(), own.client("ecr")
    digest = own.pushed(name)
    assert archive(own, name, digest) == "ARCHIVED"
    assert own.http("GET", f"/v2/{name}/manifests/v1").code == "MANIFEST_UNKNOWN"
    failures = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])["failures"]
    assert [item["failureCode"] for item in failures] == ["ImageNotFound"]
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    (found,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}], filter={"imageStatus": "ANY"})[
        "imageDetails"
    ]
    assert found["imageStatus"] == "ARCHIVED"
    assert found["lastArchivedAt"].timestamp() == pytest.approx(own.clock(), abs=0.01)
    listed = ecr.list_images(repositoryName=name, filter={"imageStatus": "ARCHIVED"})["imageIds"]
    assert listed == [{"imageDigest": digest, "imageTag": "v1"}]


def test_layers_of_archived_images_only_are_archived_with_them(own: World) -> None:
    name, ecr = own.repository(), own.client("ecr")
    digest = own.pushed(name)
    layer = digest_of(b'{"salt": "salt"}')
    archive(own, name, digest)
    (found,) = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[layer])["layers"]
    assert found["layerAvailability"] == "ARCHIVED"
    assert own.http("GET", f"/v2/{name}/blobs/{layer}").status == 404
    own.pushed(name, "other", annotations={"another": "image"})
    (found,) = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[layer])["layers"]
    assert found["layerAvailability"] == "AVAILABLE"


def test_a_restored_image_is_activating_for_a_while(own: World) -> None:
    name = own.repository()
    digest = own.pushed(name)
    archive(own, name, digest)
    assert archive(own, name, digest, "STANDARD") == "ACTIVATING"
    assert own.http("GET", f"/v2/{name}/manifests/v1").status == 404
    own.clock.ahead += 600
    assert own.http("GET", f"/v2/{name}/manifests/v1").status == 200
    with pytest.raises(ClientError, match="ImageStorageClassUpdateNotSupportedException"):
        archive(own, name, digest, "STANDARD")


def test_pushing_an_archived_image_again_restores_it(own: World) -> None:
    name = own.repository()
    body = own.image(name, "salt")
    for _ in range(2):
        assert own.put(name, "v1", body).status == 201
        assert own.http("GET", f"/v2/{name}/manifests/v1").status == 200
        archive(own, name, digest_of(body))


def test_archived_referrers_are_listed_only_when_asked_for(own: World) -> None:
    name, ecr = own.repository(), own.client("ecr")
    subject = own.pushed(name)
    body = referrer(own, name, subject, "test/sbom", "s")
    own.put(name, digest_of(body), body)
    archive(own, name, digest_of(body))
    assert json.loads(own.http("GET", f"/v2/{name}/referrers/{subject}").body)["manifests"] == []
    arguments = {"repositoryName": name, "subjectId": {"imageDigest": subject}}
    assert ecr.list_image_referrers(**arguments)["referrers"] == []
    (found,) = ecr.list_image_referrers(**arguments, filter={"artifactStatus": "ANY"})["referrers"]
    assert found["artifactStatus"] == "ARCHIVED"


def test_managed_signing_adds_a_referrer_after_a_push(own: World) -> None:
    ecr = own.client("ecr")
    rules = [{"signingProfileArn": PROFILE, "repositoryFilters": [{"filter": "sign*", "filterType": "WILDCARD_MATCH"}]}]
    ecr.put_signing_configuration(signingConfiguration={"rules": rules})
    signed, unsigned = own.repository("signed"), own.repository("plain")
    # The user ci may do everything at ECR and STS, and nothing at Signer: its push succeeds, the signature does not.
    digest = own.pushed(signed)
    (status,) = ecr.describe_image_signing_status(repositoryName=signed, imageId={"imageDigest": digest})[
        "signingStatuses"
    ]
    assert status["status"] == "FAILED"
    assert "signer:SignPayload" in status["failureReason"]
    assert own.pushed(unsigned)
    ecr.delete_signing_configuration()
    with pytest.raises(ClientError, match="SigningConfigurationNotFoundException"):
        ecr.get_signing_configuration()


def test_a_signature_appears_later_and_is_signed_with_the_pushers_rights(launch: Launch) -> None:
    config = configuration() | {"signingSeconds": 30}
    statement = config["accounts"]["111111111111"]["users"][0]["policies"][0]["Statement"][0]
    statement["Action"] = [*statement["Action"], "signer:SignPayload"]
    with launch(config) as own:
        own.clock.stopped = True
        ecr, name = own.client("ecr"), own.repository()
        ecr.put_signing_configuration(signingConfiguration={"rules": [{"signingProfileArn": PROFILE}]})
        digest = own.pushed(name)
        arguments = {"repositoryName": name, "imageId": {"imageDigest": digest}}
        assert ecr.describe_image_signing_status(**arguments)["signingStatuses"][0]["status"] == "IN_PROGRESS"
        assert json.loads(own.http("GET", f"/v2/{name}/referrers/{digest}").body)["manifests"] == []
        own.clock.ahead += 30
        (found,) = json.loads(own.http("GET", f"/v2/{name}/referrers/{digest}").body)["manifests"]
        assert found["artifactType"] == "application/vnd.cncf.notary.signature"
        assert ecr.describe_image_signing_status(**arguments)["signingStatuses"][0]["status"] == "COMPLETE"
        assert own.http("GET", f"/v2/{name}/manifests/{found['digest']}").status == 200


def test_referrers_go_some_time_after_their_subject(own: World) -> None:
    name = own.repository()
    subject = own.pushed(name)
    first = referrer(own, name, subject, "test/signature", "s")
    second = referrer(own, name, digest_of(first), "test/countersignature", "t")
    for body in (first, second):
        assert own.put(name, digest_of(body), body).status == 201
    own.client("ecr").batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": subject}])

    def statuses() -> list[int]:
        return [own.http("HEAD", f"/v2/{name}/manifests/{digest_of(body)}").status for body in (first, second)]

    assert statuses() == [200, 200]
    own.clock.ahead += 3600
    statuses()
    assert statuses() == [404, 404]
