"""The list of a namespace: kept by the operator alone, and always what it ought to be."""

import json
from collections.abc import Iterator

import pytest

from endtoend.scene import condition, template
from endtoend.waiting import eventually
from gate.scene import GatedScene
from gate.test_gate import deployment
from localworld.apiserver import ApiError
from localworld.cluster import Cluster
from localworld.controller import Controller
from manifests import asking


def test_a_list_that_is_gone_comes_back(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    before = scene.listed()

    scene.kubectl("delete", f"--as={asking.OPERATOR}", "primg/transship")

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


@pytest.mark.parametrize("arguments", [["primg/transship"], ["primg", "--all"]], ids=["by name", "all"])
def test_whoever_deletes_a_list_is_refused_and_the_gate_stays_shut(
    scene: GatedScene, operator: Controller, arguments: list[str]
) -> None:
    scene.ask_for_gate()
    job = {"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "never-promoted"}}
    pod = template(scene.image("no-such-tag"), restartPolicy="Never")

    operator.kill()  # nobody would write it again
    try:
        refused = scene.refusal_of("delete", "--wait=false", *arguments)
        let_in = scene.refusal({**job, "spec": {"template": pod}})
    finally:
        operator.start()

    assert "PromotedImages are deleted by the Transship operator only; take the label transship.dev/gate off" in refused
    assert "is not promoted for namespace" in let_in


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


@pytest.fixture
def powerless(gate: Cluster, namespace: str) -> Iterator[None]:
    """The operator without the right to write lists, as somebody has it who sets TRANSSHIP_GATE and nothing else."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/transship-operator-gate"
    binding = gate.admin.get(path)
    right, who = ("update", "transship.dev", "promotedimages"), {"user": asking.OPERATOR}
    gate.admin.delete(path)
    eventually(lambda: not asking.may(gate, who, namespace, right), "the right is gone")
    yield
    kept = {"name": binding["metadata"]["name"], "labels": binding["metadata"]["labels"]}
    gate.admin.create(path.rpartition("/")[0], {**binding, "metadata": kept})
    eventually(lambda: asking.may(gate, who, namespace, right), "the right is there again")


def test_while_the_list_cannot_be_written_nobody_is_told_that_an_image_is_promoted(
    scene: GatedScene, request: pytest.FixtureRequest
) -> None:
    scene.ask_for_gate()
    request.getfixturevalue("powerless")

    job = scene.hook(scene.image())
    made = scene.request_for("promote-images")

    for uid in (job["metadata"]["uid"], made["metadata"]["uid"]):
        told = eventually(
            lambda uid=uid: [each["note"] for each in scene.events_of(uid) if each["type"] == "Warning"],  # type: ignore[misc]
            "an event says why",
        )
        assert "promoted, but the gate cannot be told: the API server refused" in told[0]
        assert "check the operator's RBAC" in told[0]
    assert scene.get("PromotionRequest", made["metadata"]["name"])["status"]["phase"] != "Promoted"
    assert not condition(scene.get("Job", "promote-images"), "Complete")
