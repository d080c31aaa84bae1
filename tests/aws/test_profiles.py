"""The same stories under every answer that ECR may give to the questions nobody could answer yet (ecr.md, `[?]`).

The twin has a profile for each: all defaults, all opposites, and one for each question alone, so that a failure names
the answer it depends on. One twin answers by one profile after the other, and each story has a repository of its own.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.conftest import ACCOUNTS, DEVELOPMENT, PRODUCTION, TOOLS, Aws
from aws.fleet import DEVELOPMENT as SOURCE
from aws.fleet import PRODUCTION as DESTINATION
from aws.fleet import Heard, build, desk, destination, holds, requests
from aws.test_source_access import EDITOR, WRITER
from ecr_twin import PROFILES, Profile, Twin
from oci.images import Content, image, multi_arch
from oci.store_contract import push
from promotion.world import Desk
from transship.aws.permissions import LIST
from transship.aws.quotas import SHARE, Quotas, Rates
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Repository, Tag
from transship.promotion.status import Phase

pytestmark = pytest.mark.twin
SCALE = 10
LOOKS = 6
IMMUTABLE = {"create": True, "imageTagMutability": "IMMUTABLE"}
CONTENTS: dict[str, Content] = {"v1": multi_arch(seed=b"one", layer_bytes=2_000), "v2": image([b"two"])}
SMALL = {"v1": image([b"one"]), "v2": image([b"two"])}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "arn:aws:kms:eu-west-1:{}:key/0d4cdbb7-1c2a-4f9f-8f0d-2a6f2f3f9b11"
AS_ITSELF: dict[str, Any] = {"registry": str(SOURCE)}
BY_ROLE = {"registry": str(DESTINATION), **WRITER}
KEPT = {"sourceAccess": {"managePolicy": True, **EDITOR}}


@dataclass
class Stage:
    """A running twin whose answers and clock can be changed."""

    twin: Twin
    clock: list[float]


@dataclass
class Story:
    """A twin under one profile, and whoever acts there."""

    aws: Aws
    profile: Profile
    stage: Stage
    path: str
    heard: Heard
    opened: list[AwsRegistries] = field(default_factory=list)

    def registries(self, who: str = "transship-controller") -> AwsRegistries:
        given = self.aws.act_as(who, quotas=quotas(), observer=self.heard, clock=lambda: MOMENT)
        self.opened.append(given)
        return given

    def build(self, who: str, path: str, contents: dict[str, Content], **options: Any) -> None:
        build(self.registries(who), path, contents, **options)

    def close(self) -> None:
        for given in self.opened:
            given._transport.close()
            for client in given._clients._clients.values():
                client.close()
        for client in self.aws.clients:
            client.close()

    def repository(self, contents: dict[str, Content], **settings: Any) -> str:
        """A repository in development with images."""
        self.aws.ecr("ci").create_repository(repositoryName=self.path, **settings)
        self.build("ci", self.path, contents)
        return self.path

    def ends(self, wished: Desk) -> Phase:
        """Look until a request has ended, while what spreads at AWS has time to."""
        for _ in range(LOOKS):
            wished.look()
            if wished.status.phase is not Phase.RETRYING:
                break
            self.stage.clock[0] += 5
        phase: Phase = wished.status.phase
        return phase


def quotas() -> Quotas:
    return Quotas(Rates(SHARE * SCALE))


@pytest.fixture(scope="module")
def stage(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    accounts: dict[str, Any] = yaml.safe_load(ACCOUNTS.read_text())
    role = accounts["accounts"][DEVELOPMENT]["roles"][0]
    everywhere = LIST.statement(Repository.of(SOURCE, "shop/any")) | {"Resource": "*"}
    role["policies"].append({"Version": "2012-10-17", "Statement": [everywhere]})
    templates = {"Effect": "Allow", "Action": "ecr:CreateRepositoryCreationTemplate", "Resource": "*"}
    controller = accounts["accounts"][PRODUCTION]["users"][0]
    controller["policies"].append({"Version": "2012-10-17", "Statement": [templates]})
    clock = [0.0]
    config = accounts | {"limits": {"scale": SCALE}, "tokenLifetimeSeconds": 600}
    folder = tmp_path_factory.mktemp("stories") / "state"
    with Twin(config, folder, distribution_binary, lambda: time.time() + clock[0]) as twin:
        yield Stage(twin, clock)


@pytest.fixture(params=PROFILES)
def story(request: pytest.FixtureRequest, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    stage.twin.answer(request.param)
    told = request.node.function.__name__.split("_")[1]
    aws = Aws(stage.twin, monkeypatch, [])
    story = Story(aws, PROFILES[request.param], stage, f"shop/{told}-{request.param}", Heard())
    yield story
    story.close()


def test_promoting_ends_the_same_whatever_ecr_answers(story: Story) -> None:
    twin, path, given = story.stage.twin, story.repository(CONTENTS), story.registries()

    def wish(*tags: str) -> Desk:
        return desk(given, [(path, tag) for tag in tags], destinationRepository=IMMUTABLE)

    wished = wish("v1", "v2")
    wished.look()
    assert wished.status.phase is Phase.PROMOTED, wished.status.ready
    assert all(holds(given, path, tag, content) for tag, content in CONTENTS.items())
    assert story.heard.throttled == 0

    twin.ledger.reset()
    wished.ask()
    assert requests(twin) == {"ecr:BatchGetImage": 2}, "nothing to do is cheap"

    there = destination(given, path)
    there.push_manifest(CONTENTS["v2"].root, Tag("v2"))  # the same again, on an immutable tag
    with pytest.raises(NeedsHuman) as conflict:
        push(there, image([b"another"]), Tag("v2"))
    assert conflict.value.reason is Reason.TAG_CONFLICT

    story.stage.clock[0] += 700  # tokens have expired, and only ECR knows
    story.build("ci", path, {"v3": image([b"three"])})
    later = wish("v3")
    assert story.ends(later) is Phase.PROMOTED, later.status.ready  # a stream cannot be sent twice

    story.aws.ecr("ci").update_image_storage_class(
        repositoryName=path, imageId={"imageTag": "v3"}, targetStorageClass="ARCHIVE"
    )
    story.aws.ecr("transship-controller").batch_delete_image(repositoryName=path, imageIds=[{"imageTag": "v3"}])
    archived = wish("v3")
    archived.look()
    assert archived.status.images[0].reason == Reason.SOURCE_ARCHIVED

    nowhere = desk(given, [("shop/nowhere", "v1")], source=AS_ITSELF)
    nowhere.look()
    assert nowhere.status.phase is Phase.STALLED
    assert nowhere.status.images[0].reason in {Reason.DENIED, Reason.SOURCE_MISSING}


def test_access_is_given_kept_and_used_from_every_account_whatever_ecr_answers(story: Story) -> None:
    path, own = story.repository(SMALL), story.registries()
    as_itself = desk(own, [(path, "v1")], source=AS_ITSELF, **KEPT)
    assert story.ends(as_itself) is Phase.PROMOTED, as_itself.status.ready
    assert story.aws.sids(path) == [f"TransshipAllowPull{PRODUCTION}"]

    story.aws.ecr("ci").delete_repository_policy(repositoryName=path)
    policy = as_itself.policies[0]
    own.upkeep.look(policy, [path])
    assert story.aws.sids(path) == [f"TransshipAllowPull{PRODUCTION}"], "what somebody removed is put back"

    third = story.registries("tools")
    from_outside = desk(third, [(path, "v2")], source=AS_ITSELF, destination=BY_ROLE, **KEPT)
    assert story.ends(from_outside) is Phase.PROMOTED, from_outside.status.ready
    assert f"TransshipAllowPull{TOOLS}" in story.aws.sids(path)

    by_role = desk(third, [(path, "v1")], destination=BY_ROLE, tagConflict="Overwrite")
    assert story.ends(by_role) is Phase.PROMOTED, by_role.status.ready


def test_encryption_and_templates_are_met_as_they_are_whatever_ecr_answers(story: Story) -> None:
    locked = {"encryptionType": "KMS", "kmsKey": KEY.format(DEVELOPMENT)}
    path, own = story.repository(SMALL, encryptionConfiguration=locked), story.registries()
    wanted = {
        "create": True,
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "exclusions": ["v*-rc"],
        "encryption": {"type": "KMS", "kmsKey": KEY.format(PRODUCTION)},
        "tags": {"team": "shop"},
    }
    by_role = desk(own, [(path, "v1")], destinationRepository=wanted)
    assert story.ends(by_role) is Phase.PROMOTED, by_role.status.ready
    as_itself = desk(own, [(path, "v2")], source=AS_ITSELF, destinationRepository=wanted, **KEPT)
    if story.profile.kms_across_accounts == "allowed":
        assert story.ends(as_itself) is Phase.PROMOTED, as_itself.status.ready
    else:  # ... and not tried for ever
        assert story.ends(as_itself) is Phase.STALLED
        assert as_itself.status.images[0].reason == Reason.DENIED

    production = story.aws.ecr("transship-controller")
    prefix = f"from/{story.path.rpartition('/')[2]}"
    production.create_repository_creation_template(prefix=prefix, appliedFor=["CREATE_ON_PUSH"])
    settings = {"destination": {"registry": str(DESTINATION), "repositoryPrefix": f"{prefix}/"}}
    made_before = f"{prefix}/{path}"
    story.build("transship-controller", made_before, SMALL, registry=DESTINATION)
    found = desk(own, [(made_before, "v1")], destinationRepository=wanted, **settings)
    assert story.ends(found) is Phase.PROMOTED, found.status.ready
    standings = {each.condition: each for each in own.upkeep.look(found.policies[0], [path]).standings}
    drift = standings["DestinationRepositories"]
    assert (drift.status, drift.reason) == ("False", "Drift")
    assert "imageTagMutability" in drift.message
    assert "encryption" in drift.message
