"""Certificates of our own: made once by all replicas together, renewed in time, and never a moment untrusted."""

import base64
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from admission import hook as hooks
from admission import pods
from endtoend.scene import Scene
from localworld.apiserver import ApiError
from localworld.world import World
from transship.admission import certificate
from transship.admission.certificate import Keyring, Lifetimes, covers, make, pem, renew
from transship.admission.keeper import Files, Keeper, SelfManaged
from transship.admission.review import Answer, Review
from transship.admission.server import WebhookServer
from transship.cluster import connect
from transship.cluster.webhook import Webhook
from transship.errors import NeedsHuman

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = ("transship-admission.transship-system.svc", "127.0.0.1")
DAY = timedelta(days=1)
LIFE = Lifetimes(authority=90 * DAY, serving=30 * DAY, settling=timedelta(minutes=2))


@pytest.fixture
def keyring() -> Keyring:
    return make(NAMES, NOW, LIFE)


def test_nothing_is_renewed_before_its_time(keyring: Keyring) -> None:
    assert renew(keyring, NAMES, NOW + 19 * DAY, LIFE) == keyring


def test_what_is_served_is_renewed_when_a_third_of_its_life_is_left(keyring: Keyring) -> None:
    renewed = renew(keyring, NAMES, NOW + 21 * DAY, LIFE)

    assert renewed.authority == keyring.authority
    assert renewed.serving.certificate.not_valid_after_utc == NOW + 51 * DAY
    renewed.serving.certificate.verify_directly_issued_by(keyring.authority.certificate)


def test_a_new_authority_is_trusted_before_anything_it_has_signed_is_served(keyring: Keyring) -> None:
    keyring = renew(keyring, NAMES, NOW + 50 * DAY, LIFE)
    later = NOW + 61 * DAY

    first = renew(keyring, NAMES, later, LIFE)
    at_once = renew(first, NAMES, later + timedelta(minutes=1), LIFE)
    settled = renew(at_once, NAMES, later + timedelta(minutes=3), LIFE)

    assert first.serving == at_once.serving == keyring.serving
    assert first.bundle == pem(first.authority.certificate) + pem(keyring.authority.certificate)
    settled.serving.certificate.verify_directly_issued_by(first.authority.certificate)
    assert settled.bundle == first.bundle, "a replica may still serve what the old authority has signed"


def test_an_old_authority_is_dropped_when_it_has_ended(keyring: Keyring) -> None:
    old = pem(keyring.authority.certificate)
    keyring = renew(keyring, NAMES, NOW + 61 * DAY, LIFE)

    assert old in renew(keyring, NAMES, NOW + 89 * DAY, LIFE).bundle
    assert old not in renew(keyring, NAMES, NOW + 91 * DAY, LIFE).bundle


def test_after_a_long_sleep_all_is_made_anew(keyring: Keyring) -> None:
    later = renew(keyring, NAMES, NOW + 400 * DAY, LIFE)

    assert later.older == ()
    assert later.serving.certificate.not_valid_after_utc == NOW + 430 * DAY


def test_another_name_makes_another_certificate(keyring: Keyring) -> None:
    assert not covers(keyring.serving.certificate, ["other.svc"])
    assert covers(renew(keyring, ["other.svc"], NOW, LIFE).serving.certificate, ["other.svc"])


def test_a_keyring_is_read_back_as_it_was_written(keyring: Keyring) -> None:
    found = Keyring.parse(keyring.to_data())

    assert found is not None
    assert found.to_data() == keyring.to_data()


@pytest.mark.parametrize("part", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\xff\x00"])
def test_a_secret_that_somebody_has_spoilt_counts_as_none(keyring: Keyring, part: str, content: bytes) -> None:
    assert Keyring.parse(keyring.to_data() | {part: content}) is None


def test_keys_that_belong_to_another_certificate_count_as_none(keyring: Keyring) -> None:
    other = make(NAMES, NOW, LIFE).to_data()

    assert Keyring.parse(keyring.to_data() | {"tls.key": other["tls.key"]}) is None
    assert Keyring.parse(keyring.to_data() | {"ca.key": other["ca.key"]}) is None


def test_openssl_agrees_that_what_is_served_is_signed_by_what_is_trusted(keyring: Keyring, tmp_path: Path) -> None:
    now = make(NAMES, datetime.now(UTC), LIFE)
    (tmp_path / "ca.pem").write_bytes(keyring.bundle + now.bundle)
    (tmp_path / "tls.pem").write_bytes(pem(now.serving.certificate))

    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "tls.pem"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "tls.pem: OK\n", done.stderr


# Files that somebody else renews


def test_files_are_served_anew_when_they_change(tmp_path: Path) -> None:
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    first, second = make(NAMES, NOW, LIFE).to_data(), make(NAMES, NOW, LIFE).to_data()
    files = Files(chain, key)
    with pytest.raises(NeedsHuman, match="give PEM files that belong together"):
        files.look()

    chain.write_bytes(first["tls.crt"])
    key.write_bytes(first["tls.key"])
    assert isinstance(files.look(), ssl.SSLContext)
    assert files.look() is None

    chain.write_bytes(second["tls.crt"])
    with pytest.raises(NeedsHuman):
        files.look()
    key.write_bytes(second["tls.key"])
    assert isinstance(files.look(), ssl.SSLContext)


# With the API server


class Corner:
    """A Secret and a configuration of one test alone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.path = f"/api/v1/namespaces/{hooks.NAMESPACE}/secrets/{self.name}"

    def store(self) -> Webhook:
        """As one replica has it."""
        return Webhook(connect(self.world.cluster.kubeconfig), hooks.NAMESPACE, self.name, self.name)

    def secret(self) -> dict[str, Any]:
        return dict(self.world.cluster.admin.get(self.path))

    def close(self) -> None:
        hooks.forget(self.world.cluster, self.name)
        with suppress(ApiError):
            self.world.cluster.admin.delete(self.path)


@pytest.fixture
def corner(installed: World) -> Iterator[Corner]:
    corner = Corner(installed)
    yield corner
    corner.close()


def _in_step(calls: Sequence[Callable[[], object]]) -> None:
    barrier, failed = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("is_there", [False, True], ids=["no secret", "an empty secret"])
def test_replicas_that_start_at_once_agree_on_one_certificate(corner: Corner, *, is_there: bool) -> None:
    admin = corner.world.cluster.admin
    if is_there:
        admin.create(corner.path.rpartition("/")[0], {"metadata": {"name": corner.name}})
    hooks.configure(corner.world.cluster, hooks.configuration(1, corner.name))
    replicas = [SelfManaged(corner.store(), NAMES, lambda: datetime.now(UTC), LIFE) for _ in range(4)]

    _in_step([replica.look for replica in replicas])

    data = corner.secret()["data"]
    served = {replica._served for replica in replicas}
    assert served == {base64.b64decode(data["tls.crt"])}
    (webhook,) = admin.get(f"{hooks.CONFIGURATIONS}/{corner.name}")["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == data["ca.crt"]


def test_a_restarted_replica_takes_what_is_there(corner: Corner) -> None:
    SelfManaged(corner.store(), NAMES, lambda: datetime.now(UTC), LIFE).look()
    before = corner.secret()

    SelfManaged(corner.store(), NAMES, lambda: datetime.now(UTC), LIFE).look()

    assert corner.secret() == before


def test_a_configuration_that_lost_its_authorities_gets_them_back(corner: Corner) -> None:
    replica = SelfManaged(corner.store(), NAMES, lambda: datetime.now(UTC), LIFE)
    replica.look()
    hooks.configure(corner.world.cluster, hooks.configuration(1, corner.name))

    replica.look()

    (webhook,) = corner.world.cluster.admin.get(f"{hooks.CONFIGURATIONS}/{corner.name}")["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == corner.secret()["data"]["ca.crt"]


class _Allow:
    def answer(self, review: Review) -> Answer:
        return Answer("present")


def test_no_request_fails_while_authorities_and_certificates_are_rotated(scene: Scene, corner: Corner) -> None:
    """The configuration fails closed here, and every request is a handshake of its own: any moment untrusted shows."""
    short = Lifetimes(timedelta(seconds=15), timedelta(seconds=7.5), timedelta(seconds=2.5))
    keepers = [Keeper(SelfManaged(corner.store(), NAMES, lambda: datetime.now(UTC), short), 0.3) for _ in range(2)]
    server = WebhookServer("127.0.0.1", 0, _Allow(), keepers[0].context)
    server._server.is_leaving = True  # each answer ends its connection
    only = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    told = hooks.configuration(server.port, corner.name, failurePolicy="Fail", namespaceSelector=only)
    hooks.configure(corner.world.cluster, told)
    for part in (*keepers, server):
        part.start()
    try:
        _until_asked(scene)
        authorities, certificates, ends = set(), set(), time.monotonic() + 28
        while time.monotonic() < ends:
            pods.create(scene, pods.resource("elsewhere.example/app:v1"), "?dryRun=All")
            data = corner.secret()["data"]
            authorities |= {pem(each) for each in x509.load_pem_x509_certificates(base64.b64decode(data["ca.crt"]))}
            certificates.add(data["tls.crt"])
    finally:
        for keeper in keepers:
            keeper.stop()
        hooks.forget(corner.world.cluster, corner.name)
        server.stop(0, 2)
    assert len(authorities) >= 3
    assert len(certificates) >= 4


def _until_asked(scene: Scene) -> None:
    """Wait until the API server trusts the webhook for the first time, and has for a while."""
    good, deadline = 0, time.monotonic() + 20
    while good < 5:
        assert time.monotonic() < deadline
        try:
            pods.create(scene, pods.resource("elsewhere.example/app:v1"), "?dryRun=All")
            good += 1
        except ApiError:
            good = 0
        time.sleep(0.1)


def test_lifetimes_leave_time_to_settle() -> None:
    """An authority ends long after what replaces it has settled, and outlives what is renewed under it."""
    life = Lifetimes()

    assert life.authority / 3 > life.serving
    assert life.serving / 3 > life.settling + certificate.SKEW
