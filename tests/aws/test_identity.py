"""Roles are assumed by name of policy, and nothing wider stands in for one that is refused (moto plays STS)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.tokens import Tokens, fetcher
from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Registry
from transship.promotion.policy import Endpoint

HOST = EcrHost("111111111111", "eu-west-1", "aws")
REGISTRY = Registry("111111111111.dkr.ecr.eu-west-1.amazonaws.com")
ROLE = "arn:aws:iam::111111111111:role/transship-source"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with mock_aws():
        yield


def test_a_role_is_assumed_in_the_registrys_region_under_the_policys_name() -> None:
    identity = Identity.of("shop", Endpoint(REGISTRY, "", ROLE, "external"))
    sts = Clients().sts(identity, HOST)
    assert sts.get_caller_identity()["Arn"] == (
        "arn:aws:sts::111111111111:assumed-role/transship-source/transship-shop"
    )
    assert sts.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"


def test_without_a_role_the_controller_is_itself_whatever_the_policy() -> None:
    assert Identity.of("a", Endpoint(REGISTRY)) == Identity.of("b", Endpoint(REGISTRY))
    arn = Clients().sts(Identity(), HOST).get_caller_identity()["Arn"]
    assert "assumed-role" not in arn


def test_a_session_name_is_one_that_sts_accepts() -> None:
    identity = Identity.of("ä policy/with: everything" + "x" * 100, Endpoint(REGISTRY, "", ROLE))
    assert identity.session_name.startswith("transship---policy-with--everything")
    assert len(identity.session_name) == 64


def test_a_client_is_made_once() -> None:
    clients = Clients()
    assert clients.ecr(Identity(), HOST) is clients.ecr(Identity(), EcrHost("222222222222", "eu-west-1", "aws"))
    assert clients.ecr(Identity(), HOST) is not clients.ecr(Identity(), EcrHost("111111111111", "us-east-1", "aws"))


def test_a_role_that_is_refused_is_not_replaced_by_the_controllers_own_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients, identity = Clients(), Identity(ROLE, None, "transship-shop")
    text = f"User: arn:aws:iam::222222222222:user/me is not authorized to perform: sts:AssumeRole on resource: {ROLE}"

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": text}}, "AssumeRole")

    monkeypatch.setattr(clients.sts(Identity(), HOST), "assume_role", refuse)

    def clock() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    tokens = Tokens(HOST, fetcher(clients, identity, HOST, clock), clock)
    with pytest.raises(NeedsHuman) as caught:
        tokens.authorization(REGISTRY, "")
    assert caught.value.reason is Reason.DENIED
    assert ROLE in caught.value.message
