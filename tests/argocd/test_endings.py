"""Hooks that end in another way: terminated, deleted, retried, abandoned, or met by a killed operator."""

import json
from collections.abc import Iterator

import pytest

from argocd.shop import HOOK, Shop, deployment, hook
from endtoend.conftest import SETTINGS, Hear
from endtoend.reading import metric
from endtoend.scene import DESTINATION, condition
from endtoend.waiting import eventually
from localworld.application import Application
from localworld.controller import Controller
from localworld.world import World

HOOK_FINALIZER = "argocd.argoproj.io/hook-finalizer"


@pytest.fixture
def standby(world: World, operator: Controller, hear: Hear) -> Iterator[Controller]:
    """A second replica."""
    with Controller(world, SETTINGS) as second:
        yield second
    hear("the standby's logs", second.said)


def _waiting(shop: Shop) -> Application:
    """An Application whose sync waits for a promotion that has begun."""
    shop.scene.policy()
    shop.commit(hook(), deployment())
    application = shop.application()
    application.sync()
    application.until(
        # Argo CD says "Synced" of what it has applied, and no more when it has met it in the cluster.
        lambda seen: [(each.hook_phase, each.status) for each in seen.lines] == [("Running", "")],
        "Argo CD sees the hook run",
    )
    eventually(lambda: shop.scene.requests_of(HOOK), "the hook's request", poll=0.02)
    return application


def _promoted_request(shop: Shop) -> bool:
    (request,) = shop.scene.requests_of(HOOK)
    return bool(condition(request, "Ready").get("status") == "True")


def test_a_terminated_sync_deletes_the_hook_and_the_promotion_is_there_for_the_next_one(shop: Shop) -> None:
    with shop.slow_promotion(1.5):
        application = _waiting(shop)

        application.terminate()

        ended = application.until_ended()
        assert (ended.phase, ended.message) == ("Failed", "Operation terminated")
        eventually(lambda: shop.hook_uid() == "", "the hook is gone")
        assert shop.deployed() == ""
        eventually(lambda: _promoted_request(shop), "the promotion is finished all the same")
    before = shop.writes()
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    assert shop.writes() == before
    shop.assert_deployed("v1.4.2")


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_hook_deleted_by_hand_while_it_runs_is_worked_on_and_the_sync_ends_normally(
    shop: Shop, propagation: str
) -> None:
    with shop.slow_promotion(1.5):
        application = _waiting(shop)

        shop.scene.admin.delete(shop.scene.path("Job", HOOK), {"propagationPolicy": propagation})

        job = shop.scene.get("Job", HOOK)
        assert job["metadata"]["deletionTimestamp"]
        assert HOOK_FINALIZER in job["metadata"]["finalizers"]
        ended = application.until_ended()
    assert ended.phase == "Succeeded", ended
    assert ended.line("Job").message.startswith("1 image promoted")
    shop.assert_deployed("v1.4.2")
    eventually(lambda: shop.hook_uid() == "", "the hook vanishes")


def test_a_hook_made_again_under_its_name_while_the_promotion_runs_ends_too(shop: Shop) -> None:
    with shop.slow_promotion(2.0):
        application = _waiting(shop)
        first = shop.hook_uid()
        application.terminate()
        application.until_ended()

        application.sync()

        shop.until_waiting(application)
        assert shop.hook_uid() not in {"", first}
        ended = application.until_ended()
    assert ended.phase == "Succeeded"
    shop.assert_deployed("v1.4.2")
    assert len(shop.scene.requests_of(HOOK)) == 1


def test_each_retry_has_a_fresh_hook_and_succeeds_when_the_image_was_pushed(shop: Shop) -> None:
    shop.scene.policy()
    late = f"{shop.scene.prefix}late"
    shop.scene.world.push_sample(["v0"], late)
    image = f"{DESTINATION}/{shop.scene.prefix}{late}:v1"
    shop.commit(hook(image), deployment(image))
    application = shop.application()

    application.sync(retries=20)

    application.until(lambda seen: seen.retries >= 2, "two retries were made")
    shop.scene.world.push_sample(["v1"], late)
    ended = application.until_ended()
    assert ended.phase == "Succeeded", ended
    assert shop.deployed() == image
    said = [each for each in shop.operator_lines("hook ended") if shop.scene.namespace in each["hook"]]
    assert [each["phase"] for each in said][-1] == "Promoted"
    assert [each["phase"] for each in said].count("Stalled") >= 2, json.dumps(said)


def test_a_hook_that_argocd_has_abandoned_is_promoted_and_the_next_sync_finds_it_done(shop: Shop) -> None:
    with shop.slow_promotion(2.5):
        application = _waiting(shop)

        shop.argocd.stop_controller(kill=True)
        eventually(lambda: _promoted_request(shop), "the promotion is finished while nobody waits")

    assert condition(shop.scene.get("Job", HOOK), "Complete")["status"] == "True"
    shop.argocd.start_controller()
    application.until_ended()  # Succeeded, or Error when its caches were late: both are Argo CD's own
    before = shop.writes()
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    assert shop.writes() == before
    shop.assert_deployed("v1.4.2")


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_restart_of_argocds_controller_while_the_hook_runs_hurts_no_later_sync(shop: Shop, *, kill: bool) -> None:
    with shop.slow_promotion(2.0):
        application = _waiting(shop)

        shop.argocd.stop_controller(kill=kill)
        shop.argocd.start_controller()

        application.until_ended()
    eventually(lambda: _promoted_request(shop), "the promotion is finished")
    application.sync()
    assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_an_operator_killed_while_the_hook_waits_ends_it_after_its_restart(shop: Shop, operator: Controller) -> None:
    with shop.slow_promotion(1.0):
        application = _waiting(shop)

        shop.kill_operator()
        assert shop.deployed() == ""
        operator.start()

        assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_an_operator_that_starts_with_a_request_not_looked_at_yet_ends_its_hook(
    shop: Shop, operator: Controller
) -> None:
    shop.scene.policy()
    shop.commit(hook(), deployment())
    application = shop.application()
    with shop.slow_promotion(1.0):
        application.sync()
        eventually(lambda: shop.scene.requests_of(HOOK), "the hook's request", poll=0.02)
        shop.kill_operator()

        operator.start()

        assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")


def test_a_second_replica_takes_over_a_hook_that_waits(shop: Shop, operator: Controller, standby: Controller) -> None:
    eventually(lambda: metric(operator, "transship_leader") == 1, "the first replica leads")
    with shop.slow_promotion(1.0):
        application = _waiting(shop)

        shop.kill_operator()

        assert application.until_ended().phase == "Succeeded"
    shop.assert_deployed("v1.4.2")
    assert metric(standby, "transship_leader") == 1
    standby.stop()
    operator.start()
