"""The running operator keeps what a policy wants of AWS, and says in the policy's status how it stands."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from endtoend.scene import POLICIES, SOURCE, Scene, condition
from endtoend.waiting import eventually
from localworld.controller import Controller, install
from localworld.world import World

SID = "TransshipAllowPull222222222222"
ACCESS = {
    "managePolicy": True,
    "roleArn": "arn:aws:iam::111111111111:role/transship-access",
    "externalId": "transship-example",
}
RESYNC = {"TRANSSHIP_RESYNC": "2"}


@pytest.fixture(scope="module")
def operator(world: World) -> Iterator[Controller]:
    install(world)
    with Controller(world, RESYNC) as controller:
        yield controller


@pytest.fixture
def scene(world: World, operator: Controller) -> Iterator[Scene]:
    """A part of the destination registry, and a source repository, of this test alone."""
    scene = Scene(world, {})
    yield scene
    scene.close()
    assert operator.child.process.poll() is None, f"the operator ended: {operator.child.said()}"


@pytest.fixture
def path(world: World) -> str:
    path = f"shop/kept-{uuid.uuid4().hex[:8]}"
    world.push_sample(["v1.4.2"], path)
    return path


def make(scene: Scene, path: str, **spec: Any) -> str:
    """A policy for one repository, by which production reads through the repository's own policy."""
    access = spec.pop("sourceAccess", ACCESS)
    made = scene.policy(source={"registry": SOURCE}, repositories=[path], sourceAccess=access, **spec)
    return str(made["metadata"]["name"])


def until_condition(scene: Scene, name: str, kind: str, reason: str, words: str = "") -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found = scene.admin.get(f"{POLICIES}/{name}")
        assert condition(found, kind).get("reason") == reason, json.dumps(found.get("status"))
        assert words in condition(found, kind)["message"], json.dumps(found["status"])
        return dict(found)

    return eventually(look, f"{kind} of {name} is {reason}")


def sids(world: World, path: str) -> list[str]:
    with world.registries.ecr(world.identities["ci"]) as ecr:
        try:
            text = ecr.get_repository_policy(repositoryName=path)["policyText"]
        except ecr.exceptions.RepositoryPolicyNotFoundException:
            return []
        return [each["Sid"] for each in json.loads(text)["Statement"]]


def test_the_statement_is_there_once_an_image_was_promoted_and_comes_back_when_somebody_removes_it(
    world: World, scene: Scene, path: str
) -> None:
    name = make(scene, path)
    assert sids(world, path) == []
    scene.deploy(scene.image(name=path))
    request = scene.request_for("checkout")
    scene.until_request(request["metadata"]["name"], "Promoted")
    assert sids(world, path) == [SID]
    found = until_condition(scene, name, "SourceAccess", "InPlace", "1 repository")
    who = "arn:aws:iam::222222222222:user/transship-controller"
    assert found["status"]["identities"] == {"source": who, "destination": who}
    assert condition(found, "Identities")["message"] == f"reads as {who}, writes as {who}"

    with world.registries.ecr(world.identities["ci"]) as ecr:
        ecr.delete_repository_policy(repositoryName=path)
    assert eventually(lambda: sids(world, path) or None, "the statement is back") == [SID]


def test_a_destination_repository_that_was_changed_is_reported_and_then_mended(
    world: World, scene: Scene, path: str
) -> None:
    settings = {"create": True, "imageTagMutability": "IMMUTABLE"}
    name = make(scene, path, destinationRepository=settings)
    scene.request(scene.image(name=path))
    scene.until_request("by-hand", "Promoted")
    until_condition(scene, name, "DestinationRepositories", "AsWanted", "1 repository as wanted")

    there = f"{scene.prefix}{path}"
    with world.registries.ecr(world.identities["transship-controller"]) as ecr:
        ecr.put_image_tag_mutability(repositoryName=there, imageTagMutability="MUTABLE")
        words = f"{there}: imageTagMutability is MUTABLE, wanted IMMUTABLE"
        until_condition(scene, name, "DestinationRepositories", "Drift", words)
        scene.admin.patch(f"{POLICIES}/{name}", {"spec": {"destinationRepository": {"drift": "Mend"}}})
        until_condition(scene, name, "DestinationRepositories", "AsWanted")
        (found,) = ecr.describe_repositories(repositoryNames=[there])["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE"


def test_a_role_that_is_refused_is_told_in_the_policys_status_and_the_policy_stays_ready(
    world: World, scene: Scene, path: str
) -> None:
    name = make(scene, path, sourceAccess={**ACCESS, "externalId": "guess"})
    words = "may not sts:AssumeRole on arn:aws:iam::111111111111:role/transship-access"
    found = until_condition(scene, name, "SourceAccess", "Denied", words)
    assert condition(found, "Ready")["status"] == "True"
    scene.request(scene.image(name=path))
    stalled = scene.until_request("by-hand", "Stalled", "Denied")
    assert words in condition(stalled, "Ready")["message"]
    assert sids(world, path) == []
