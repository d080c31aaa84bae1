"""X1 to X10: what goes wrong, where, and at which call."""

import json
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from ecr_twin import ConfigError, Fault, Faults
from twin.clients import DESTINATION, SOURCE, World, configuration, digest_of, document, grant, tarball

pytestmark = pytest.mark.twin
KIB = 1024


@pytest.fixture(autouse=True)
def _no_fault_stays(world: World) -> Iterator[None]:
    yield
    world.twin.faults.clear()


@pytest.fixture
def image(world: World) -> tuple[str, str]:
    """A repository with one image under v1, and its digest."""
    name = world.repository("faulty")
    return name, world.pushed(name, size=64 * KIB)


def layer_url(world: World, name: str, salt: str = "salt") -> tuple[str, bytes]:
    data = (salt * 64 * KIB).encode()[: 64 * KIB]
    return str(world.http("GET", f"/v2/{name}/blobs/{digest_of(data)}").headers["Location"]), data


def taken(world: World, url: str) -> tuple[bytes, Exception | None]:
    """What arrives of a body, and how it ends."""
    parts: list[bytes] = []
    with world.pool() as pool:
        try:
            response = pool.request("GET", url, preload_content=False)
            parts.extend(response.stream(1000))
        except urllib3.exceptions.HTTPError as error:
            return b"".join(parts), error
    return b"".join(parts), None


def test_x1_a_download_is_reset_after_some_bytes(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    world.twin.faults.add(Fault("reset", action="GetObject", at=10_000))
    got, error = taken(world, url)
    assert error is not None
    assert len(got) <= 10_000
    assert data.startswith(got)
    assert taken(world, url) == (data, None)


def _drain(connection: socket.socket) -> None:
    while connection.recv(KIB):
        pass


@pytest.mark.parametrize("through_proxy", [True, False])
def test_x1_a_reset_is_an_rst_also_behind_the_proxy(world: World, *, through_proxy: bool) -> None:
    world.twin.faults.add(Fault("reset", url="*/v2/"))
    host = f"{SOURCE}.dkr.ecr.eu-west-1.amazonaws.com"
    port = int((world.twin.proxy_url if through_proxy else world.twin.https).rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        if through_proxy:
            raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
            assert raw.recv(KIB).startswith(b"HTTP/1.1 200")
        context = ssl.create_default_context(cafile=world.twin.ca_path)
        tls = context.wrap_socket(raw, server_hostname=host)
        tls.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        # Python's TLS would call it an end of file: what the kernel says is asked for instead.
        with socket.socket(fileno=tls.detach()) as bare, pytest.raises(ConnectionResetError):
            _drain(bare)


def test_x1_an_upload_is_reset_after_some_bytes_and_must_start_again(world: World) -> None:
    name, data = world.repository(), os.urandom(64 * KIB)
    location = world.http("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    world.twin.faults.add(Fault("reset", method="PATCH", direction="request", at=10_000))
    with pytest.raises(urllib3.exceptions.HTTPError):
        world.http("PATCH", location, headers=auth(world), body=data)
    answer = world.http("PUT", f"{location}?digest={digest_of(data)}", headers=auth(world), body=data)
    assert answer.code == "BLOB_UPLOAD_UNKNOWN"
    assert world.push_blob(name, data)["size"] == len(data)


def auth(world: World) -> dict[str, str]:
    return urllib3.make_headers(basic_auth=f"AWS:{world.password()}")


def test_x2_a_truncated_body_keeps_its_content_length(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    world.twin.faults.add(Fault("truncate", action="GetObject", at=10_000))
    got, error = taken(world, url)
    assert got == data[:10_000]
    assert "IncompleteRead(10000 bytes read, 55536 more expected)" in str(error)


def test_x2_a_flipped_byte_is_found_by_its_digest_only(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    world.twin.faults.add(Fault("flip", action="GetObject", at=12_345))
    got, error = taken(world, url)
    assert error is None
    assert [index for index in range(len(data)) if got[index] != data[index]] == [12_345]


def test_x2_manifests_are_damaged_too(world: World, image: tuple[str, str]) -> None:
    name, digest = image
    world.twin.faults.add(Fault("flip", action="BatchGetImage", method="GET", at=3))
    wrong, right = (world.http("GET", f"/v2/{name}/manifests/{digest}").body for _ in range(2))
    assert len(wrong) == len(right)
    assert digest_of(right) == digest != digest_of(wrong)


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("when", ["before", "after"])
def test_x3_a_push_fails_before_or_after_its_effect_on_both_faces(world: World, status: int, when: str) -> None:
    name, ecr = world.repository(), world.client("ecr")
    for tag in ("v2-face", "json"):
        body = world.image(name, tag)
        world.twin.faults.add({"kind": "status", "action": "PutImage", "status": status, "when": when})
        answered = world.put(name, tag, body).status if tag == "v2-face" else put_image(ecr, name, tag, body)
        assert answered == status
        assert (world.http("GET", f"/v2/{name}/manifests/{tag}").status == 200) == (when == "after")


def put_image(ecr: Any, name: str, tag: str, body: bytes) -> int:
    with pytest.raises(ClientError) as caught:
        ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=body.decode())
    status: int = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def test_x3_acknowledgements_are_lost(world: World) -> None:
    ecr, faults = world.client("ecr"), world.twin.faults
    faults.add(Fault("reset", action="CreateRepository"))
    with pytest.raises(BotoCoreError):
        ecr.create_repository(repositoryName="lost/one")
    with pytest.raises(ClientError, match="RepositoryAlreadyExistsException"):
        ecr.create_repository(repositoryName="lost/one")
    faults.add(Fault("status", action="CompleteLayerUpload", when="after", times=2))
    ids = {"repositoryName": "lost/one", "uploadId": ecr.initiate_layer_upload(repositoryName="lost/one")["uploadId"]}
    ecr.upload_layer_part(**ids, partFirstByte=0, partLastByte=3, layerPartBlob=b"data")
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        ecr.complete_layer_upload(**ids, layerDigests=[digest_of(b"data")])
    over_http = world.http("POST", "/v2/lost/one/blobs/uploads/").headers["Location"]
    assert world.http("PUT", f"{over_http}?digest={digest_of(b'2')}", headers=auth(world), body=b"2").status == 503
    for data in (b"data", b"2"):
        assert world.http("HEAD", f"/v2/lost/one/blobs/{digest_of(data)}").status == 200


def test_faults_begin_at_the_nth_call_and_end_after_so_many(world: World, image: tuple[str, str]) -> None:
    world.twin.faults.add(Fault("status", url=f"{SOURCE}.*/v2/{image[0]}/tags/*", nth=2, times=2, status=500))
    statuses = [world.http("GET", f"/v2/{image[0]}/tags/list").status for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    assert [row["kind"] for row in world.twin.faults.happened()] == ["status", "status"]


def test_x4_rates_and_round_trips_take_time(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    for fault, seconds in (
        (Fault("slow", seconds=0.15), 0.15),
        (Fault("slow", bytes_per_second=400 * KIB), 0.15),
        (Fault("slow", total_bytes_per_second=400 * KIB), 0.15),
    ):
        world.twin.faults.add(fault)
        began = time.monotonic()
        assert taken(world, url) == (data, None)
        assert seconds <= time.monotonic() - began < 10 * seconds


def test_x4_a_total_rate_is_shared_and_a_rate_per_connection_is_not() -> None:
    faults = Faults([Fault("slow", times=0, total_bytes_per_second=1000)])
    first, second = (faults.strike("exchange", "GET", "host/path")[0].pace for _ in range(2))
    assert first is not None
    assert first is second
    assert (first.delay(500, 0.0), second.delay(500, 0.0)) == (0.5, 1.0)
    assert Faults([Fault("slow", bytes_per_second=9)]).strike("exchange", "GET", "")[0].pace is None


def test_x5_a_stream_stalls(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    world.twin.faults.add(Fault("stall", action="GetObject", at=5_000))
    with world.pool() as pool:
        response = pool.request("GET", url, preload_content=False, timeout=urllib3.Timeout(read=0.2))
        assert data.startswith(response.read(5_000))
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            response.read()
        response.close()
    world.twin.faults.add(Fault("stall", action="GetObject", at=5_000, seconds=0.1))
    assert taken(world, url) == (data, None)


def test_x6_an_upload_session_vanishes_between_two_calls(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    ids = {"repositoryName": name, "uploadId": ecr.initiate_layer_upload(repositoryName=name)["uploadId"]}
    ecr.upload_layer_part(**ids, partFirstByte=0, partLastByte=3, layerPartBlob=b"data")
    world.twin.faults.add(Fault("vanish", action="CompleteLayerUpload"))
    with pytest.raises(ClientError, match="UploadNotFoundException"):
        ecr.complete_layer_upload(**ids, layerDigests=[digest_of(b"data")])
    location = world.http("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    world.twin.faults.add(Fault("vanish", action="UploadLayerPart"))
    assert world.http("PATCH", location, headers=auth(world), body=b"data").code == "BLOB_UPLOAD_UNKNOWN"


def test_x7_reads_miss_a_write_for_a_while(world: World, image: tuple[str, str]) -> None:
    name, ecr = image[0], world.client("ecr")
    world.twin.faults.add(Fault("stale", seconds=5))
    world.clock.stopped, world.clock.ahead = True, world.clock.ahead
    try:
        body = world.image(name, "new")
        assert world.put(name, "v1", body).status == 201
        assert world.http("HEAD", f"/v2/{name}/manifests/v1").headers["Docker-Content-Digest"] == image[1]
        assert ecr.describe_images(repositoryName=name)["imageDetails"][0]["imageDigest"] == image[1]
        with pytest.raises(ClientError, match="ImageAlreadyExists"):  # decisions are never stale
            ecr.put_image(repositoryName=name, imageTag="v1", imageManifest=body.decode())
        world.clock.ahead += 5
        assert world.http("HEAD", f"/v2/{name}/manifests/v1").headers["Docker-Content-Digest"] == digest_of(body)
    finally:
        world.clock.stopped = False


def test_x8_a_foreign_writer_moves_the_tag_between_two_steps(world: World, image: tuple[str, str]) -> None:
    name, other = image[0], world.pushed(image[0], "other", "other")
    world.twin.faults.add(Fault("foreign", action="PutImage", when="after", write="move-tag", tag="v2", digest=other))
    body = world.image(name, "ours")
    assert world.put(name, "v2", body).status == 201
    assert world.http("HEAD", f"/v2/{name}/manifests/v2").headers["Docker-Content-Digest"] == other
    world.twin.faults.add(Fault("foreign", action="BatchGetImage", write="delete-tag", tag="v2"))
    assert world.http("HEAD", f"/v2/{name}/manifests/v2").status == 404


def test_x8_a_foreign_writer_edits_the_policy_between_reading_and_writing(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    ours, theirs = (document(grant({"AWS": account}, "ecr:ListImages")) for account in (DESTINATION, SOURCE))
    ecr.set_repository_policy(repositoryName=name, policyText=ours)
    edit = {"kind": "foreign", "action": "SetRepositoryPolicy", "write": "edit-policy", "when": "after"}
    world.twin.faults.add(edit | {"policy": json.loads(theirs)})
    ecr.set_repository_policy(repositoryName=name, policyText=ours)
    assert json.loads(ecr.get_repository_policy(repositoryName=name)["policyText"]) == json.loads(theirs)
    world.twin.faults.add(Fault("foreign", action="GetRepositoryPolicy", write="edit-policy"))
    with pytest.raises(ClientError, match="RepositoryPolicyNotFoundException"):
        ecr.get_repository_policy(repositoryName=name)


def test_x8_a_foreign_writer_deletes_what_a_push_relies_on(world: World, image: tuple[str, str]) -> None:
    name, faults = image[0], world.twin.faults
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image[1], "size": 9}]}  # fmt: skip
    faults.add(Fault("foreign", action="PutImage", write="delete-image", digest=image[1]))
    answer = world.put(name, "multi", json.dumps(index).encode(), index["mediaType"])  # type: ignore[arg-type]
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"
    body = world.image(name, "purged")
    faults.add(Fault("foreign", action="PutImage", write="purge-layers"))  # B7, mid-promotion
    assert world.put(name, "v3", body).code == "MANIFEST_BLOB_UNKNOWN"
    faults.add(Fault("foreign", action="InitiateLayerUpload", write="delete-repository"))
    assert world.http("POST", f"/v2/{name}/blobs/uploads/").code == "NAME_UNKNOWN"
    faults.add(Fault("foreign", action="CreateRepository", write="create-repository", repository=name))
    with pytest.raises(ClientError, match="RepositoryAlreadyExistsException"):
        world.client("ecr").create_repository(repositoryName=name)


def test_x9_clocks_differ(world: World) -> None:
    number = world.twin.faults.add(Fault("skew", seconds=600))
    answer = world.http("GET", "/v2/")
    ahead = time.mktime(time.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert ahead - world.clock() == pytest.approx(600, abs=5)
    ecr = world.client("ecr")
    expires = ecr.get_authorization_token()["authorizationData"][0]["expiresAt"].timestamp()
    assert expires - world.clock() == pytest.approx(12 * 3600 + 600, abs=5)
    world.twin.faults.remove(number)
    for seconds, words in ((3600, "Signature expired"), (-3600, "Signature not yet current")):
        number = world.twin.faults.add(Fault("skew", seconds=seconds))
        with pytest.raises(ClientError, match=f"InvalidSignatureException.*{words}"):
            ecr.get_authorization_token()
        world.twin.faults.remove(number)


def test_x10_the_blob_host_alone_cannot_be_reached(world: World, image: tuple[str, str]) -> None:
    url, data = layer_url(world, image[0])
    world.twin.faults.add(Fault("unreachable", how="dns"))
    assert "502" in repr(taken(world, url)[1])
    world.twin.faults.add(Fault("unreachable", how="tls"))
    assert "CERTIFICATE_VERIFY_FAILED" in repr(taken(world, url)[1])
    assert taken(world, url) == (data, None)
    world.twin.faults.add(Fault("unreachable", url="api.ecr.*", times=0))
    with pytest.raises(BotoCoreError):
        world.client("ecr").describe_repositories()
    assert world.http("GET", "/v2/").status == 200


def test_a_seed_strikes_the_same_requests_in_whatever_order_they_come() -> None:
    requests = [("GET", f"host/v2/app/manifests/v{number}") for number in range(200)]

    def struck(order: list[tuple[str, str]], seed: int) -> set[tuple[str, str]]:
        faults = Faults([Fault("random", probability=0.2, seed=seed)])
        return {(method, url) for method, url in order if faults.strike("exchange", method, url)}

    first = struck(requests, 7)
    assert first == struck(requests[::-1], 7)
    assert 20 <= len(first) <= 60
    assert first != struck(requests, 8)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_random_faults_do_to_a_stock_client_a_tag_points_to_something_whole(world: World, seed: int) -> None:
    name = f"chaos/{seed}"
    world.client("ecr").create_repository(repositoryName=name)
    archive = tarball(world.folder / f"chaos-{seed}.tar", random.Random(seed).randbytes(100 * KIB))
    world.twin.faults.add({"kind": "random", "probability": 0.2, "seed": seed, "at": 100 * KIB})
    reference = world.reference(name)
    pushed = world.crane("append", "--new_layer", str(archive), "--new_tag", reference)
    world.twin.faults.clear()
    there = world.crane("digest", reference).returncode == 0
    assert there or pushed.returncode != 0, pushed.stderr
    assert not there or world.crane("validate", "--remote", reference).returncode == 0


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({}, "needs a kind"),
        ({"kind": "meteor"}, "kind of a fault must be one of"),
        ({"kind": "reset", "after": 3}, "after is not a setting of a fault"),
        ({"kind": "reset", "nth": "2"}, "nth of a fault must be a number"),
        ({"kind": "foreign"}, "needs write"),
        ({"kind": "random", "kinds": ["flood"]}, "flood is nothing that a random fault can do"),
    ],
)
def test_a_mistake_in_a_fault_is_named(mistake: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Faults().add(mistake)


def test_a_twin_in_another_process_takes_faults_from_its_configuration_and_while_it_runs(
    distribution_binary: Path, tmp_path: Path
) -> None:
    config = tmp_path / "accounts.yaml"
    faults = [{"kind": "status", "status": 500, "url": "*/v2/", "times": 1}]
    config.write_text(yaml.safe_dump(configuration() | {"faults": faults}), encoding="utf-8")
    command = [sys.executable, "-m", "ecr_twin", "--config", str(config), "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen([*command, "--distribution", str(distribution_binary)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            control = f"https://{ready['https']}/_twin/faults"
            proxied = {"proxy_url": ready["proxy"], "ca_certs": ready["ca"], "retries": False}
            ping = f"https://{SOURCE}.dkr.ecr.eu-west-1.amazonaws.com/v2/"
            with urllib3.PoolManager(ca_certs=ready["ca"]) as local, urllib3.ProxyManager(**proxied) as through:
                assert [through.request("GET", ping).status for _ in range(2)] == [500, 401]
                added = local.request("POST", control, json=[{"kind": "status", "times": 0}]).json()
                assert through.request("GET", ping).status == 503
                seen = local.request("GET", control).json()
                assert [row["kind"] for row in seen["faults"]] == ["status", "status"]
                assert [row["url"] for row in seen["happened"]] == [ping.removeprefix("https://")] * 2
                assert local.request("DELETE", f"{control}/{added['ids'][0]}").status == 200
                assert through.request("GET", ping).status == 401
                wrong = local.request("POST", control, json={"kind": "reset", "after": 1})
                assert (wrong.status, "after is not a setting" in wrong.json()["error"]) == (400, True)
        finally:
            process.terminate()
