import base64
import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.reference import Registry
from transship.registry.auth import Login
from transship.registry.credential_helper import MAX_BYTES, CredentialHelper
from transship.registry.docker_config import KEEP_SECONDS, DockerConfig, default_file

SECRET = "canary-of-a-password"  # noqa: S105 - what must never be seen again
AUTH = base64.b64encode(f"me:{SECRET}".encode()).decode()
IDENTITY = Login("", "", "it")
GHCR, HUB = Registry("ghcr.io"), Registry("docker.io")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def config(file: Path, **content: Any) -> DockerConfig:
    file.write_text(json.dumps(content))
    return DockerConfig(file, helper=lambda name: CredentialHelper(name, time_limit=1.0))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a helper named `test` on PATH that runs a script, and count its runs in a file."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    runs = tmp_path / "runs"
    runs.touch()

    def install(script: str) -> Path:
        program = tmp_path / "docker-credential-test"
        program.write_text(f'#!/bin/sh\necho "$1 $(cat)" >> {runs}\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return runs

    return install


def problem(config: DockerConfig, registry: Registry = GHCR) -> TransshipError:
    with pytest.raises(TransshipError) as caught:
        config.login(registry)
    assert SECRET not in str(caught.value)
    assert AUTH not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({"auth": AUTH}, Login("me", SECRET)),
        ({"auth": base64.b64encode(b"me:a:b\0").decode()}, Login("me", "a:b")),
        ({"username": "me", "password": SECRET}, Login("me", SECRET)),
        ({"auth": AUTH, "identitytoken": "it"}, IDENTITY),
        ({"username": "<token>", "password": "it"}, IDENTITY),
        ({"auth": base64.b64encode(b"<token>:it").decode()}, IDENTITY),
        ({}, None),
    ],
)
def test_what_docker_login_leaves_behind_is_read(entry: dict[str, str], login: Login | None, file: Path) -> None:
    assert config(file, auths={"ghcr.io": entry}).login(GHCR) == login


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "http://ghcr.io/", "https://ghcr.io/v2/", "GHCR.io/v1/"])
def test_a_key_may_be_a_host_or_its_url(key: str, file: Path) -> None:
    assert config(file, auths={key: {"auth": AUTH}}).login(GHCR)


@pytest.mark.parametrize("key", ["ghcr.io/team", "ghcr.io:5000", "io", "xghcr.io", "ghcr.io.example.com", ""])
def test_a_key_for_something_else_is_not_used(key: str, file: Path) -> None:
    assert config(file, auths={key: {"auth": AUTH}}).login(GHCR) is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
def test_docker_hub_has_several_names(key: str, file: Path) -> None:
    assert config(file, auths={key: {"auth": AUTH}}).login(HUB) == Login("me", SECRET)


def test_without_a_file_we_are_nobody(file: Path) -> None:
    assert DockerConfig(file).login(GHCR) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{{{SECRET}", "is not JSON"),
        (f'["{SECRET}"]', "not a JSON object"),
        (f'{{"auths": ["{SECRET}"]}}', "no object at 'auths'"),
        (f'{{"credHelpers": "{SECRET}"}}', "no object at 'credHelpers'"),
        (f'{{"auths": {{"ghcr.io": "{SECRET}"}}}}', "ghcr.io"),
        ('{"auths": {"ghcr.io": {"auth": 5}}}', "ghcr.io"),
        (f'{{"auths": {{"ghcr.io": {{"auth": "{SECRET}"}}}}}}', "not base64"),
        ('{"auths": {"ghcr.io": {"auth": "bm9jb2xvbg=="}}}', "not base64 of user:password"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(content: str, words: str, file: Path) -> None:
    file.write_text(content)
    error = problem(DockerConfig(file))
    assert (type(error), error.reason) == (NeedsHuman, Reason.DENIED)
    assert words in error.message
    assert str(file) in error.message


def test_a_login_is_kept_for_a_while_and_read_anew_when_it_was_refused(file: Path) -> None:
    now = [0.0]
    file.write_text(json.dumps({"auths": {"ghcr.io": {"username": "old", "password": "p"}}}))
    logins = DockerConfig(file, clock=lambda: now[0])
    logins.login(GHCR)
    file.write_text(json.dumps({"auths": {"ghcr.io": {"username": "new", "password": "p"}}}))
    assert logins.login(GHCR) == Login("old", "p")
    logins.forget(GHCR)
    assert logins.login(GHCR) == Login("new", "p")
    file.write_text("{}")
    now[0] += KEEP_SECONDS
    assert logins.login(GHCR) is None


@pytest.mark.parametrize("section", [{"credHelpers": {"ghcr.io": "test"}}, {"credsStore": "test"}])
def test_a_helper_is_asked_for_the_server(section: dict[str, Any], file: Path, helper: Any) -> None:
    runs = helper(f'echo \'{{"ServerURL": "x", "Username": "me", "Secret": "{SECRET}"}}\'')
    logins = config(file, auths={"ghcr.io": {"username": "other", "password": "p"}}, **section)
    assert logins.login(GHCR) == logins.login(GHCR) == Login("me", SECRET)
    assert runs.read_text() == "get ghcr.io\n"


def test_a_helper_knows_docker_hub_by_its_old_name(file: Path, helper: Any) -> None:
    runs = helper('echo \'{"Username": "<token>", "Secret": "it"}\'')
    assert config(file, credsStore="test").login(HUB) == IDENTITY
    assert runs.read_text() == "get https://index.docker.io/v1/\n"


def test_a_helper_is_for_its_own_host_only(file: Path, helper: Any) -> None:
    runs = helper("exit 1")
    assert config(file, credHelpers={"quay.io": "test"}).login(GHCR) is None
    assert not runs.read_text()


def test_what_a_helper_does_not_know_may_be_in_the_file(file: Path, helper: Any) -> None:
    helper('echo "credentials not found in native keychain"; exit 1')
    assert config(file, credsStore="test", auths={"ghcr.io": {"auth": AUTH}}).login(GHCR) == Login("me", SECRET)
    assert config(file, credsStore="test").login(GHCR) is None


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", NeedsHuman, "exit code 3"),
        (f"echo {SECRET}", NeedsHuman, "no user and secret"),
        (f"echo '[\"{SECRET}\"]'", NeedsHuman, "no user and secret"),
        (f'echo \'{{"Username": 5, "Secret": "{SECRET}"}}\'', NeedsHuman, "no user and secret"),
        ("printf '\\377\\376'", NeedsHuman, "no user and secret"),
        (f"yes {SECRET}", NeedsHuman, f"more than {MAX_BYTES} bytes"),
        (f"echo {SECRET}; sleep 60", RetryLater, "within 1 seconds"),
        ("exec >&-; sleep 60", RetryLater, "within 1 seconds"),
        ("kill -9 $$", NeedsHuman, "exit code -9"),
    ],
)
def test_a_helper_that_fails_is_named_and_nothing_it_says_is_repeated(
    script: str, kind: type[TransshipError], words: str, file: Path, helper: Any
) -> None:
    helper(script)
    began = time.monotonic()
    error = problem(config(file, credsStore="test"))
    assert time.monotonic() - began < 5.0
    assert isinstance(error, kind)
    assert "docker-credential-test" in error.message
    assert words in error.message


@pytest.mark.parametrize("name", ["../evil", "a/b", "", " ", "a b", "-x", "..", "a\0b", "x" * 100])
def test_no_path_is_made_of_a_helpers_name(name: str) -> None:
    with pytest.raises(NeedsHuman, match="no name"):
        CredentialHelper(name).get("ghcr.io")


def test_a_helper_that_is_not_installed_is_named(file: Path) -> None:
    assert "docker-credential-no-such-thing" in problem(config(file, credsStore="no-such-thing")).message


def test_where_the_file_is() -> None:
    assert default_file({"HOME": "/home/me"}) == Path("/home/me/.docker/config.json")
    assert default_file({"HOME": "/home/me", "DOCKER_CONFIG": "/etc/d"}) == Path("/etc/d/config.json")
    assert default_file({"DOCKER_CONFIG": "/etc/d", "REGISTRY_AUTH_FILE": "/run/auth.json"}) == Path("/run/auth.json")


def test_printing_a_login_shows_no_secret() -> None:
    assert SECRET not in repr(Login("me", SECRET)) + repr(Login(identity_token=SECRET))
