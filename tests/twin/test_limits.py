"""Q1 to Q3: rates, off unless the configuration has a section for them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from twin.clients import DESTINATION, Launch, World, configuration

pytestmark = pytest.mark.twin


def limited(profile: dict[str, Any] | None = None, **limits: Any) -> dict[str, Any]:
    return configuration(**(profile or {})) | {"limits": limits}


def throttled(world: World, name: str, calls: int, **where: Any) -> int:
    statuses = [world.http("GET", f"/v2/{name}/tags/list", **where).status for _ in range(calls)]
    return statuses.count(429)


def test_both_faces_draw_from_one_bucket(launch: Launch) -> None:
    with launch(limited({"retryAfterSeconds": 3}, rates={"ListImages": 2})) as own:
        own.clock.ahead = 1000
        own.clock.stopped = True
        name, ecr = own.repository(), own.client("ecr")
        ecr.list_images(repositoryName=name)
        assert own.http("GET", f"/v2/{name}/tags/list").status == 200
        answer = own.http("GET", f"/v2/{name}/tags/list")
        assert (answer.status, answer.code, answer.message) == (429, "TOOMANYREQUESTS", "Rate exceeded")
        assert answer.headers["Retry-After"] == "3"
        with pytest.raises(ClientError, match=r"ThrottlingException.*Rate exceeded") as caught:
            ecr.list_images(repositoryName=name)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        own.clock.ahead += 1
        assert throttled(own, name, 3) == 1


def test_images_are_put_at_the_published_rate(launch: Launch) -> None:
    with launch(limited()) as own:
        own.clock.stopped = True
        name = own.repository()
        body = own.image(name, "q1")
        own.clock.ahead += 1
        answers = [own.put(name, f"v{number}", body) for number in range(12)]
        assert [answer.status for answer in answers] == [201] * 10 + [429] * 2
        assert "Retry-After" not in answers[-1].headers


@pytest.mark.parametrize("against", ["registry", "caller"])
def test_whose_bucket_pays_is_a_switch(launch: Launch, against: str) -> None:
    with launch(limited({"throttleAgainst": against}, rates={"ListImages": 1})) as own:
        own.clock.stopped = True
        mine, theirs = own.repository(), own.repository(who="promoter")
        assert throttled(own, mine, 1) == 0
        # The second call goes to another registry, by the same caller; a policy is not even asked.
        assert throttled(own, theirs, 1, account=DESTINATION) == (0 if against == "registry" else 1)


def test_the_blob_host_can_be_told_to_slow_down(launch: Launch) -> None:
    with launch(limited(rates={"GetObject": 1})) as own:
        own.clock.stopped = True
        name = own.repository()
        digest = own.push_blob(name, b'{"salt": "salt"}')["digest"]
        own.pushed(name)
        url = own.http("GET", f"/v2/{name}/blobs/{digest}").headers["Location"]
        assert own.http("GET", url).status == 200
        slow = own.http("GET", url)
        assert slow.status == 503
        assert b"SlowDown" in slow.body


def test_how_many_tokens_at_once_is_a_switch(launch: Launch) -> None:
    with launch(limited({"tokenBucket": "small"}, scale=0.05)) as own:
        own.clock.ahead = 1000
        own.clock.stopped = True
        ecr = own.client("ecr")
        for _ in range(200):
            ecr.get_authorization_token()
        with pytest.raises(ClientError, match="ThrottlingException"):
            ecr.get_authorization_token()
        own.clock.ahead += 1  # refilled at 20/s, of which this test lets through a twentieth
        ecr.get_authorization_token()
        with pytest.raises(ClientError, match="ThrottlingException"):
            ecr.get_authorization_token()
