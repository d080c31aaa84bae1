"""The controller as itself, where a cluster gives it its identity: IRSA's token and Pod Identity's endpoint."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from aws.conftest import ACCOUNTS, PRODUCTION, REGION, user_of
from ecr_twin import Twin
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.cli.registries import build_registries
from transship.settings import Settings
from twin.test_principals import ISSUER, public, token

pytestmark = pytest.mark.twin
HOST = EcrHost(PRODUCTION, REGION, "aws")
SUBJECT = f"{ISSUER.removeprefix('https://')}:sub"
ROLE = f"arn:aws:iam::{PRODUCTION}:role/transship-irsa"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def cloud(
    distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory, key: rsa.RSAPrivateKey
) -> Iterator[Twin]:
    """A twin whose production account knows the cluster's issuer."""
    config: dict[str, Any] = yaml.safe_load(ACCOUNTS.read_text())
    account = config["accounts"][PRODUCTION]
    account["identityProviders"] = [{"url": ISSUER, "publicKey": public(key)}]
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{PRODUCTION}:oidc-provider/{ISSUER.removeprefix('https://')}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {SUBJECT: "system:serviceaccount:transship:controller"}},
    }
    document = {"Version": "2012-10-17", "Statement": [trust]}
    policies = account["users"][0]["policies"]
    account["roles"].append({"name": "transship-irsa", "trust": document, "policies": policies})
    with Twin(config, tmp_path_factory.mktemp("own") / "state", distribution_binary) as twin:
        yield twin


@pytest.fixture
def settle(cloud: Twin, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment without AWS credentials, in which only our own setting says which authority is to be trusted."""
    for variable in [each for each in os.environ if each.startswith("AWS_") or each.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HTTPS_PROXY", cloud.proxy_url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TRANSSHIP_CA_BUNDLE", cloud.ca_path)
    cloud.ledger.reset()
    return monkeypatch


def clients() -> Clients:
    return build_registries(Settings())._clients


def has_a_token(of: Clients) -> bool:
    return bool(of.ecr(Identity(), HOST).get_authorization_token()["authorizationData"])


@pytest.mark.parametrize("aws_region", [None, REGION])
def test_a_web_identity_is_shown_to_the_sts_that_the_settings_name_with_their_authorities(
    cloud: Twin, settle: pytest.MonkeyPatch, tmp_path: Path, key: rsa.RSAPrivateKey, aws_region: str | None
) -> None:
    file = tmp_path / "token"
    file.write_text(token(key))
    settle.setenv("AWS_ROLE_ARN", ROLE)
    settle.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    settle.setenv("TRANSSHIP_AWS_ENDPOINT_STS", "https://sts.us-east-1.amazonaws.com")
    if aws_region:
        settle.setenv("AWS_REGION", aws_region)
    assert has_a_token(clients())
    asked = [row["region"] for row in cloud.ledger.rows() if row["action"] == "sts:AssumeRoleWithWebIdentity"]
    assert asked == ["us-east-1"]


def test_without_an_endpoint_of_ones_own_a_web_identity_is_shown_to_the_registrys_region(
    cloud: Twin, settle: pytest.MonkeyPatch, tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    file = tmp_path / "token"
    file.write_text(token(key))
    settle.setenv("AWS_ROLE_ARN", ROLE)
    settle.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    caller = clients().caller(Identity(), HOST)
    assert caller.arn.startswith(f"arn:aws:sts::{PRODUCTION}:assumed-role/transship-irsa/")
    assert {row["region"] for row in cloud.ledger.rows()} == {REGION}


def session_of_a_role(cloud: Twin) -> dict[str, Any]:
    user = user_of("transship-controller")
    session = boto3.Session(user["accessKeyId"], user["secretAccessKey"], region_name=REGION)
    config = Config(proxies={"https": cloud.proxy_url})
    sts = session.client("sts", config=config, verify=cloud.ca_path)
    role = f"arn:aws:iam::{PRODUCTION}:role/transship-write"
    answer = sts.assume_role(RoleArn=role, RoleSessionName="pod", ExternalId="transship-example")
    sts.close()
    return dict(answer["Credentials"])


def test_pod_identity_hands_out_credentials_on_the_node(
    cloud: Twin, settle: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = session_of_a_role(cloud)
    asked: list[str | None] = []

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            body = json.dumps(
                {
                    **{name: given[name] for name in ("AccessKeyId", "SecretAccessKey")},
                    "Token": given["SessionToken"],
                    "Expiration": given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as agent:
        thread = threading.Thread(target=agent.serve_forever)
        thread.start()
        file = tmp_path / "token"
        file.write_text("pod-token")
        settle.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{agent.server_port}/v1/credentials")
        settle.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
        try:
            assert has_a_token(clients())
        finally:
            agent.shutdown()
            thread.join()
    assert asked == ["pod-token"]


def test_a_roles_session_in_each_region_is_opened_at_that_regions_sts(cloud: Twin, settle: pytest.MonkeyPatch) -> None:
    user = user_of("transship-controller")
    settle.setenv("AWS_ACCESS_KEY_ID", user["accessKeyId"])
    settle.setenv("AWS_SECRET_ACCESS_KEY", user["secretAccessKey"])
    role = Identity("arn:aws:iam::111111111111:role/transship-source", "transship-example", "transship-shop")
    given = clients()
    for region in (REGION, "us-east-1"):
        assert given.ecr(role, EcrHost("111111111111", region, "aws")).get_authorization_token()["authorizationData"]
    asked = [row["region"] for row in cloud.ledger.rows() if row["action"] == "sts:AssumeRole"]
    assert sorted(asked) == sorted([REGION, "us-east-1"])
