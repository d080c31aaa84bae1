"""What `transship copy` says when it cannot: one clear sentence, exit status 1, and no secret."""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from command_line.command import Command, Images
from localworld.accounts import identities
from localworld.registries import NO_PROXY, Registries
from oci.images import image, multi_arch
from oci.store_contract import TAG, push
from registry.conftest import HTPASSWD, SECRET
from registry.distribution import running
from registry.hostile import HostileServer, sized
from transship.cli.copying import pair_of, repository_of
from transship.errors import NeedsHuman, Reason

DIGEST, OTHER = (f"sha256:{each * 64}" for each in "ab")


@pytest.mark.parametrize(
    ("source", "destination", "what"),
    [
        ("registry.example.com/Shop:v1", "registry.example.com/shop", "is not lower-case"),
        ("https://registry.example.com/shop:v1", "registry.example.com/shop", "write registry/repository:tag"),
        ("registry.example.com/shop:", "registry.example.com/shop", "is not 1-128 characters"),
        ("registry.example.com/shop@sha256:abc", "registry.example.com/shop", "sha256:abc"),
        ("registry.example.com/shop:v1", "", "is empty"),
        (f"registry.example.com/shop@{DIGEST}", f"registry.example.com/shop@{OTHER}", "name two digests"),
    ],
)
def test_what_is_no_reference_is_refused_with_what_is_wrong(source: str, destination: str, what: str) -> None:
    with pytest.raises(NeedsHuman, match=what) as caught:
        pair_of(source, destination)
    assert caught.value.reason is Reason.INVALID_IMAGE


@pytest.mark.parametrize("text", ["registry.example.com/shop:v1", f"registry.example.com/shop@{DIGEST}"])
def test_for_all_tags_none_is_named(text: str) -> None:
    with pytest.raises(NeedsHuman, match="name only the repository"):
        repository_of(text)


def test_a_bad_reference_is_one_line(transship: Command) -> None:
    said = transship("copy", "registry.example.com/Shop:v1", "registry.example.com/shop")
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith("transship: repository 'Shop' is not lower-case")


@pytest.mark.parametrize(
    ("options", "environment", "what"),
    [
        (("--plain-http", "http://localhost:5000"), {}, "registry 'http://localhost:5000' is not a host"),
        ((), {"SSL_CERT_FILE": "/nowhere.pem"}, "/nowhere.pem cannot be read (No such file or directory)"),
        ((), {"SSL_CERT_FILE": __file__}, "cannot be read"),
        ((), {"HTTPS_PROXY": f"socks9://user:{SECRET}@proxy"}, "HTTPS_PROXY or HTTP_PROXY is no URL of a proxy"),
    ],
)
def test_what_cannot_be_used_of_options_and_environment_is_one_line(
    transship: Command, source: Images, options: tuple[str, ...], environment: dict[str, str], what: str
) -> None:
    said = transship("copy", f"{source}:{TAG}", f"{source}:v2", *options, **environment)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert what in said.err


def test_a_source_that_does_not_exist_is_named(transship: Command, source: Images, destination: Images) -> None:
    said = transship("copy", f"{source}:{TAG}", str(destination))
    assert (said.status, said.out) == (1, "")
    assert f"{source} has no {TAG}; push it there or name one that exists" in said.err
    said = transship("copy", "--all-tags", str(source), str(destination))
    assert (said.status, said.out) == (1, "")
    assert f"{source} has no tags, or does not exist" in said.err


def test_a_host_that_does_not_answer_is_named(transship: Command, source: Images) -> None:
    push(source.open(), image([b"layer"]), TAG)
    said = transship("copy", "-o", "json", f"{source}:{TAG}", "127.0.0.1:1/shop", "--plain-http", "127.0.0.1:1")
    assert said.status == 1
    (told,) = json.loads(said.out)["images"]
    assert told["error"]["reason"] == "Unreachable"
    assert "127.0.0.1:1 cannot be reached" in told["error"]["message"]


def test_this_machine_is_not_spoken_to_without_tls_unless_it_is_said(
    transship: Command, source: Images, destination: Images
) -> None:
    said = replace(transship, options=())("copy", f"{source}:{TAG}", str(destination))
    assert said.status == 1
    assert "allow the host" in said.err


def test_one_image_that_fails_does_not_stop_the_others(transship: Command, source: Images, destination: Images) -> None:
    for name in ("a", "b", "c"):
        push(source.open(), image([name.encode()]), replace(TAG, name=name))
    push(destination.open(), image([b"other"]), replace(TAG, name="b"))
    said = transship("copy", "--all-tags", str(source), str(destination))
    assert said.status == 1
    assert [line.split()[0] for line in said.out.splitlines()] == [f"{destination}:a", f"{destination}:c"]
    assert [line for line in said.err.splitlines() if line.startswith(f"transship: {destination}:b: ")]


def test_a_registry_that_refuses_for_good_is_believed_and_its_words_are_not_repeated(
    transship: Command, hostile: HostileServer, destination: Images
) -> None:
    hostile.reply = lambda _: sized(SECRET.encode(), 403)
    said = transship("copy", f"{hostile.host}/shop/checkout:v1", str(destination), "--plain-http", hostile.host)
    assert said.status == 1
    assert hostile.host in said.err
    assert len(hostile.seen) <= 2


@pytest.fixture(scope="module")
def guarded(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "here", "path": str(directory / "htpasswd")}}
    with running(distribution_binary, directory, auth) as host:
        yield host


class TestCredentials:
    """Who we are comes from Docker's configuration file."""

    @staticmethod
    def log_in(home: Path, host: str, password: str) -> None:
        (home / ".docker").mkdir()
        auth = base64.b64encode(f"writer:{password}".encode()).decode()
        (home / ".docker/config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    def test_that_docker_keeps_are_used(self, transship: Command, source: Images, guarded: str) -> None:
        push(source.open(), multi_arch(), TAG)
        self.log_in(transship.home, guarded, SECRET)
        command = ("copy", f"{source}:{TAG}", f"{guarded}/shop/checkout", "--plain-http", guarded)
        assert transship(*command).status == 0
        assert "already present" in transship(*command).err

    def test_that_are_wrong_are_one_sentence(self, transship: Command, source: Images, guarded: str) -> None:
        push(source.open(), image([b"layer"]), TAG)
        self.log_in(transship.home, guarded, f"{SECRET}-wrong")
        said = transship("copy", f"{source}:{TAG}", f"{guarded}/shop/other", "--plain-http", guarded)
        assert (said.status, said.out) == (1, "")
        assert "its configured login" in said.err
        assert base64.b64encode(f"writer:{SECRET}".encode()).decode()[:-4] not in said.err

    def test_in_a_file_that_is_broken_are_not_shown(self, transship: Command, source: Images, guarded: str) -> None:
        file = transship.home / "broken.json"
        file.write_text(f'{{"auths": {SECRET}')
        command = ("copy", f"{guarded}/shop/checkout:{TAG}", str(source), "--plain-http", guarded)
        said = transship(*command, TRANSSHIP_DOCKER_CONFIG=str(file))
        assert said.status == 1
        assert f"{file} is not JSON" in said.err


class TestSettings:
    """What the operator's settings say of registries holds for the command as well."""

    def test_say_where_connections_are_made(self, transship: Command, source: Images, destination: Images) -> None:
        push(source.open(), image([b"layer"]), TAG)
        named = "registry.example.com:5000"
        said = transship(
            *("copy", f"{named}/{source.path}:{TAG}", str(destination), "--plain-http", named),
            TRANSSHIP_REGISTRY_CONNECT=json.dumps({named: source.host}),
        )
        assert said.status == 0
        assert destination.open().resolve(TAG) == image([b"layer"]).root.descriptor

    def test_that_cannot_be_read_are_named(self, transship: Command, source: Images) -> None:
        said = transship("copy", f"{source}:{TAG}", str(source), TRANSSHIP_RESYNC="soon")
        assert (said.status, said.out) == (1, "")
        assert "TRANSSHIP_RESYNC='soon'" in said.err


def test_ecr_is_asked_with_the_credentials_of_aws(transship: Command, source: Images, twin: Registries) -> None:
    push(source.open(), multi_arch(), TAG)
    ci, path = identities()["ci"], f"shop/checkout-{uuid.uuid4().hex[:8]}"
    with twin.ecr(ci) as ecr:
        ecr.create_repository(repositoryName=path)
    environment = {**ci.environment(), "HTTPS_PROXY": twin.proxy, "NO_PROXY": NO_PROXY}
    command = replace(transship, environment={**environment, "TRANSSHIP_CA_BUNDLE": str(twin.certificate_authority)})
    there = f"{ci.registry}/{path}"
    said = command("copy", f"{source}:{TAG}", there)
    assert (said.status, said.out) == (0, f"{there}:{TAG} {multi_arch().root.descriptor.digest}\n")
    assert twin.crane(ci, "digest", f"{there}:{TAG}").strip() == str(multi_arch().root.descriptor.digest)
    back = Images(source.host)
    assert command("copy", f"{there}:{TAG}", str(back)).status == 0
    assert back.open().resolve(TAG) == multi_arch().root.descriptor
    said = command("copy", f"{there}:{TAG}", f"{there}-missing")
    assert said.status == 1
    assert ci.secret_access_key not in said.err
