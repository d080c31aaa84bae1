"""One story under every answer that ECR may give to the questions nobody could answer yet (ecr.md, `[?]`).

The twin has a profile for each: all defaults, all opposites, and one for each question alone, so that a failure names
the answer it depends on.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.conftest import ACCOUNTS, Aws
from aws.fleet import DEVELOPMENT, Heard, build, desk, destination, holds, requests
from ecr_twin import PROFILES, Twin
from oci.images import Content, image, multi_arch
from oci.store_contract import push
from promotion.world import Desk
from transship.aws.permissions import LIST
from transship.aws.quotas import SHARE, Quotas, Rates
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Repository, Tag
from transship.promotion.status import Phase

SCALE = 10
PATH = "shop/checkout"
IMMUTABLE = {"create": True, "imageTagMutability": "IMMUTABLE"}
CONTENTS: dict[str, Content] = {"v1": multi_arch(seed=b"one", layer_bytes=2_000), "v2": image([b"two"])}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Story:
    """A twin under one profile, filled, and the controller on it."""

    aws: Aws
    registries: AwsRegistries
    heard: Heard
    clock: list[float]

    def wish(self, *tags: str, **spec: Any) -> Desk:
        return desk(self.registries, [(PATH, tag) for tag in tags], destinationRepository=IMMUTABLE, **spec)


def quotas() -> Quotas:
    return Quotas(Rates(SHARE * SCALE))


@contextmanager
def told(profile: str, distribution: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    accounts: dict[str, Any] = yaml.safe_load(ACCOUNTS.read_text())
    role = accounts["accounts"]["111111111111"]["roles"][0]
    role["policies"].append({"Version": "2012-10-17", "Statement": [LIST.statement(Repository.of(DEVELOPMENT, PATH))]})
    clock = [0.0]
    config = accounts | {"profile": profile, "limits": {"scale": SCALE}, "tokenLifetimeSeconds": 600}
    with Twin(config, folder / "state", distribution, lambda: time.time() + clock[0]) as twin:
        aws, heard = Aws(twin, monkeypatch, []), Heard()
        aws.ecr("ci").create_repository(repositoryName=PATH)
        build(aws.act_as("ci", quotas=quotas()), PATH, CONTENTS)
        given = aws.act_as("transship-controller", quotas=quotas(), observer=heard, clock=lambda: MOMENT)
        yield Story(aws, given, heard, clock)
        for client in aws.clients:
            client.close()


@pytest.fixture(params=PROFILES)
def story(
    request: pytest.FixtureRequest, distribution_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Story]:
    with told(request.param, distribution_binary, tmp_path, monkeypatch) as story:
        yield story


def test_the_story_ends_the_same_whatever_ecr_answers(story: Story) -> None:
    twin, given = story.aws.twin, story.registries
    wished = story.wish("v1", "v2")
    wished.look()
    assert wished.status.phase is Phase.PROMOTED, wished.status.ready
    assert all(holds(given, PATH, tag, content) for tag, content in CONTENTS.items())
    assert story.heard.throttled == 0

    twin.ledger.reset()
    wished.ask()
    assert requests(twin) == {"ecr:BatchGetImage": 2}, "nothing to do is cheap"

    there = destination(given, PATH)
    there.push_manifest(CONTENTS["v2"].root, Tag("v2"))  # the same again, on an immutable tag
    with pytest.raises(NeedsHuman) as conflict:
        push(there, image([b"another"]), Tag("v2"))
    assert conflict.value.reason is Reason.TAG_CONFLICT

    story.clock[0] += 700  # tokens have expired, and only ECR knows
    build(story.aws.act_as("ci", quotas=quotas()), PATH, {"v3": image([b"three"])})
    later = story.wish("v3")
    later.look()
    if later.status.phase is Phase.RETRYING:  # a stream cannot be sent twice
        later.look()
    assert later.status.phase is Phase.PROMOTED, later.status.ready

    story.aws.ecr("ci").update_image_storage_class(
        repositoryName=PATH, imageId={"imageTag": "v3"}, targetStorageClass="ARCHIVE"
    )
    story.aws.ecr("transship-controller").batch_delete_image(repositoryName=PATH, imageIds=[{"imageTag": "v3"}])
    archived = story.wish("v3")
    archived.look()
    assert archived.status.images[0].reason == Reason.SOURCE_ARCHIVED

    nowhere = desk(given, [("shop/nowhere", "v1")], source={"registry": str(DEVELOPMENT)})
    nowhere.look()
    assert nowhere.status.phase is Phase.STALLED
    assert nowhere.status.images[0].reason in {Reason.DENIED, Reason.SOURCE_MISSING}
