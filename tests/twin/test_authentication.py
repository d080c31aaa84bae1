"""A1 to A4, A8, A9: who may come in."""

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError

from twin.clients import DESTINATION, OTHER_REGION, SOURCE, Launch, World

pytestmark = pytest.mark.twin


def test_a_request_without_credentials_gets_the_basic_challenge(world: World) -> None:
    answer = world.http("GET", "/v2/", who=None)
    assert answer.status == 401
    realm = f"https://{SOURCE}.dkr.ecr.eu-west-1.amazonaws.com/"
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="{realm}",service="ecr.amazonaws.com"'


@pytest.mark.parametrize("header", ["Bearer abc", "Basic !!", "Basic " + base64.b64encode(b"me:x").decode()])
def test_only_basic_credentials_of_the_user_aws_are_known(world: World, header: str) -> None:
    assert world.http("GET", "/v2/", who=None, headers={"Authorization": header}).status == 401


def test_one_token_opens_every_registry_of_its_region(world: World) -> None:
    assert world.http("GET", "/v2/").status == 200
    assert world.http("GET", "/v2/", account=DESTINATION).status == 200


def test_a_token_is_refused_in_another_region(world: World) -> None:
    answer = world.http("GET", "/v2/", region=OTHER_REGION, password=world.password())
    assert (answer.status, answer.code) == (403, "DENIED")


@pytest.mark.parametrize("body", ["json", "text"])
def test_an_expired_token_is_denied_without_a_challenge(launch: Launch, body: str) -> None:
    with launch(expiredBody=body) as own:
        assert own.http("GET", "/v2/").status == 200
        own.clock.ahead = 12 * 3600
        answer = own.http("GET", "/v2/")
        assert answer.status == 403
        assert "WWW-Authenticate" not in answer.headers
        assert b"authorization token has expired" in answer.body
        assert answer.body.startswith(b"{") == (body == "json")


def test_a_token_needs_an_identity_policy(world: World) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied.*user/nobody is not authorized.*GetAuthorizationToken"):
        world.client("ecr", "nobody").get_authorization_token()


@pytest.mark.parametrize("outlives", [True, False])
def test_whether_a_token_outlives_its_session_is_a_switch(launch: Launch, *, outlives: bool) -> None:
    with launch(tokenOutlivesSession=outlives) as own:
        session = own.client("sts", "promoter").assume_role(
            RoleArn=f"arn:aws:iam::{SOURCE}:role/transship-source", RoleSessionName="test", ExternalId="shop-7"
        )["Credentials"]
        ecr = own.client("ecr", session=session)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().partition(":")[2]
        assert own.http("GET", "/v2/", password=password).status == 200
        own.clock.ahead = 3601
        with pytest.raises(ClientError, match="ExpiredToken"):
            ecr.get_authorization_token()
        assert own.http("GET", "/v2/", password=password).status == (200 if outlives else 403)


def test_a_wrong_secret_is_found_out(world: World) -> None:
    liar = {"AccessKeyId": "AKIACI00000000000000"[:20], "SecretAccessKey": "guess"}
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        world.client("ecr", session=liar).describe_repositories()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        world.client("sts", session=liar).get_caller_identity()


def test_what_a_signature_does_not_cover_is_not_believed(world: World) -> None:
    def add_unsigned(request: Any, **_: Any) -> None:
        request.headers["X-Amz-Extra"] = "x"

    for service, call, code in (
        ("ecr", "describe_repositories", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
    ):
        client = world.client(service)
        client.meta.events.register("before-send", add_unsigned)
        with pytest.raises(ClientError, match=f"{code}.*not signed: x-amz-extra"):
            getattr(client, call)()


def test_an_unknown_access_key_is_refused(world: World) -> None:
    nobody = {"AccessKeyId": "AKIANOTTHERE", "SecretAccessKey": "guess"}
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        world.client("ecr", session=nobody).describe_repositories()


def test_the_wrong_external_id_does_not_assume_the_role(world: World) -> None:
    sts = world.client("sts", "promoter")
    role = {"RoleArn": f"arn:aws:iam::{SOURCE}:role/transship-source", "RoleSessionName": "test"}
    for wrong in ({}, {"ExternalId": "shop-8"}):
        with pytest.raises(ClientError, match=r"AccessDenied.*user/promoter is not authorized.*sts:AssumeRole"):
            sts.assume_role(**role, **wrong)
    assumed = sts.assume_role(**role, ExternalId="shop-7")
    identity = world.client("sts", session=assumed["Credentials"]).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{SOURCE}:assumed-role/transship-source/test"


def test_nobody_else_assumes_the_role(world: World) -> None:
    role = {"RoleArn": f"arn:aws:iam::{SOURCE}:role/transship-source", "RoleSessionName": "test"}
    for who in ("stranger", "ci"):
        with pytest.raises(ClientError, match="AccessDenied"):
            world.client("sts", who).assume_role(**role, ExternalId="shop-7")


def test_a_session_lasts_no_longer_than_the_role_allows(world: World) -> None:
    role = {
        "RoleArn": f"arn:aws:iam::{SOURCE}:role/transship-source",
        "RoleSessionName": "test",
        "ExternalId": "shop-7",
    }
    with pytest.raises(ClientError, match="MaxSessionDuration"):
        world.client("sts", "promoter").assume_role(**role, DurationSeconds=7200)
