"""The list of a namespace: kept by the operator alone, and always what it ought to be."""

import json

import pytest

from endtoend.waiting import eventually
from gate.scene import GatedScene
from gate.test_gate import deployment
from localworld.apiserver import ApiError
from localworld.controller import Controller


def test_a_list_that_somebody_deleted_comes_back(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    before = scene.listed()

    scene.kubectl("delete", "primg/transship")

    assert eventually(scene.listed, "the list is back") == before


def test_nobody_but_the_operator_writes_a_list(scene: GatedScene) -> None:
    scene.ask_for_gate()
    found = scene.find_list()
    assert found is not None
    found["spec"]["references"] = {"quay.example/somebody/else:v1": "sha256:" + "0" * 64}

    with pytest.raises(ApiError, match="PromotedImages are written by the Transship operator only"):
        scene.admin.replace(scene.list_path, found)
    with pytest.raises(ApiError, match="PromotedImages are written by the Transship operator only"):
        scene.admin.create(scene.list_path.removesuffix("/transship"), {**found, "metadata": {"name": "transship"}})


def test_what_nothing_names_any_more_leaves_the_list(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.request(scene.image("v1.5.0"), name="other")
    scene.until_request("by-hand", "Promoted")
    scene.until_request("other", "Promoted")

    scene.kubectl("delete", "preq/other")

    eventually(lambda: scene.image("v1.5.0") not in scene.listed(), "it leaves")
    assert scene.image() in scene.listed()


def test_what_was_refused_or_is_missing_is_not_listed_and_what_succeeded_beside_it_is(scene: GatedScene) -> None:
    scene.ask_for_gate()

    scene.request(scene.image(), scene.image("no-such-tag"), "not a reference")
    scene.until_request("by-hand", "Stalled")

    assert scene.listed().keys() >= {scene.image()}
    assert not [each for each in scene.listed() if "no-such-tag" in each or " " in each]


def test_a_restarted_operator_leaves_the_list_as_it_was(scene: GatedScene, operator: Controller) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    scene.kubectl("create", "-f=-", stdin=json.dumps(deployment(scene.image())))
    before = scene.find_list()

    operator.kill()
    refused = scene.refusal(deployment(scene.image("v1.5.0"), name="meanwhile"))
    let_in = scene.refusal(deployment(scene.image(), name="known"))
    operator.start()
    scene.request(scene.image("v1.5.0"), name="next")
    scene.until_request("next", "Promoted")

    assert "is not promoted" in refused
    assert let_in == ""
    assert before is not None
    assert scene.listed().items() > before["spec"]["references"].items()
