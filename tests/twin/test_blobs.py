"""B1 to B8: layers, uploads and the blob host."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from twin.clients import SOURCE, Answer, Launch, World, manifest

pytestmark = pytest.mark.twin
MIB = 1024 * 1024
#: The config blob of every image that is pushed without a salt of its own.
_CONFIG = b'{"salt": "salt"}'


def begin(world: World, name: str) -> str:
    started = world.http("POST", f"/v2/{name}/blobs/uploads/")
    assert started.status == 202
    assert started.headers["Location"].startswith(f"https://{SOURCE}.dkr.ecr.eu-west-1.amazonaws.com/v2/{name}/")
    return str(started.headers["Location"])


def patch(world: World, location: str, data: bytes, first: int | None = None) -> Answer:
    headers = {} if first is None else {"Content-Range": f"{first}-{first + len(data) - 1}"}
    return world.http("PATCH", location.partition("amazonaws.com")[2], body=data, headers=headers)


def commit(world: World, location: str, digest: str, data: bytes = b"") -> Answer:
    return world.http("PUT", location.partition("amazonaws.com")[2] + f"?digest={digest}", body=data)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_download_is_redirected_to_the_blob_host_and_honours_ranges(world: World) -> None:
    name, data = world.repository(), os.urandom(3 * MIB)
    layer = world.push_blob(name, data)
    config = world.push_blob(name, b"{}")
    world.put(name, "v1", manifest(config, [layer]))
    redirect = world.http("GET", f"/v2/{name}/blobs/{layer['digest']}")
    assert redirect.status == 307
    url = redirect.headers["Location"]
    assert url.startswith("https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com/")
    assert "X-Amz-Expires=3599" in url
    assert world.http("GET", url).body == data
    part = world.http("GET", url, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, data[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(data)}"


def test_the_blob_host_takes_no_second_credential_and_no_altered_url(world: World) -> None:
    name = world.repository()
    world.pushed(name)
    url = world.http("GET", f"/v2/{name}/blobs/{sha256(_CONFIG)}").headers["Location"]
    twice = world.http("GET", url, headers={"Authorization": "Basic QVdTOng="})
    assert twice.status == 400
    assert b"Only one auth mechanism allowed" in twice.body
    assert world.http("GET", url.replace("X-Amz-Expires=3599", "X-Amz-Expires=9999")).status == 403


def test_a_download_url_expires(launch: Launch) -> None:
    with launch() as own:
        name = own.repository()
        own.pushed(name)
        url = own.http("GET", f"/v2/{name}/blobs/{sha256(_CONFIG)}").headers["Location"]
        assert own.http("GET", url).status == 200
        own.clock.ahead = 3600
        expired = own.http("GET", url)
        assert expired.status == 403
        assert b"Request has expired" in expired.body


def test_a_layer_no_image_uses_cannot_be_downloaded(world: World) -> None:
    name = world.repository()
    layer = world.push_blob(name, b"orphan")
    assert world.http("HEAD", f"/v2/{name}/blobs/{layer['digest']}").headers["Content-Length"] == "6"
    answer = world.http("GET", f"/v2/{name}/blobs/{layer['digest']}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    with pytest.raises(ClientError, match="LayerInaccessibleException"):
        world.client("ecr").get_download_url_for_layer(repositoryName=name, layerDigest=layer["digest"])


def test_a_layer_is_only_in_the_repository_it_was_pushed_to(world: World) -> None:
    there, here = world.repository(), world.repository()
    layer = world.push_blob(there, b"there")
    assert world.http("HEAD", f"/v2/{here}/blobs/{layer['digest']}").status == 404


def test_a_chunked_upload_answers_201_with_a_range_that_sticks(world: World) -> None:
    name, location = (repository := world.repository()), begin(world, repository)
    data = os.urandom(5 * MIB + 11)
    first = patch(world, location, data[: 5 * MIB], 0)
    assert (first.status, first.headers["Range"]) == (201, f"0-{5 * MIB - 1}")
    second = patch(world, location, data[5 * MIB :], 5 * MIB)
    assert (second.status, second.headers["Range"]) == (201, f"0-{5 * MIB - 1}")
    again = patch(world, location, data[5 * MIB :], 5 * MIB)
    assert again.status == 416
    assert commit(world, location, sha256(data)).status == 201
    assert world.http("HEAD", f"/v2/{name}/blobs/{sha256(data)}").headers["Content-Length"] == str(len(data))


def test_a_small_part_can_only_be_the_last(world: World) -> None:
    location = begin(world, world.repository())
    assert patch(world, location, b"small").status == 201
    answer = patch(world, location, b"more")
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")


def test_the_last_chunk_may_come_with_the_commit(world: World) -> None:
    location, data = begin(world, world.repository()), os.urandom(5 * MIB + 3)
    assert patch(world, location, data[: 5 * MIB]).status == 201
    assert commit(world, location, sha256(data), data[5 * MIB :]).status == 201


def test_a_wrong_digest_is_found_out_and_ends_the_upload(world: World) -> None:
    name = world.repository()
    location = begin(world, name)
    answer = commit(world, location, sha256(b"other"), b"data")
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
    assert world.http("HEAD", f"/v2/{name}/blobs/{sha256(b'other')}").status == 404
    assert commit(world, location, sha256(b"data"), b"data").code == "BLOB_UPLOAD_UNKNOWN"


def test_mounting_needs_the_account_setting(world: World) -> None:
    source, target, ecr = world.repository(), world.repository(), world.client("ecr")
    world.pushed(source)
    mount = f"/v2/{target}/blobs/uploads/?mount={sha256(_CONFIG)}&from={source}"
    assert world.http("POST", mount).status == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert world.http("POST", mount).status == 201
    assert world.http("HEAD", f"/v2/{target}/blobs/{sha256(_CONFIG)}").status == 200
    orphan = world.push_blob(source, b"orphan")["digest"]
    assert world.http("POST", f"/v2/{target}/blobs/uploads/?mount={orphan}&from={source}").status == 202
    ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")


def test_the_api_takes_consecutive_parts_only(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    data = os.urandom(5 * MIB + 5)
    upload = {"repositoryName": name, "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
    ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=5 * MIB - 1, layerPartBlob=data[: 5 * MIB])
    with pytest.raises(ClientError) as caught:
        ecr.upload_layer_part(**upload, partFirstByte=9, partLastByte=13, layerPartBlob=data[5 * MIB :])
    assert caught.value.response["Error"]["Code"] == "InvalidLayerPartException"
    response: dict[str, Any] = {**caught.value.response}
    assert response["lastValidByteReceived"] == 5 * MIB - 1
    ecr.upload_layer_part(**upload, partFirstByte=5 * MIB, partLastByte=len(data) - 1, layerPartBlob=data[5 * MIB :])
    assert ecr.complete_layer_upload(**upload, layerDigests=[sha256(data)])["layerDigest"] == sha256(data)
    with pytest.raises(ClientError, match="UploadNotFoundException"):
        ecr.complete_layer_upload(**upload, layerDigests=[sha256(data)])


def test_the_api_checks_what_was_uploaded(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")

    def upload(data: bytes, digest: str) -> None:
        ids = {"repositoryName": name, "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
        if data:
            ecr.upload_layer_part(**ids, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
        ecr.complete_layer_upload(**ids, layerDigests=[digest])

    with pytest.raises(ClientError, match="EmptyUploadException"):
        upload(b"", sha256(b""))
    with pytest.raises(ClientError, match="InvalidLayerException"):
        upload(b"data", sha256(b"other"))
    upload(b"data", sha256(b"data"))
    with pytest.raises(ClientError, match="LayerAlreadyExistsException"):
        upload(b"data", sha256(b"data"))
    with pytest.raises(ClientError, match="UploadNotFoundException"):
        ecr.complete_layer_upload(repositoryName=name, uploadId=str(uuid.uuid4()), layerDigests=[sha256(b"x")])


def test_availability_is_told_layer_by_layer(world: World) -> None:
    name = world.repository()
    layer = world.push_blob(name, b"here")["digest"]
    result = world.client("ecr").batch_check_layer_availability(
        repositoryName=name, layerDigests=[layer, sha256(b"absent"), "nonsense"]
    )
    assert [item["layerAvailability"] for item in result["layers"]] == ["AVAILABLE", "UNAVAILABLE"]
    assert [item["failureCode"] for item in result["failures"]] == ["InvalidLayerDigest"]


class GoneError(Exception):
    """The client went away."""


def test_an_upload_that_is_cut_off_must_start_again(world: World) -> None:
    location = begin(world, world.repository())

    def cut() -> Iterator[bytes]:
        yield b"x" * MIB
        raise GoneError

    def failed() -> int:
        return world.twin.ledger.total(action="ecr:UploadLayerPart").refused

    before, deadline = failed(), time.monotonic() + 5
    with pytest.raises(GoneError):
        world.http("PATCH", location.partition("amazonaws.com")[2], body=cut())
    while failed() == before:  # until the twin has noticed
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert commit(world, location, sha256(b"x"), b"x").code == "BLOB_UPLOAD_UNKNOWN"
