"""What ECR is held to: the same tests on the twin under every profile, and on two real accounts when asked for.

See `contract` for ``TRANSSHIP_REAL_ECR``. What is certain is asserted; what is open is observed.
"""

import hashlib
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from twin.clients import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest_of, document, grant, manifest
from twin.contract import Site

pytestmark = pytest.mark.twin
ABSENT = "sha256:" + "0" * 64
MIB = 1024 * 1024
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def image(site: Site, name: str, **extra: Any) -> bytes:
    salt = uuid.uuid4().hex
    layer = site.push_blob(name, salt.encode(), OCI_LAYER)
    return manifest(site.push_blob(name, json.dumps({"salt": salt}).encode(), OCI_CONFIG), [layer], **extra)


def put(site: Site, name: str, reference: str, body: bytes, media_type: str = OCI_MANIFEST) -> Any:
    return site.http("PUT", f"/v2/{name}/manifests/{reference}", body=body, headers={"Content-Type": media_type})


def test_only_basic_is_asked_for(site: Site) -> None:
    answer = site.http("GET", "/v2/", by=None)
    assert answer.status == 401
    realm = f"https://{site.registry().host}/"
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="{realm}",service="ecr.amazonaws.com"'
    assert site.http("GET", "/v2/").status == 200


def test_a_token_lives_twelve_hours_and_opens_both_registries(site: Site) -> None:
    data = site.ecr().get_authorization_token()["authorizationData"][0]
    assert abs(data["expiresAt"] - datetime.now(UTC) - timedelta(hours=12)) < timedelta(minutes=15)
    assert data["proxyEndpoint"] == f"https://{site.registry().host}"
    assert site.http("GET", "/v2/", at="destination").status == 200


def test_what_is_not_there_has_a_name(site: Site) -> None:
    assert site.http("GET", f"/v2/{site.prefix}/nothing/tags/list").code == "NAME_UNKNOWN"
    missing = site.http("GET", f"/v2/{site.repository()}/manifests/v1")
    assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")
    across = site.http("GET", f"/v2/{site.prefix}/nothing/manifests/v1", by="destination").status
    site.observe("missing_repository_across_accounts", {403: "denied", 404: "not-found"}[across])


def test_bytes_come_back_as_they_went(site: Site) -> None:
    name, data = site.repository(), os.urandom(100_000)
    layer, config = site.push_blob(name, data, OCI_LAYER), site.push_blob(name, b"{}", OCI_CONFIG)
    body = manifest(config, [layer])
    assert put(site, name, "v1", body).status == 201
    got = site.http("GET", f"/v2/{name}/manifests/v1", headers={"Accept": OCI_MANIFEST})
    assert got.body == body
    assert "Docker-Content-Digest" not in got.headers
    head = site.http("HEAD", f"/v2/{name}/manifests/v1", headers={"Accept": OCI_MANIFEST})
    assert head.headers["Docker-Content-Digest"] == digest_of(body)
    redirect = site.http("GET", f"/v2/{name}/blobs/{layer['digest']}")
    assert redirect.status == 307
    url = redirect.headers["Location"]
    host = f"prod-{site.region}-starport-layer-bucket.s3.{site.region}.amazonaws.com"
    assert urlsplit(url).hostname == host
    assert site.http("GET", url).body == data
    part = site.http("GET", url, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, data[1000:2000])
    assert site.http("GET", url, headers={"Authorization": "Basic QVdTOng="}).status == 400
    site.observe("blob_url_seconds", int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0]))
    blob_head = site.http("HEAD", f"/v2/{name}/blobs/{layer['digest']}").status
    site.observe("blob_head", {200: "plain", 307: "redirect"}[blob_head])


def test_a_chunked_upload_is_answered_201_with_a_range_that_sticks(site: Site) -> None:
    name, data = site.repository(), os.urandom(5 * MIB + 11)
    location = site.http("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    path = location.partition(site.registry().host)[2]
    for first, last in ((0, 5 * MIB), (5 * MIB, len(data))):
        answer = site.http("PATCH", path, body=data[first:last], headers={"Content-Range": f"{first}-{last - 1}"})
        assert (answer.status, answer.headers["Range"]) == (201, f"0-{5 * MIB - 1}")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert site.http("PUT", f"{path}?digest={digest}").status == 201


def test_a_single_post_and_the_deletion_of_an_upload(site: Site) -> None:
    name = site.repository()
    posted = site.http("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(b'x')}", body=b"x").status
    site.observe("single_post", {201: "accepted", 202: "ignored"}[posted])
    location = site.http("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    deleted = site.http("DELETE", location.partition(site.registry().host)[2]).status
    site.observe("upload_delete", "accepted" if deleted == 204 else "unsupported")


def test_a_manifest_needs_its_parts_in_the_same_repository(site: Site) -> None:
    name = site.repository()
    config = site.push_blob(name, b"{}", OCI_CONFIG)
    body = manifest(config, [{"mediaType": OCI_LAYER, "digest": ABSENT, "size": 3}])
    answer = put(site, name, "v1", body)
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"
    assert ABSENT in answer.message
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        site.ecr().put_image(repositoryName=name, imageManifest=body.decode(), imageTag="v1")
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 3}]}  # fmt: skip
    assert put(site, name, "multi", json.dumps(index).encode(), OCI_INDEX).code == "MANIFEST_BLOB_UNKNOWN"


def test_a_manifest_that_ecr_does_not_take_is_unsupported(site: Site) -> None:
    name = site.repository()
    answer = put(site, name, "v1", image(site, name, artifactType="application/x;version=1"))
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    wrong = put(site, name, ABSENT, image(site, name))
    assert wrong.code == "MANIFEST_INVALID"


def test_an_immutable_tag_does_not_move(site: Site) -> None:
    name = site.repository(imageTagMutability="IMMUTABLE")
    body = image(site, name)
    assert put(site, name, "v1", body).status == 201
    again, moved = put(site, name, "v1", body), put(site, name, "v1", image(site, name))
    assert moved.code == "TAG_INVALID"
    site.observe("tag_invalid_status", moved.status)
    site.observe("same_digest_on_immutable_tag", "accept" if again.status == 201 else "refuse")


def test_another_account_reads_once_the_repository_policy_allows_it(site: Site) -> None:
    name = site.repository()
    body = image(site, name)
    put(site, name, "v1", body)
    path, layer = f"/v2/{name}/manifests/v1", json.loads(body)["layers"][0]["digest"]
    refused = site.http("GET", path, by="destination")
    assert (refused.status, refused.code) == (403, "DENIED")
    assert "ecr:BatchGetImage" in refused.message
    root = f"arn:aws:iam::{site.registry('destination').account}:root"
    site.ecr().set_repository_policy(repositoryName=name, policyText=document(grant({"AWS": root}, *PULL)))
    site.eventually(lambda: site.http("GET", path, by="destination").status == 200)
    pulled = site.http("GET", f"/v2/{name}/blobs/{layer}", by="destination").status
    site.observe("pull_needs_availability", pulled == 403)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        site.ecr("destination").list_images(registryId=site.registry().account, repositoryName=name)


def test_a_policy_needs_principals_that_exist(site: Site) -> None:
    name, ecr = site.repository(), site.ecr()
    ghost = f"arn:aws:iam::{site.registry().account}:role/not-there-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecr.set_repository_policy(repositoryName=name, policyText=document(grant({"AWS": ghost}, *PULL)))
    with pytest.raises(ClientError, match="RepositoryPolicyNotFoundException"):
        ecr.get_repository_policy(repositoryName=name)


def test_a_layer_no_image_uses_has_no_url(site: Site) -> None:
    name = site.repository()
    digest = site.push_blob(name, uuid.uuid4().bytes, OCI_LAYER)["digest"]
    (found,) = site.ecr().batch_check_layer_availability(repositoryName=name, layerDigests=[digest])["layers"]
    assert found["layerAvailability"] == "AVAILABLE"
    with pytest.raises(ClientError, match="LayerInaccessibleException"):
        site.ecr().get_download_url_for_layer(repositoryName=name, layerDigest=digest)


def test_the_api_takes_consecutive_parts_and_checks_the_digest(site: Site) -> None:
    name, ecr = site.repository(), site.ecr()
    ids = {"repositoryName": name, "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
    ecr.upload_layer_part(**ids, partFirstByte=0, partLastByte=3, layerPartBlob=b"data")
    with pytest.raises(ClientError) as caught:
        ecr.upload_layer_part(**ids, partFirstByte=9, partLastByte=12, layerPartBlob=b"more")
    assert caught.value.response["Error"]["Code"] == "InvalidLayerPartException"
    response: dict[str, Any] = {**caught.value.response}
    assert response["lastValidByteReceived"] == 3
    with pytest.raises(ClientError, match="InvalidLayerException"):
        ecr.complete_layer_upload(**ids, layerDigests=[ABSENT])


def test_referrers_are_found_by_their_subject(site: Site) -> None:
    name = site.repository()
    body = image(site, name)
    put(site, name, "v1", body)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(body), "size": len(body)}
    artifact = image(site, name, artifactType="test/sbom", subject=subject)
    pushed = put(site, name, digest_of(artifact), artifact)
    assert (pushed.status, pushed.headers["OCI-Subject"]) == (201, digest_of(body))
    listed = site.http("GET", f"/v2/{name}/referrers/{digest_of(body)}?artifactType=test/sbom")
    assert [item["digest"] for item in json.loads(listed.body)["manifests"]] == [digest_of(artifact)]
    orphan = image(site, name, subject=subject | {"digest": ABSENT})
    site.observe("subject_must_exist", put(site, name, digest_of(orphan), orphan).status != 201)


def test_a_manifest_may_be_deleted_over_http(site: Site) -> None:
    name = site.repository()
    put(site, name, "v1", image(site, name))
    deleted = site.http("DELETE", f"/v2/{name}/manifests/v1").status
    site.observe("manifest_delete", "accepted" if deleted == 202 else "not-found")


def test_lists_have_a_largest_page(site: Site) -> None:
    name = site.repository()
    body = image(site, name)
    for tag in ("v1", "v2", "v3"):
        put(site, name, tag, body)
    answer = site.http("GET", f"/v2/{name}/tags/list?n=1001")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    first = site.http("GET", f"/v2/{name}/tags/list?n=2")
    assert len(json.loads(first.body)["tags"]) == 2
    assert first.headers["Link"].startswith(f"<https://{site.registry().host}/v2/{name}/tags/list?")
