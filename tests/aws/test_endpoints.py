"""Endpoints that an administrator names: API URLs, and where a registry's connections go (PrivateLink, tests)."""

import os

import pytest
import urllib3

from aws.conftest import DEVELOPMENT, REGION, Aws
from transship.aws.hosts import EcrHost
from transship.aws.identity import Identity
from transship.cli.registries import build_registries
from transship.oci.reference import Registry
from transship.registry.network import Network
from transship.registry.transport import Transport, finish
from transship.settings import Settings

pytestmark = pytest.mark.twin
HOST = EcrHost(DEVELOPMENT, REGION, "aws")
NAME = f"{DEVELOPMENT}.dkr.ecr.{REGION}.amazonaws.com"


def test_api_calls_go_where_the_settings_say_in_every_region(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.act_as("ci")
    monkeypatch.setenv("TRANSSHIP_CA_BUNDLE", str(aws.twin.ca_path))
    monkeypatch.setenv("TRANSSHIP_AWS_ENDPOINT_ECR", "https://ecr.{region}.amazonaws.com")
    clients = build_registries(Settings())._clients
    for region in (REGION, "us-east-1"):
        place = EcrHost(DEVELOPMENT, region, "aws")
        ecr = clients.ecr(Identity(), place)
        assert ecr.meta.endpoint_url == f"https://ecr.{region}.amazonaws.com"
        assert ecr.get_authorization_token()["authorizationData"]
        assert clients.sts(Identity(), place).meta.endpoint_url == f"https://sts.{region}.amazonaws.com"


@pytest.mark.parametrize("value", ["http://ecr.example.com", "ecr.example.com", "https://user:secret@ecr.example.com"])
def test_an_endpoint_that_is_no_https_url_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRANSSHIP_AWS_ENDPOINT_STS", value)
    with pytest.raises(ValueError, match="aws_endpoint_sts"):
        Settings()


def test_the_setting_of_connections_is_a_json_object_of_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSSHIP_REGISTRY_CONNECT", f'{{"{NAME}": "vpce-1.example.com:8443"}}')
    network = Network(connect_to=Settings().registry_connect)
    assert network.place(NAME, None) == ("vpce-1.example.com", 8443)
    assert network.place(NAME.upper(), 443) == ("vpce-1.example.com", 8443)
    assert network.place(NAME, 8443) is None
    assert network.place("other.example.com", None) is None
    monkeypatch.setenv("TRANSSHIP_REGISTRY_CONNECT", f'{{"{NAME}": "https://vpce-1.example.com"}}')
    with pytest.raises(ValueError, match="registry_connect"):
        Settings()


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
def test_a_connection_is_made_elsewhere_and_the_certificate_is_still_the_registrys(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, proxy: str | None
) -> None:
    _without_proxies(monkeypatch)
    if proxy is not None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    transport = Transport(Network(ca_file=str(aws.twin.ca_path), connect_to={NAME: aws.twin.https}))
    answer = transport.open("GET", f"https://{NAME}/v2/", {})
    assert answer.status == 401
    assert answer.headers.get("WWW-Authenticate").startswith(f'Basic realm="https://{NAME}/"')
    finish(answer)
    transport.close()


def test_a_place_that_cannot_prove_the_registrys_name_is_not_talked_to(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_proxies(monkeypatch)
    stranger = Registry("registry.example.com").host
    transport = Transport(Network(ca_file=str(aws.twin.ca_path), connect_to={stranger: aws.twin.https}))
    with pytest.raises(urllib3.exceptions.HTTPError, match=r"(?i)certificate|ssl|tls"):
        transport.open("GET", f"https://{stranger}/v2/", {})
    untrusted = Transport(Network(connect_to={NAME: aws.twin.https}))
    with pytest.raises(urllib3.exceptions.HTTPError, match="CERTIFICATE_VERIFY_FAILED"):
        untrusted.open("GET", f"https://{NAME}/v2/", {})
    transport.close()
    untrusted.close()


def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
