"""E1: what EventBridge would tell, and how badly it can be delivered."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

from twin.clients import REGION, SOURCE, Launch, World, configuration, digest_of, referrer

pytestmark = pytest.mark.twin


def told(world: World, name: str) -> list[Mapping[str, Any]]:
    return [event for event in world.twin.events.arrived() if event["detail"]["repository-name"] == name]


def test_a_push_and_a_deletion_are_told(world: World) -> None:
    name = world.repository()
    heard: list[Mapping[str, Any]] = []
    world.twin.events.listen(heard.append)
    digest = world.pushed(name)
    world.client("ecr").batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
    push, deletion = told(world, name)
    assert push["detail-type"] == "ECR Image Action"
    assert (push["account"], push["region"], push["source"]) == (SOURCE, REGION, "aws.ecr")
    detail = {"result": "SUCCESS", "repository-name": name, "image-digest": digest, "image-tag": "v1"}
    assert push["detail"] == detail | {"action-type": "PUSH"}
    assert deletion["detail"] == detail | {"action-type": "DELETE"}
    assert heard[-2:] == [push, deletion]


def test_a_refused_push_is_not_told(world: World) -> None:
    name = world.repository(imageTagMutability="IMMUTABLE")
    world.pushed(name)
    assert world.put(name, "v1", world.image(name, "other")).code == "TAG_INVALID"
    assert len(told(world, name)) == 1


@pytest.mark.parametrize(("answer", "kinds"), [("referrer", ["Referrer"]), ("both", ["Image", "Referrer"])])
def test_how_a_referrer_is_told_is_a_switch(launch: Launch, answer: str, kinds: list[str]) -> None:
    with launch(referrerEvents=answer) as own:
        name = own.repository()
        body = referrer(own, name, own.pushed(name), "test/sbom", "s")
        own.put(name, digest_of(body), body)
        _, *events = told(own, name)
        assert [event["detail-type"] for event in events] == [f"ECR {kind} Action" for kind in kinds]
        assert events[-1]["detail"]["artifact-media-type"] == "test/sbom"
        assert events[-1]["detail"]["manifest-media-type"] == "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    ("spoilt", "order"),
    [
        ({}, ["v0", "v1", "v2"]),
        ({"drop": 1.0}, []),
        ({"duplicate": 1.0}, ["v0", "v0", "v1", "v1", "v2", "v2"]),
        ({"reorder": 0.5, "seed": 3}, ["v0", "v2", "v1"]),
    ],
)
def test_delivery_can_be_spoilt(launch: Launch, tmp_path: Path, spoilt: dict[str, Any], order: list[str]) -> None:
    file = tmp_path / "events.jsonl"
    with launch(configuration() | {"events": {"file": str(file), **spoilt}}) as own:
        name = own.repository()
        body = own.image(name, "e1")
        for tag in ("v0", "v1", "v2"):
            own.put(name, tag, body)
        assert [event["detail"]["image-tag"] for event in told(own, name)] == order
        lines = file.read_text(encoding="utf-8").splitlines() if order else []
        assert [json.loads(line)["detail"]["image-tag"] for line in lines] == order
        with urllib3.PoolManager(ca_certs=own.twin.ca_path) as pool:
            over_http = pool.request("GET", f"https://{own.twin.https}/_twin/events").json()
        assert over_http == own.twin.events.arrived()


def test_what_was_held_back_can_be_delivered(launch: Launch) -> None:
    with launch(configuration() | {"events": {"reorder": 1.0}}) as own:
        own.pushed(own.repository())
        assert own.twin.events.arrived() == []
        own.twin.events.flush()
        assert len(own.twin.events.arrived()) == 1
