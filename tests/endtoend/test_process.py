"""The operator as a process: killed, replaced, stopped, probed, and silent about secrets."""

import base64
import json
import re
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from endtoend import bulk
from endtoend.conftest import SETTINGS, Hear
from endtoend.reading import metric
from endtoend.scene import SOURCE, SOURCE_ROLE, Resource, Scene, condition, outcomes
from endtoend.waiting import eventually
from localworld.accounts import canary
from localworld.controller import Controller
from localworld.world import World

LEASE = "/apis/coordination.k8s.io/v1/namespaces/transship-system/leases/transship"
KILL_POINTS = (4, 20, 36)
IMAGE_WORKERS = 8
GRACE_SECONDS = 30.0
AUTHORIZATION = re.compile(r"""Authorization["']?\s*[:=]|\b(Basic|Bearer) [A-Za-z0-9+/_-]{16}""")


def _uploads(scene: Scene) -> int:
    return scene.ledger.requests(account="222222222222")["ecr:CompleteLayerUpload"]


def _lease(scene: Scene) -> Resource:
    return dict(scene.admin.get(LEASE)["spec"])


def _verify(scene: Scene, digests: Mapping[str, str]) -> None:
    """An independent client has the last word."""
    assert scene.tags(bulk.REPOSITORY) == set(bulk.TAGS)
    for tag in bulk.TAGS:
        image = scene.image(tag, bulk.REPOSITORY)
        assert scene.digest(image) == digests[tag]
    scene.as_auditor("validate", "--remote", scene.image(bulk.TAGS[0], bulk.REPOSITORY))


@pytest.fixture
def standby(world: World, operator: Controller, hear: Hear) -> Iterator[Controller]:
    """A second replica."""
    with Controller(world, SETTINGS) as second:
        yield second
    hear("the standby's logs", second.said)


def test_killed_in_the_middle_again_and_again_it_finishes_without_being_told(
    scene: Scene, operator: Controller, bulk_digests: Mapping[str, str]
) -> None:
    scene.policy()
    before = _uploads(scene)
    scene.deploy(*[scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS])
    for point in KILL_POINTS:
        eventually(lambda point=point: _uploads(scene) - before >= point, f"{point} layers are there", poll=0.01)  # type: ignore[misc]
        operator.kill()
        assert scene.requests_of("checkout")[0]["status"]["phase"] != "Promoted", "the kill lands in the middle"
        operator.start()

    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    _verify(scene, bulk_digests)
    assert {outcome for outcome, _ in outcomes(request).values()} <= {"Copied", "AlreadyPresent", "TagAdded"}
    # What was under way at a kill may have to be sent again: one layer of each image, and no more.
    assert bulk.BLOBS <= _uploads(scene) - before <= bulk.BLOBS + len(KILL_POINTS) * IMAGE_WORKERS


def test_killed_with_a_hook_waiting_the_hook_still_ends(
    scene: Scene, operator: Controller, bulk_digests: Mapping[str, str]
) -> None:
    scene.policy()
    before = _uploads(scene)
    hook = scene.hook(*[scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS])
    eventually(lambda: _uploads(scene) > before, "the copy begins", poll=0.01)
    operator.kill()
    assert condition(scene.get("Job", "promote-images"), "Complete") == {}

    operator.start()

    scene.until_job("promote-images", "Complete", uid=hook["metadata"]["uid"])
    _verify(scene, bulk_digests)


def test_what_was_asked_for_while_no_operator_ran_is_found_at_its_start(scene: Scene, operator: Controller) -> None:
    scene.policy()
    operator.kill()
    hook = scene.hook(scene.image("v1.4.1"))
    scene.deploy(scene.image("v1.5.0"))

    operator.start()

    scene.until_job("promote-images", "Complete", uid=hook["metadata"]["uid"])
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    assert scene.tags() == {"v1.4.1", "v1.5.0"}


def test_of_two_replicas_one_leads_and_when_it_is_killed_the_other_finishes(
    scene: Scene, operator: Controller, standby: Controller, bulk_digests: Mapping[str, str]
) -> None:
    eventually(lambda: metric(operator, "transship_leader") == 1, "the first replica leads")
    assert standby.is_ready()
    assert standby.get("/healthz") == (200, "ok\n")
    assert metric(standby, "transship_leader") == 0
    first = _lease(scene)["holderIdentity"]
    scene.policy()
    before = _uploads(scene)
    scene.deploy(*[scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS])
    eventually(lambda: _uploads(scene) - before >= 4, "the copy is under way", poll=0.01)

    operator.kill()

    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    second = _lease(scene)
    assert second["holderIdentity"] not in {"", first}
    assert metric(standby, "transship_leader") == 1
    _verify(scene, bulk_digests)

    operator.start()
    assert metric(operator, "transship_leader") == 0, "the first is now the standby"
    transitions = second["leaseTransitions"]
    standby.child.process.send_signal(signal.SIGTERM)
    assert standby.child.process.wait(GRACE_SECONDS) == 0
    eventually(lambda: metric(operator, "transship_leader") == 1, "it takes over", seconds=3.0)
    assert _lease(scene)["leaseTransitions"] == transitions + 1


def test_sigterm_in_the_middle_of_a_copy_ends_it_in_time_and_lets_the_lease_go(
    scene: Scene, operator: Controller, bulk_digests: Mapping[str, str]
) -> None:
    eventually(lambda: metric(operator, "transship_leader") == 1, "it leads")
    scene.policy()
    before = _uploads(scene)
    scene.deploy(*[scene.image(tag, bulk.REPOSITORY) for tag in bulk.TAGS])
    eventually(lambda: _uploads(scene) - before >= 4, "the copy is under way", poll=0.01)

    operator.child.process.send_signal(signal.SIGTERM)

    assert operator.child.process.wait(GRACE_SECONDS) == 0
    assert _lease(scene)["holderIdentity"] == ""
    assert operator.log_lines()[-1]["message"] == "operator stopped"
    assert _uploads(scene) - before < bulk.BLOBS, "it stopped in the middle"
    operator.start()
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    _verify(scene, bulk_digests)


def test_the_probes_say_ok_and_other_paths_say_what_there_is(scene: Scene, operator: Controller) -> None:
    eventually(lambda: metric(operator, "transship_leader") == 1, "it leads")

    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")
    assert operator.get("/anything") == (404, "try /healthz, /readyz or /metrics\n")


def test_the_metrics_tell_what_was_promoted_and_have_no_label_that_grows_with_it(
    scene: Scene, operator: Controller
) -> None:
    scene.policy()
    scene.deploy(scene.image())
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    eventually(
        lambda: metric(operator, "transship_images_total", policy=scene.namespace, outcome="Copied") == 1,
        "the image is counted",
    )
    assert metric(operator, "transship_copied_bytes_total", policy=scene.namespace) > 64 * 1024
    assert metric(operator, "transship_promotions_total", result="success", reason="Promoted") >= 1
    assert metric(operator, "transship_promotion_duration_seconds_count", result="success") >= 1
    assert time.time() - metric(operator, "transship_watch_last_event_timestamp_seconds", resource="leases") < 10
    text = operator.get("/metrics")[1]
    assert "shop/checkout" not in text
    assert "sha256:" not in text
    assert f"{scene.namespace}/" not in text


def test_every_line_of_the_log_is_a_json_object_with_a_time_a_level_and_a_message(
    scene: Scene, operator: Controller
) -> None:
    scene.policy()
    scene.request(scene.image("v9.9.9"), scene.image())
    scene.until_request("by-hand", "Stalled")

    def told() -> list[Resource]:
        lines = [each for each in operator.log_lines() if each.get("request") == f"{scene.namespace}/by-hand"]
        return [each for each in lines if each["message"] == "request transitioned"]

    (transition,) = eventually(told, "the transition is logged")
    assert (transition["phase"], transition["reason"], transition["summary"]) == ("Stalled", "SourceMissing", "1/2")
    for line in operator.log_lines():
        assert {"timestamp", "level", "message", "logger"} <= line.keys(), line


def test_no_credential_is_in_any_log_event_status_or_command_line(
    scene: Scene, operator: Controller, world: World
) -> None:
    scene.policy("good", repositories=["shop/*"])
    wrong = {"registry": SOURCE, "roleArn": SOURCE_ROLE, "externalId": "an-external-id-that-is-wrong"}
    scene.policy("wrong", repositories=["other/*"], source=wrong)
    scene.deploy(scene.image(), scene.image("v9.9.9"), scene.image(name="other/app"))
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Stalled")

    secrets = _secrets(world) | {"an-external-id-that-is-wrong"}

    assert len(secrets) >= 6, "keys of users, and keys and tokens of the sessions that were handed out"
    for place, text in _places(scene, operator):
        for secret in secrets:
            assert secret not in text, place
        # A registry token is base64 of "AWS:<password>", and a request carries it as Basic authentication.
        assert base64.b64encode(b"AWS:").decode()[:5] not in text, place
        assert "X-Amz-Signature" not in text, place
        assert not AUTHORIZATION.search(text), place


def _secrets(world: World) -> set[str]:
    """Secret keys of the users, and everything secret about the sessions that the twin handed out."""
    keys = {each.secret_access_key for each in world.identities.values()}
    connection = sqlite3.connect(f"file:{world.registries.directory / 'twin.db'}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT secret, session_token FROM sessions").fetchall()
    finally:
        connection.close()
    assert rows, "the operator has assumed the source role"
    assert all(canary() in each for row in rows for each in row), "the search for it at the end means something"
    return keys | {str(each) for row in rows for each in row}


def _places(scene: Scene, operator: Controller) -> Iterator[tuple[str, str]]:
    """Everything that others than the operator can read."""
    for log in operator.child.log.parent.glob("*.log"):
        yield log.name, log.read_text(errors="replace")
    yield "the command line", Path(f"/proc/{operator.child.pid}/cmdline").read_bytes().decode()
    yield "the metrics", operator.get("/metrics")[1]
    for path in (
        "/apis/events.k8s.io/v1/events",
        "/apis/transship.dev/v1alpha1/promotionrequests",
        LEASE,
    ):
        yield path, json.dumps(scene.admin.get(path))
    policies = scene.admin.get("/apis/transship.dev/v1alpha1/promotionpolicies")["items"]
    yield "statuses of policies", json.dumps([each.get("status") for each in policies])
