"""A lying registry: every lie ends in one clear error that repeats none of the registry's words or our secrets."""

import gzip
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from oci.images import blob_descriptor, bytes_of, image
from registry.conftest import SECRET, open_repository
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.closure import Closure
from transship.oci.copier import Copier
from transship.oci.copy import Missing, copy
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import MAX_MANIFEST_BYTES, OCI_MANIFEST
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Registry, Tag
from transship.registry.repository import HttpRepository

LAYER = bytes(range(256)) * 4000
BLOB = blob_descriptor(LAYER)
IMAGE = image([b"layer"]).root
TAG = Tag("v1")
BODY_SECRET = "words-of-the-registry"  # noqa: S105 - what must never be repeated
SIGNED = "?X-Amz-Signature=canary-of-a-signature"


def read(repository: HttpRepository, blob: Descriptor = BLOB) -> bytes:
    """Copy one blob to memory, as a promotion would."""
    there = MemoryRepository()
    copy(repository, there, Closure((IMAGE,), (blob,)), Missing(blobs=frozenset([blob.digest])), Copier(), tag=None)
    return there.blobs[blob.digest]


def error_of_reading(repository: HttpRepository, blob: Descriptor = BLOB) -> TransshipError:
    with pytest.raises(TransshipError) as caught:
        read(repository, blob)
    return careful(caught.value)


def careful(error: TransshipError) -> TransshipError:
    for secret in (SECRET, "canary", "X-Amz", "Basic ", BODY_SECRET):
        assert secret not in str(error)
    assert error.side is not None
    assert error.step
    return error


def refuse(code: str, status: int, message: str = BODY_SECRET, **headers: str) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return sized(body, status, **headers)


def start_of(seen: Seen) -> int:
    """Where in the blob a request begins."""
    return int(seen.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])


# --- blobs -----------------------------------------------------------------------------------------------------------


def test_wrong_bytes_are_a_content_mismatch(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(LAYER[:-1] + b"?")
    assert error_of_reading(victim).reason is Reason.CONTENT_MISMATCH


def test_fewer_bytes_than_declared_are_a_content_mismatch(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(LAYER[:-1])
    assert error_of_reading(victim).reason is Reason.CONTENT_MISMATCH


def test_an_endless_body_is_left_at_the_declared_size(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: Answer(200, {}, itertools.repeat(b"x" * 65536))
    assert error_of_reading(victim).reason is Reason.CONTENT_MISMATCH


def test_a_compressed_answer_is_refused_and_not_unpacked(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(gzip.compress(b"0" * 10_000_000), Content_Encoding="gzip")
    error = error_of_reading(victim)
    assert error.reason is Reason.REFUSED_BY_REGISTRY
    assert "Content-Encoding" in error.message
    assert hostile.seen[0].headers["Accept-Encoding"] == "identity"


def test_a_download_that_breaks_continues_at_the_byte_it_reached(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    def reply(seen: Seen) -> Answer:
        start = start_of(seen)
        rest = LAYER[start:]
        headers = {"Content-Length": str(len(rest)), "Content-Range": f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}"}
        return Answer(206 if start else 200, headers, (rest[:400_000],))

    hostile.reply = reply
    assert read(victim) == LAYER
    assert [seen.headers.get("Range") for seen in hostile.seen] == [
        None,
        "bytes=400000-1023999",
        "bytes=800000-1023999",
    ]


def test_a_download_that_breaks_for_ever_ends_in_unreachable(hostile: HostileServer, victim: HttpRepository) -> None:
    def reply(seen: Seen) -> Answer:
        start = start_of(seen)
        headers = {"Content-Length": str(len(LAYER) - start), "Content-Range": f"bytes {start}-/{len(LAYER)}"}
        return Answer(206 if start else 200, headers, (LAYER[start : start + 10],))

    hostile.reply = reply
    error = error_of_reading(victim)
    assert error.reason is Reason.UNREACHABLE
    assert hostile.host in error.message
    assert [start_of(seen) for seen in hostile.seen] == list(range(0, 1001, 10)), "a hundred times, each time further"


def test_a_registry_that_continues_elsewhere_in_the_blob_is_not_believed(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    def reply(seen: Seen) -> Answer:
        if "Range" in seen.headers:
            return sized(LAYER[7:], 206, Content_Range=f"bytes 7-{len(LAYER) - 1}/{len(LAYER)}")
        return Answer(200, {"Content-Length": str(len(LAYER))}, (LAYER[:100],))

    hostile.reply = reply
    assert error_of_reading(victim).reason is Reason.REGISTRY_ERROR


# --- redirects -------------------------------------------------------------------------------------------------------


def test_a_redirect_loop_ends_after_five_hops(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda seen: sized(b"", 307, Location=seen.path)
    with pytest.raises(RetryLater) as caught:
        bytes_of(victim, BLOB)
    assert caught.value.reason is Reason.REGISTRY_ERROR
    assert len(hostile.seen) == 6


def test_authorization_reaches_the_registry_and_no_other_host(hostile: HostileServer, elsewhere: HostileServer) -> None:
    hostile.reply = lambda _: sized(b"", 307, Location=f"{elsewhere.url}/bytes{SIGNED}")
    elsewhere.reply = lambda _: sized(LAYER)
    assert read(open_repository(hostile.host, plain_http=(hostile.host, elsewhere.host))) == LAYER
    assert hostile.seen[0].headers["Authorization"].startswith("Basic ")
    assert "Authorization" not in elsewhere.seen[0].headers


def test_the_blob_hosts_refusal_is_tried_again_later_and_its_signed_url_stays_secret(
    hostile: HostileServer, elsewhere: HostileServer
) -> None:
    hostile.reply = lambda _: sized(b"", 307, Location=f"{elsewhere.url}/bytes{SIGNED}")
    elsewhere.reply = lambda _: sized(BODY_SECRET.encode(), 403)
    error = error_of_reading(open_repository(hostile.host, plain_http=(hostile.host, elsewhere.host)))
    assert isinstance(error, RetryLater)
    assert elsewhere.host in error.message


def test_a_blob_host_that_is_busy_says_when_to_come_back(hostile: HostileServer, elsewhere: HostileServer) -> None:
    hostile.reply = lambda _: sized(b"", 307, Location=f"{elsewhere.url}/bytes{SIGNED}")
    elsewhere.reply = lambda _: sized(b"", 503, Retry_After="9")
    error = error_of_reading(open_repository(hostile.host, plain_http=(hostile.host, elsewhere.host)))
    assert isinstance(error, RetryLater)
    assert (error.reason, error.after) == (Reason.THROTTLED, 9.0)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/" + SIGNED,
        "https://169.254.169.254/" + SIGNED,
        "https://[::1]/" + SIGNED,
        "https://2130706433/" + SIGNED,
        "https://127.1/" + SIGNED,
        "https://localhost/" + SIGNED,
        "https://user:canary@blobs.example.com/",
        "http://blobs.example.com/" + SIGNED,
        "ftp://blobs.example.com/" + SIGNED,
        "file:///etc/passwd",
        "https://blobs.example.com:99999999/",
        "https://[broken/",
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_refused(
    location: str, hostile: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: sized(b"", 307, Location=location)
    error = error_of_reading(victim)
    assert error.reason in {Reason.HOST_NOT_ALLOWED, Reason.REGISTRY_ERROR}
    assert {seen.path for seen in hostile.seen} == {f"/v2/shop/checkout/blobs/{BLOB.digest}"}
    assert len(hostile.seen) == 1 or isinstance(error, RetryLater), "what is refused for good is asked once"


def test_a_redirect_to_plain_http_on_a_host_nobody_configured_is_not_followed(
    hostile: HostileServer, elsewhere: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: sized(b"", 302, Location=f"{elsewhere.url}/bytes{SIGNED}")
    assert error_of_reading(victim).reason is Reason.HOST_NOT_ALLOWED
    assert elsewhere.seen == []


def test_a_redirect_to_nowhere_is_an_error(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(b"", 307)
    assert error_of_reading(victim).reason is Reason.REGISTRY_ERROR


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_a_registry_on_this_machine_is_refused_unless_configured(host: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        open_repository(host, plain_http=()).resolve(TAG)
    assert careful(caught.value).reason is Reason.HOST_NOT_ALLOWED


# --- uploads ---------------------------------------------------------------------------------------------------------


def uploading(server: HostileServer, location: str) -> None:
    server.reply = lambda seen: sized(b"", 202, Location=location) if seen.method == "POST" else sized(b"", 201)


def test_an_upload_location_on_another_host_is_refused_and_gets_nothing(
    hostile: HostileServer, elsewhere: HostileServer
) -> None:
    uploading(hostile, f"{elsewhere.url}/v2/upload{SIGNED}")
    with pytest.raises(NeedsHuman) as caught:
        open_repository(hostile.host, plain_http=(hostile.host, elsewhere.host)).push_blob(BLOB, iter([LAYER]))
    assert careful(caught.value).reason is Reason.REFUSED_BY_REGISTRY
    assert elsewhere.seen == []


def test_the_closing_put_keeps_the_uploads_state_and_names_the_digest(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    uploading(hostile, "/v2/upload?_state=abc")
    victim.push_blob(BLOB, iter([LAYER[:100], LAYER[100:]]))
    digest = str(BLOB.digest).replace(":", "%3A")
    assert [(seen.method, seen.path) for seen in hostile.seen] == [
        ("POST", "/v2/shop/checkout/blobs/uploads/"),
        ("PATCH", "/v2/upload?_state=abc"),
        ("PUT", f"/v2/upload?_state=abc&digest={digest}"),
    ]
    assert hostile.seen[1].body == LAYER


def test_a_stream_that_fails_is_never_closed_by_a_put(hostile: HostileServer, victim: HttpRepository) -> None:
    uploading(hostile, "/v2/upload")

    def broken() -> Iterator[bytes]:
        yield LAYER[:1000]
        raise RetryLater(Reason.CONTENT_MISMATCH, "the bytes are wrong")

    with pytest.raises(RetryLater) as caught:
        victim.push_blob(BLOB, broken())
    assert caught.value.reason is Reason.CONTENT_MISMATCH
    methods = {seen.method for seen in hostile.seen}
    assert "PUT" not in methods
    assert "DELETE" in methods


def test_a_blob_of_one_chunk_goes_with_the_closing_put(hostile: HostileServer, victim: HttpRepository) -> None:
    uploading(hostile, "/v2/upload?_state=abc")
    victim.push_blob(BLOB, iter([LAYER]))
    assert [(seen.method, seen.body) for seen in hostile.seen] == [("POST", b""), ("PUT", LAYER)]


def test_one_connection_serves_an_upload_and_the_questions_around_it(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    assert victim.resolve(TAG) is None
    assert victim.missing_blobs([BLOB])
    uploading(hostile, "/v2/upload")
    victim.push_blob(BLOB, iter([LAYER]))
    victim.push_manifest(IMAGE, TAG)
    assert [seen.method for seen in hostile.seen] == ["HEAD", "HEAD", "POST", "PUT", "PUT"]
    assert hostile.connections == 1


# --- manifests -------------------------------------------------------------------------------------------------------


def test_other_bytes_for_a_manifest_are_a_content_mismatch(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(b"{}", Content_Type=OCI_MANIFEST)
    with pytest.raises(RetryLater) as caught:
        victim.fetch_manifest(IMAGE.descriptor.digest)
    assert careful(caught.value).reason is Reason.CONTENT_MISMATCH


def test_an_endless_manifest_is_refused_at_the_limit(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: Answer(200, {"Content-Type": OCI_MANIFEST}, itertools.repeat(b" " * 65536))
    with pytest.raises(NeedsHuman) as caught:
        victim.fetch_manifest(IMAGE.descriptor.digest)
    assert careful(caught.value).reason is Reason.UNSUPPORTED_CONTENT
    assert str(MAX_MANIFEST_BYTES) in caught.value.message


def test_a_type_nobody_asked_for_needs_a_human(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(IMAGE.content, Content_Type="application/vnd.docker.distribution.manifest.v1+json")
    with pytest.raises(NeedsHuman) as caught:
        victim.resolve(TAG)
    assert careful(caught.value).reason is Reason.UNSUPPORTED_CONTENT


def test_a_head_that_describes_nothing_is_made_up_for_by_the_bytes(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: sized(IMAGE.content, Content_Type=f"{OCI_MANIFEST}; charset=utf-8")
    assert victim.resolve(TAG) == IMAGE.descriptor


@pytest.mark.parametrize("other", [True, False])
def test_an_immutable_tag_is_success_at_the_same_digest_and_a_conflict_at_another(
    hostile: HostileServer, victim: HttpRepository, *, other: bool
) -> None:
    there = Digest.of(b"other") if other else IMAGE.descriptor.digest

    def reply(seen: Seen) -> Answer:
        if seen.method == "PUT":
            return refuse("TAG_INVALID", 400)
        size = str(IMAGE.descriptor.size)
        return Answer(200, {"Content-Length": size, "Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(there)})

    hostile.reply = reply
    if not other:
        victim.push_manifest(IMAGE, TAG)
        return
    with pytest.raises(NeedsHuman) as caught:
        victim.push_manifest(IMAGE, TAG)
    assert careful(caught.value).reason is Reason.TAG_CONFLICT
    assert str(there) in caught.value.message


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("NAME_UNKNOWN", 404, Reason.REPOSITORY_MISSING),
        ("UNSUPPORTED", 405, Reason.REFUSED_BY_REGISTRY),
        ("MANIFEST_INVALID", 400, Reason.REFUSED_BY_REGISTRY),
        ("MANIFEST_BLOB_UNKNOWN", 400, Reason.REGISTRY_ERROR),
        ("DENIED", 403, Reason.DENIED),
        ("UNAUTHORIZED", 401, Reason.DENIED),
        ("TOOMANYREQUESTS", 429, Reason.THROTTLED),
        ("UNKNOWN", 500, Reason.REGISTRY_ERROR),
        ("canary not a code", 418, Reason.REFUSED_BY_REGISTRY),
    ],
)
def test_a_refused_push_says_status_and_code_and_none_of_the_body(
    code: str, status: int, reason: Reason, hostile: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: refuse(code, status)
    with pytest.raises(TransshipError) as caught:
        victim.push_manifest(IMAGE, TAG)
    error = careful(caught.value)
    assert error.reason is reason
    assert f"HTTP {status}" in error.message
    assert hostile.host in error.message


def test_retry_after_is_handed_on(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: refuse("TOOMANYREQUESTS", 429, Retry_After="17")
    with pytest.raises(RetryLater) as caught:
        victim.resolve(TAG)
    assert caught.value.after == 17.0


def test_of_ecrs_denial_only_principal_action_and_resource_are_repeated(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    principal = "arn:aws:sts::222222222222:assumed-role/transship/transship-shop"
    resource = "arn:aws:ecr:eu-west-1:111111111111:repository/shop/checkout"
    text = f"User: {principal} is not authorized to perform: ecr:BatchGetImage on resource: {resource} {BODY_SECRET}"
    hostile.reply = lambda _: refuse("DENIED", 403, text)
    with pytest.raises(NeedsHuman) as caught:
        victim.resolve(TAG)
    message = careful(caught.value).message
    assert all(part in message for part in (principal, "ecr:BatchGetImage", resource))


def test_an_endless_error_is_cut_off(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: Answer(500, {}, itertools.repeat(b"canary" * 10_000))
    assert error_of_reading(victim).reason is Reason.REGISTRY_ERROR


# --- credentials and network -----------------------------------------------------------------------------------------


@dataclass
class Expiring:
    """Credentials that are refused until they were renewed."""

    number: int = 0

    def authorization(self, registry: Registry, scope: str) -> str:
        return f"Basic {SECRET}-{self.number}"

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        self.number += 1


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_renewed_once(status: int, hostile: HostileServer) -> None:
    def reply(seen: Seen) -> Answer:
        return sized(LAYER) if seen.headers["Authorization"].endswith("-1") else refuse("DENIED", status)

    hostile.reply = reply
    assert read(open_repository(hostile.host, credentials=Expiring())) == LAYER
    assert len(hostile.seen) == 2


def test_credentials_that_stay_refused_are_not_renewed_for_ever(hostile: HostileServer) -> None:
    hostile.reply = lambda _: refuse("DENIED", 403)
    assert error_of_reading(open_repository(hostile.host, credentials=Expiring())).reason is Reason.DENIED
    assert len(hostile.seen) == 2


def test_a_host_that_does_not_listen_is_named(hostile: HostileServer) -> None:
    with HostileServer() as gone:
        host = gone.host
    error = error_of_reading(open_repository(host))
    assert error.reason is Reason.UNREACHABLE
    assert host in error.message


def test_a_connection_that_was_closed_while_it_was_kept_is_replaced(
    hostile: HostileServer, victim: HttpRepository
) -> None:
    def hang_up_at_first(_: Seen) -> Answer:
        if len(hostile.seen) == 1:
            raise ConnectionAbortedError
        return sized(LAYER)

    hostile.reply = hang_up_at_first
    assert read(victim) == LAYER


def test_a_registry_that_hangs_up_is_unreachable(hostile: HostileServer, victim: HttpRepository) -> None:
    def hang_up(seen: Seen) -> Answer:
        raise ConnectionAbortedError

    hostile.reply = hang_up
    assert error_of_reading(victim).reason is Reason.UNREACHABLE
