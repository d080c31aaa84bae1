"""The twin as the Deployment starts it: at given ports, with a CA that is given, reached by names and by the proxy."""

import base64
import hashlib
import http.client
import json
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
import yaml

from kind import materials, story
from kind.forwarding import Forward, ForwardedRegistries
from kind.materials import Authority
from localworld.accounts import DEVELOPMENT, identities, registry
from localworld.ports import LOOPBACK, free_ports, is_listening
from localworld.processes import Processes, wait_until_ready
from localworld.world import push_sample

pytestmark = pytest.mark.twin
DEPLOYMENT = yaml.safe_load((materials.HERE / "registries" / "deployment.yaml").read_text())
OPTIONS = DEPLOYMENT["spec"]["template"]["spec"]["containers"][0]["args"]
HOST = registry(DEVELOPMENT)
SECONDS = 30


class Here(Forward):
    """A port of this machine, which nothing has to forward."""

    def __init__(self, port: int) -> None:
        super().__init__(["true"], "", "", port)
        self.port = port

    def start(self) -> None:
        """It is there."""


@contextmanager
def running(binary: Path, folder: Path, authority: Authority, ports: dict[str, int]) -> Iterator[None]:
    """The twin, with the Deployment's options but for places."""
    secret = folder / "secret"
    secret.mkdir(exist_ok=True)
    for name, content in materials.twin_secret(authority)["stringData"].items():
        (secret / name).write_text(content)
    places = {
        "config": str(secret / "accounts.yaml"),
        "authority": str(secret),
        "state-dir": str(folder / "state"),
        "distribution": str(binary),
        "listen": LOOPBACK,
        **{name: str(port) for name, port in ports.items()},
    }
    names = [option.removeprefix("--").partition("=")[0] for option in OPTIONS]
    command = [sys.executable, "-m", "ecr_twin", *(f"--{name}={places[name]}" for name in names)]
    with Processes(folder) as processes:
        child = processes.start("twin", command, at_our_end=signal.SIGTERM)
        wait_until_ready(child, lambda: all(is_listening(port) for port in ports.values()), seconds=SECONDS)
        yield


@pytest.fixture
def ports() -> dict[str, int]:
    return dict(zip(("https-port", "blobs-port", "proxy-port"), free_ports(3), strict=True))


@pytest.fixture
def registries(
    distribution_binary: Path, crane_binary: Path, tmp_path: Path, ports: dict[str, int]
) -> Iterator[ForwardedRegistries]:
    """That twin, as `make kind` reaches it."""
    authority = materials.make_authority()
    with (
        running(distribution_binary, tmp_path, authority, ports),
        ForwardedRegistries(Here(ports["proxy-port"]), authority.certificate) as reached,
    ):
        yield reached


@dataclass(frozen=True)
class Client:
    """Whoever reaches the twin by its names, to which CoreDNS has given its address."""

    authority: Path
    address: str = LOOPBACK

    def get(self, url: str, port: int, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and body."""
        host, _, path = url.removeprefix("https://").partition("/")
        context = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=SECONDS)
        plain = socket.create_connection((LOOPBACK, port), timeout=SECONDS, source_address=(self.address, 0))
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        with closing(connection):
            connection.putrequest("GET", f"/{path}", skip_host=True)
            for name, value in {"Host": host, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()


def basic(registries: ForwardedRegistries) -> str:
    """What the development pipeline shows its registry."""
    auths = json.loads((registries.log_in(identities()["ci"]) / "config.json").read_text())["auths"]
    return f"Basic {auths[HOST]['auth']}"


def test_images_are_pushed_through_the_proxy_and_pulled_by_name(
    registries: ForwardedRegistries, ports: dict[str, int]
) -> None:
    digests = push_sample(registries, ["v1.4.2"])

    client = Client(registries.certificate_authority)
    url = f"https://{HOST}/v2/shop/checkout/manifests/v1.4.2"
    status, _, body = client.get(url, ports["https-port"], Authorization=basic(registries))
    assert status == 200
    assert f"sha256:{hashlib.sha256(body).hexdigest()}" == digests["v1.4.2"]


def test_a_layer_comes_from_the_bucket_at_its_own_port(registries: ForwardedRegistries, ports: dict[str, int]) -> None:
    push_sample(registries, ["v1.4.2"])
    client, ci = Client(registries.certificate_authority), identities()["ci"]
    manifest = json.loads(registries.crane(ci, "manifest", "--platform=linux/amd64", f"{HOST}/shop/checkout:v1.4.2"))
    blob = f"https://{HOST}/v2/shop/checkout/blobs/{manifest['config']['digest']}"

    status, headers, _ = client.get(blob, ports["https-port"], Authorization=basic(registries))
    assert status == 307
    bucket = headers["Location"].split("/")[2]
    assert bucket in {line.split()[1] for line in materials.hosts()}

    status, _, body = client.get(headers["Location"], ports["blobs-port"])
    assert status == 200
    assert json.loads(body)["architecture"] == "amd64"


def test_what_tests_ask_of_the_twin_is_answered_on_loopback_only(
    registries: ForwardedRegistries, ports: dict[str, int]
) -> None:
    url, authority = "https://localhost/_twin/ledger", registries.certificate_authority

    assert Client(authority).get(url, ports["https-port"])[0] == 200
    assert Client(authority, "127.0.0.2").get(url, ports["https-port"])[0] == 421


def test_a_twin_that_starts_again_is_trusted_by_the_same_ca(
    distribution_binary: Path, tmp_path: Path, ports: dict[str, int]
) -> None:
    authority = materials.make_authority()
    certificate = tmp_path / "ca.crt"
    certificate.write_text(authority.certificate)

    for _ in range(2):
        with running(distribution_binary, tmp_path, authority, ports):
            assert Client(certificate).get(f"https://{HOST}/v2/", ports["https-port"])[0] == 401


def test_what_pods_pull_with_is_a_token_for_production_and_no_key(registries: ForwardedRegistries) -> None:
    config = story.docker_config(registries)

    node = identities()["node"]
    ((host, auth),) = json.loads(config)["auths"].items()
    assert host == node.registry
    assert base64.b64decode(auth["auth"]).startswith(b"AWS:")
    assert node.secret_access_key not in config
