"""Registries that are not ECR, as the composition root opens them; and the how-to says what is so."""

import base64
import json
import re
from pathlib import Path

import pytest

from registry.conftest import SECRET
from registry.hostile import Answer, HostileServer, Seen, sized
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Registry, Repository, Tag
from transship.promotion.policy import Endpoint, NamespaceSelector, PromotionPolicy
from transship.registry.realms import WELL_KNOWN
from transship.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs/how-to/other-registries.md").read_text()
TAG = Tag("v1")


@pytest.fixture
def file(tmp_path: Path, hostile: HostileServer) -> Path:
    file = tmp_path / "config.json"
    auth = base64.b64encode(f"me:{SECRET}".encode()).decode()
    file.write_text(json.dumps({"auths": {hostile.host: {"auth": auth}}}))
    return file


def asking_for_a_password(seen: Seen) -> Answer:
    known = "Authorization" in seen.headers
    return sized(b"", 404) if known else sized(b"", 401, WWW_Authenticate='Basic realm="here"')


def look(registries: AwsRegistries, host: str) -> object:
    side = Endpoint(Registry.parse(host))
    policy = PromotionPolicy("shop", side, side, NamespaceSelector(), ())
    return registries.source(policy, Repository.of(side.registry, "shop/checkout")).resolve(TAG)


def test_the_docker_configuration_is_read_where_a_setting_says_so(file: Path, hostile: HostileServer) -> None:
    hostile.reply = asking_for_a_password
    assert look(AwsRegistries(plain_http=[hostile.host], docker_config=file), hostile.host) is None


def test_and_nowhere_else_whatever_the_environment_has(
    file: Path, hostile: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    hostile.reply = asking_for_a_password
    with pytest.raises(NeedsHuman) as caught:
        look(AwsRegistries(plain_http=[hostile.host]), hostile.host)
    assert caught.value.reason is Reason.DENIED
    assert not any("Authorization" in seen.headers for seen in hostile.seen)


def test_all_policies_go_through_one_gate(hostile: HostileServer) -> None:
    hostile.reply = lambda _: sized(b"", 429, Retry_After="3600")
    registries = AwsRegistries(plain_http=[hostile.host])
    for _ in range(3):
        with pytest.raises(RetryLater) as caught:
            look(registries, hostile.host)
        assert caught.value.reason is Reason.THROTTLED
        assert caught.value.after
    assert len(hostile.seen) == 1  # nobody asks again while it wants to be left alone


@pytest.mark.parametrize("name", sorted(set(re.findall(r"TRANSSHIP_[A-Z_]+[A-Z]", TEXT))))
def test_every_setting_named_exists(name: str) -> None:
    assert name.removeprefix("TRANSSHIP_").lower() in Settings.model_fields


def test_every_well_known_pair_is_in_the_how_to() -> None:
    for host in {"docker.io", "registry.gitlab.com"} | set().union(*WELL_KNOWN.values()):
        assert f"`{host}`" in TEXT
