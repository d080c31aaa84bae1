"""A word in every secret, so that whoever uses the twin can look for it in what they say."""

import base64

import pytest

from ecr_twin.canary import spellings
from twin.clients import SOURCE, Launch, configuration, digest_of

pytestmark = pytest.mark.twin
CANARY = "c4nary-of-a-test"


def test_every_secret_that_is_handed_out_has_the_word_in_it_and_works(launch: Launch) -> None:
    with launch(configuration() | {"canary": CANARY}) as world:
        role = {"RoleArn": f"arn:aws:iam::{SOURCE}:role/transship-source", "RoleSessionName": "test"}
        session = world.client("sts", "promoter").assume_role(**role, ExternalId="shop-7")["Credentials"]
        assert CANARY in session["SecretAccessKey"]
        assert CANARY in session["SessionToken"]
        data = world.client("ecr", session=session).get_authorization_token()["authorizationData"][0]
        token = data["authorizationToken"]
        assert CANARY in base64.b64decode(token).decode()
        assert any(each in token for each in spellings(CANARY))
        name = world.repository()
        world.pushed(name)
        layer = world.client("ecr").get_download_url_for_layer(
            repositoryName=name, layerDigest=digest_of(b'{"salt": "salt"}')
        )
        assert layer["downloadUrl"].count(CANARY) == 2, "its token and its signature"
        assert world.http("GET", layer["downloadUrl"]).status == 200


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_the_word_is_found_in_base64_wherever_it_begins(before: str) -> None:
    text = base64.b64encode(f"{before}{CANARY} and more".encode()).decode()
    assert any(each in text for each in spellings(CANARY))
    assert not [each for each in spellings("another-canary") if each in text]
