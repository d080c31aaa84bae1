from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from oci.images import Content, image, multi_arch
from promotion.world import (
    DESTINATION,
    ONE_BY_ONE,
    PUBLISHED,
    SOURCE,
    START,
    Desk,
    NotedRepository,
    World,
    policy,
    request_resource,
)
from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.copier import Copier
from transship.oci.digest import Digest
from transship.oci.reference import Tag
from transship.promotion.promoter import Promoter, Step
from transship.promotion.report import PUBLISH_EVERY, Job
from transship.promotion.status import Outcome, Phase

APP = f"{DESTINATION}/shop/checkout:v1"
CART = f"{DESTINATION}/shop/cart:v1"
ONE, OTHER = multi_arch(seed=b"one", layer_bytes=400), image([b"other"])


def digest_of(content: Content) -> str:
    return str(content.root.descriptor.digest)


@pytest.fixture
def world() -> World:
    """ONE is at the source as checkout:v1; the destination is empty."""
    found = World()
    found.at_source().hold(ONE, "v1")
    return found


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world, {"app": APP})


def fails(error: BaseException, times: int = 1) -> Callable[[], None]:
    left = [error] * times

    def fail() -> None:
        if left:
            raise left.pop()

    return fail


def refuses(error: BaseException) -> Callable[[], None]:
    """Fail every time, however many blobs are tried, until it is taken away."""

    def fail() -> None:
        raise error

    return fail


def throttled(after: float | None = None) -> RetryLater:
    return RetryLater(Reason.THROTTLED, "slow down", side=Side.DESTINATION, step="push blob", after=after)


def conditions(desk: Desk) -> dict[str, str]:
    return {each.type: each.status for each in desk.status.conditions}


# --- copying what is named, and nothing else


def test_an_image_arrives_whole_under_its_tag_and_the_status_says_how(world: World, desk: Desk) -> None:
    result = desk.look()
    assert result is not None
    assert (result.not_before, result.unexpected) == (0.0, ())
    assert world.at_destination().holds(ONE)
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert (desk.status.phase, desk.status.summary, desk.status.progress) == (Phase.PROMOTED, "1/1", "100%")
    assert conditions(desk) == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}
    assert (desk.status.policy, desk.status.observed_generation) == ("shop", 1)
    total = sum(len(blob) for blob in ONE.blobs) + sum(each.descriptor.size for each in ONE.manifests)
    app = desk.image()
    assert (app.outcome, app.reason, app.digest) == (Outcome.COPIED, Reason.PROMOTED, digest_of(ONE))
    assert (app.source, app.destination) == (f"{SOURCE}/shop/checkout:v1", APP)
    assert (app.bytes_total, app.bytes_copied, app.bytes_skipped, desk.status.bytes) == (total, total, 0, total)
    assert (app.attempts, app.media_type) == (1, ONE.root.descriptor.media_type)
    assert app.verified_at == app.finished_at == desk.status.finished_at == desk.status.checked_at == START


def test_what_nobody_named_stays_where_it_is(world: World, desk: Desk) -> None:
    world.at_source().hold(OTHER, "v2", "latest")
    world.at_source("shop/cart").hold(OTHER, "v1")
    world.at_source("secret/tool").hold(OTHER, "v1")
    desk.look()
    assert world.at_destination().tags == {Tag("v1"): ONE.root.descriptor.digest}
    assert set(world.at_destination().manifests) == {each.descriptor.digest for each in ONE.manifests}
    assert set(world.at_destination().blobs) == {Digest.of(blob) for blob in ONE.blobs}
    assert [name for name, each in world.repositories.items() if name.startswith(DESTINATION) and each.exists] == [
        f"{DESTINATION}/shop/checkout"
    ]
    assert {each.removeprefix("shop reads ").removeprefix("shop writes ") for each in world.asked} == {
        f"{SOURCE}/shop/checkout",
        f"{DESTINATION}/shop/checkout",
    }


def test_the_source_is_never_written(world: World, desk: Desk) -> None:
    before = world.at_source().tags.copy(), world.at_source().manifests.copy(), world.at_source().blobs.copy()
    desk.look()
    assert (world.at_source().tags, world.at_source().manifests, world.at_source().blobs) == before
    assert not [each for each in world.log if SOURCE in each]


def test_a_digest_without_a_tag_arrives_without_a_tag(world: World) -> None:
    desk = Desk(world, {"app": f"{DESTINATION}/shop/checkout@{digest_of(ONE)}"})
    desk.look()
    assert desk.status.phase is Phase.PROMOTED
    assert world.at_destination().holds(ONE)
    assert world.at_destination().tags == {}


def test_content_that_is_there_only_gets_its_tag(world: World, desk: Desk) -> None:
    world.at_destination().hold(ONE)
    desk.look()
    assert (desk.image().outcome, desk.image().bytes_copied) == (Outcome.TAG_ADDED, 0)
    assert world.writes == [f"{DESTINATION}/shop/checkout v1"]
    assert world.asked.count(f"shop reads {SOURCE}/shop/checkout") == 1, "what did not change is planned once"


def test_a_missing_child_is_repaired_and_nothing_else_is_sent(world: World, desk: Desk) -> None:
    world.at_destination().hold(ONE, "v1")
    lost = ONE.manifests[0].descriptor
    del world.at_destination().manifests[lost.digest]
    desk.look()
    assert (desk.status.phase, desk.image().outcome) == (Phase.PROMOTED, Outcome.COPIED)
    assert desk.image().bytes_copied == lost.size
    assert world.writes[0] == f"{DESTINATION}/shop/checkout {lost.digest}"
    assert world.at_destination().holds(ONE)


@pytest.mark.parametrize("create", [True, False])
def test_a_repository_is_made_only_when_the_policy_says_so(world: World, *, create: bool) -> None:
    desk = Desk(world, {"app": APP}, [policy(destinationRepository={"create": create})])
    desk.look()
    assert world.at_destination().exists is create
    if create:
        assert world.writes[0] == f"created {DESTINATION}/shop/checkout"
    else:
        assert (desk.status.phase, desk.image().reason) == (Phase.STALLED, Reason.REPOSITORY_MISSING)
        assert desk.image().outcome is Outcome.FAILED
        assert world.writes == []


def test_the_policies_of_all_images_are_named(world: World) -> None:
    world.at_source("tools/x").hold(OTHER, "v1")
    policies = [policy("zoo"), policy("ant", repositories=["tools/*"])]
    desk = Desk(world, {"app": APP, "tool": f"{DESTINATION}/tools/x:v1"}, policies)
    desk.look()
    assert desk.status.policy == "ant,zoo"


# --- one bad image does not block another


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("NOT AN IMAGE", Reason.INVALID_IMAGE),
        ("docker.io/library/nginx:1", Reason.NOT_COVERED),
        (f"{DESTINATION}/shop/cart:latest", Reason.TAG_DENIED),
        (f"{DESTINATION}/shop/both:v1", Reason.POLICY_AMBIGUOUS),
        (f"{DESTINATION}/shop/nowhere:v1", Reason.SOURCE_MISSING),
        (f"{DESTINATION}/shop/cart:moved", Reason.TAG_CONFLICT),
    ],
)
@pytest.mark.parametrize("order", [1, -1], ids=["the bad one first", "the bad one last"])
def test_a_bad_image_says_what_to_do_and_the_others_are_promoted_all_the_same(
    world: World, bad: str, reason: Reason, order: int
) -> None:
    world.at_source("shop/cart").hold(OTHER, "moved")
    world.at_destination("shop/cart").hold(ONE, "moved")
    policies = [policy(tags={"deny": ["latest"]}, sourceGrace="0s"), policy("second", repositories=["shop/both"])]
    desk = Desk(world, dict([("bad", bad), ("app", APP)][::order]), policies)
    desk.look()
    assert world.at_destination().holds(ONE)
    assert desk.image("app").outcome is Outcome.COPIED
    assert (desk.image("bad").outcome, desk.image("bad").reason) == (Outcome.REFUSED, reason)
    assert desk.status.ready is not None
    assert (desk.status.phase, desk.status.summary, desk.status.ready.reason) == (Phase.STALLED, "1/2", reason)
    assert desk.status.ready.message == f"bad: {desk.image('bad').message}"
    assert conditions(desk) == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    assert desk.status.finished_at == START


@pytest.mark.parametrize("method", ["resolve", "push_blob", "push_manifest"])
def test_an_unexpected_exception_ends_as_an_internal_error_of_that_image_only(world: World, method: str) -> None:
    world.at_source("shop/cart").hold(OTHER, "v1")
    world.at_destination("shop/cart").before[method] = fails(ZeroDivisionError("token=secret"), 99)
    desk = Desk(world, {"cart": CART, "app": APP})
    result = desk.look()
    assert result is not None
    assert [type(each) for each in result.unexpected] == [ZeroDivisionError]
    assert desk.image("app").outcome is Outcome.COPIED
    assert (desk.image("cart").outcome, desk.image("cart").reason) == (None, Reason.INTERNAL_ERROR)
    assert "ZeroDivisionError" in desk.image("cart").message
    assert "secret" not in str(desk.resource["status"])
    assert desk.status.phase is Phase.RETRYING


def test_what_a_registry_asks_for_decides_when_to_come_back(world: World) -> None:
    world.at_source("shop/cart").hold(OTHER, "v1")
    world.at_destination("shop/cart").before["push_blob"] = fails(throttled(after=17.0))
    result = Desk(world, {"cart": CART, "app": APP}).look()
    assert result is not None
    assert result.not_before == 17.0


# --- what is published, and when


def test_the_digests_are_published_before_anything_is_written(world: World) -> None:
    world.at_source("shop/cart").hold(OTHER, "v1")
    desk = Desk(world, {"app": APP, "cart": CART})
    desk.look()
    assert world.log[0] == PUBLISHED
    assert world.log.count(PUBLISHED) == 1
    assert [each.digest for each in desk.published[0].images] == [digest_of(ONE), digest_of(OTHER)]
    assert (desk.published[0].phase, desk.published[0].finished_at) == (Phase.PROMOTING, None)


def test_when_the_digests_cannot_be_published_nothing_is_written(world: World, desk: Desk) -> None:
    desk.before_publish = fails(ConnectionError())
    with pytest.raises(ConnectionError):
        desk.look()
    assert world.writes == []


def test_nothing_is_published_in_between_when_nothing_is_to_be_written(world: World, desk: Desk) -> None:
    world.at_destination().hold(ONE, "v1")
    desk.look()
    assert (desk.status.phase, desk.image().outcome) == (Phase.PROMOTED, Outcome.ALREADY_PRESENT)
    assert world.log == []


def test_progress_is_published_at_most_every_few_seconds(world: World, desk: Desk) -> None:
    def second() -> None:
        desk.clock.advance(seconds=1)

    world.at_destination().before["push_blob"] = second
    world.at_destination().before["push_manifest"] = second
    desk.look()
    # 5 blobs, 3 manifests and the tag, a second each: the plan, and what is new after three and six seconds.
    assert PUBLISH_EVERY.total_seconds() == 3
    assert len(desk.published) == 3
    copied = [each.bytes for each in desk.published]
    assert copied == sorted(copied)
    assert {each.phase for each in desk.published} == {Phase.PROMOTING}
    assert all(each.progress.endswith("%") and each.progress != "100%" for each in desk.published)


# --- retries


def test_a_retry_keeps_the_digest_though_the_tag_moves_at_the_source(world: World, desk: Desk) -> None:
    world.at_destination().before["push_blob"] = fails(throttled())
    desk.look()
    assert (desk.status.phase, desk.image().digest) == (Phase.RETRYING, digest_of(ONE))
    assert conditions(desk) == {"Ready": "False", "Reconciling": "True", "Stalled": "False"}
    world.at_source().hold(OTHER, "v1")
    desk.clock.advance(seconds=5)
    desk.look()
    assert (desk.status.phase, desk.image().digest, desk.image().attempts) == (Phase.PROMOTED, digest_of(ONE), 2)
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert (desk.status.started_at, desk.image().started_at) == (START, START)
    assert desk.status.finished_at == START + timedelta(seconds=5)


def test_after_a_crash_the_published_digest_is_kept_and_what_arrived_is_not_sent_again(
    world: World, desk: Desk
) -> None:
    world.at_destination().before["push_manifest"] = refuses(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        desk.look()
    assert desk.status.phase is Phase.PROMOTING
    world.at_source().hold(OTHER, "v1")
    world.log.clear()
    del world.at_destination().before["push_manifest"]
    desk.look(promoter=Promoter(world, Copier(ONE_BY_ONE), desk.clock))
    assert (desk.status.phase, desk.image().digest) == (Phase.PROMOTED, digest_of(ONE))
    assert desk.image().bytes_skipped == sum(len(blob) for blob in ONE.blobs)
    assert not {str(Digest.of(blob)) for blob in ONE.blobs} & {each.split()[-1] for each in world.writes}


def test_what_an_earlier_attempt_copied_is_still_told_as_copied(world: World) -> None:
    world.at_source("shop/cart").hold(OTHER, "v1")
    world.at_destination("shop/cart").before["push_blob"] = fails(throttled())
    desk = Desk(world, {"app": APP, "cart": CART})
    desk.look()
    first = desk.image("app")
    desk.clock.advance(seconds=5)
    desk.look()
    again = desk.image("app")
    assert (again.outcome, again.bytes_copied, again.finished_at) == (Outcome.COPIED, first.bytes_copied, START)
    assert (again.attempts, again.verified_at) == (2, START + timedelta(seconds=5))
    assert desk.status.phase is Phase.PROMOTED


def test_what_is_told_of_another_digest_is_forgotten_when_the_tag_has_moved_on(world: World) -> None:
    desk = Desk(world, {"app": APP, "bad": "NOT AN IMAGE"})
    desk.look()
    world.at_source().hold(OTHER, "v1")
    world.at_destination().hold(OTHER, "v1")
    desk.look()
    app = desk.image("app")
    assert (app.digest, app.outcome) == (digest_of(OTHER), Outcome.ALREADY_PRESENT)
    assert (app.bytes_copied, app.bytes_skipped) == (None, app.bytes_total)


def test_what_vanished_between_two_attempts_is_copied_again(world: World) -> None:
    world.at_source("shop/cart").hold(OTHER, "v1")
    world.at_destination("shop/cart").before["push_blob"] = fails(throttled())
    desk = Desk(world, {"app": APP, "cart": CART})
    desk.look()
    world.at_destination().forget(ONE)
    desk.look()
    assert world.at_destination().holds(ONE)
    assert desk.status.phase is Phase.PROMOTED


def test_an_image_the_registry_does_not_show_afterwards_is_not_proven_and_is_tried_again(
    world: World, desk: Desk
) -> None:
    there, seen = world.at_destination(), 0

    def forget_after_the_tag() -> None:
        nonlocal seen
        seen += bool(there.tags)
        if seen == 1:
            there.tags.clear()

    there.before["resolve"] = forget_after_the_tag
    desk.look()
    assert (desk.status.phase, desk.image().reason, desk.image().outcome) == (Phase.RETRYING, Reason.NOT_PROVEN, None)
    desk.look()
    assert desk.status.phase is Phase.PROMOTED


# --- looking again at what has ended


def test_a_promoted_request_is_not_looked_at_again_unless_asked(world: World, desk: Desk) -> None:
    desk.look()
    world.asked.clear()
    assert desk.look() is None
    assert world.asked == []


def test_when_asked_again_a_promoted_request_is_proven_anew_without_a_write(world: World, desk: Desk) -> None:
    desk.look()
    world.log.clear()
    desk.ask()
    assert world.log == []
    assert (desk.status.phase, desk.status.checked_at) == (Phase.PROMOTED, START + timedelta(seconds=1))
    assert world.asked
    assert desk.ask() is not None, "and again, when asked again"


def test_when_asked_again_what_vanished_is_promoted_again(world: World, desk: Desk) -> None:
    desk.look()
    world.at_destination().forget(ONE)
    desk.ask()
    assert world.at_destination().holds(ONE)
    assert world.at_destination().at("v1") == digest_of(ONE)


def test_when_asked_again_the_tag_is_resolved_anew(world: World) -> None:
    desk = Desk(world, {"app": APP}, [policy(tagConflict="Overwrite")])
    desk.look()
    world.at_source().hold(OTHER, "v1")
    desk.ask()
    assert (desk.status.phase, desk.image().digest) == (Phase.PROMOTED, digest_of(OTHER))
    assert world.at_destination().at("v1") == digest_of(OTHER)


def test_a_changed_request_is_a_new_promotion(world: World, desk: Desk) -> None:
    desk.look()
    world.at_source().hold(OTHER, "v2")
    desk.clock.advance(minutes=5)
    desk.change({"app": f"{DESTINATION}/shop/checkout:v2"})
    desk.look()
    assert (desk.status.phase, desk.status.observed_generation) == (Phase.PROMOTED, 2)
    assert desk.status.started_at == START + timedelta(minutes=5)
    assert (desk.image().digest, desk.image().attempts) == (digest_of(OTHER), 1)
    assert (world.at_destination().at("v1"), world.at_destination().at("v2")) == (digest_of(ONE), digest_of(OTHER))


def test_asking_while_it_is_being_retried_does_not_resolve_the_tag_anew(world: World, desk: Desk) -> None:
    world.at_destination().before["push_blob"] = fails(throttled())
    desk.look()
    world.at_source().hold(OTHER, "v1")
    desk.ask()
    assert (desk.status.phase, desk.image().digest) == (Phase.PROMOTED, digest_of(ONE))


# --- the source has it not yet, or no more


def test_an_image_that_comes_within_the_grace_is_promoted(desk: Desk) -> None:
    desk.world.at_source().forget(ONE)
    result = desk.look()
    assert result is not None
    assert 0 < result.not_before <= 5
    assert (desk.status.phase, desk.image().reason) == (Phase.RETRYING, Reason.SOURCE_NOT_YET_THERE)
    desk.clock.advance(seconds=59)
    desk.look()
    assert desk.status.phase is Phase.RETRYING
    desk.world.at_source().hold(ONE, "v1")
    desk.look()
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "1/1")


def test_after_the_grace_it_stalls_and_says_what_to_do_and_heals_when_the_image_comes(desk: Desk) -> None:
    desk.world.at_source().forget(ONE)
    desk.look()
    desk.clock.advance(seconds=60)
    desk.look()
    assert (desk.status.phase, desk.image().reason) == (Phase.STALLED, Reason.SOURCE_MISSING)
    assert "push it there" in desk.image().message
    desk.world.at_source().hold(ONE, "v1")
    desk.clock.advance(minutes=10)
    desk.look()
    assert (desk.status.phase, desk.image().outcome) == (Phase.PROMOTED, Outcome.COPIED)
    assert conditions(desk) == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}


def test_what_the_source_lost_after_its_promotion_is_present_with_a_note(world: World, desk: Desk) -> None:
    desk.look()
    world.at_source().forget(ONE)
    desk.ask()
    assert (desk.status.phase, desk.image().outcome) == (Phase.PROMOTED, Outcome.COPIED)
    assert "no longer has" in desk.image().message


def test_a_digest_that_vanishes_at_the_source_during_retries_stalls_and_then_the_tag_is_resolved_anew(
    world: World, desk: Desk
) -> None:
    world.at_destination().before["push_blob"] = fails(throttled())
    desk.look()
    world.at_source().forget(ONE)
    world.at_source().hold(OTHER, "v1")
    desk.clock.advance(minutes=2)
    desk.look()
    assert (desk.status.phase, desk.image().reason) == (Phase.STALLED, Reason.SOURCE_MISSING)
    desk.look()
    assert (desk.status.phase, desk.image().digest) == (Phase.PROMOTED, digest_of(OTHER))


# --- timeout and suspension


def test_after_its_timeout_a_request_stalls_and_heals_afterwards(world: World, desk: Desk) -> None:
    world.at_destination().before["push_blob"] = refuses(throttled())
    desk.change(timeout="10m")
    desk.look()
    desk.clock.advance(minutes=10)
    desk.look()
    assert desk.status.phase is Phase.RETRYING
    desk.clock.advance(seconds=1)
    desk.look()
    assert desk.status.ready is not None
    assert (desk.status.phase, desk.status.ready.reason) == (Phase.STALLED, Reason.TIMEOUT)
    assert "slow down" in desk.status.ready.message
    assert desk.image().outcome is None
    assert desk.status.finished_at == desk.clock.now
    del world.at_destination().before["push_blob"]
    desk.clock.advance(minutes=1)
    desk.look()
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "1/1")


def test_a_suspended_request_touches_no_registry_and_goes_on_when_it_is_released(world: World, desk: Desk) -> None:
    desk.change(suspend=True)
    desk.look()
    assert (desk.status.phase, desk.status.observed_generation) == (Phase.SUSPENDED, 2)
    assert conditions(desk) == {"Ready": "False", "Reconciling": "False", "Stalled": "False"}
    assert desk.look() is None, "it is said once"
    assert desk.look(is_asked=True) is None
    assert (world.asked, world.log) == ([], [])
    assert (desk.status.started_at, desk.status.finished_at) == (None, None)
    desk.change(suspend=False)
    desk.look()
    assert desk.status.phase is Phase.PROMOTED


def test_what_was_promoted_stays_told_while_suspended_and_is_proven_anew_afterwards(world: World, desk: Desk) -> None:
    desk.look()
    desk.change(suspend=True)
    desk.look()
    assert desk.image().outcome is Outcome.COPIED
    world.at_destination().forget(ONE)
    desk.change(suspend=False)
    desk.look()
    assert world.at_destination().holds(ONE)


def test_a_suspended_request_under_a_forged_phase_is_called_suspended(desk: Desk) -> None:
    desk.change(suspend=True)
    desk.forge(**FORGED | {"observedGeneration": 2})
    desk.look()
    assert desk.status.phase is Phase.SUSPENDED


def test_time_in_suspension_does_not_count(world: World, desk: Desk) -> None:
    world.at_destination().before["push_blob"] = refuses(throttled())
    desk.look()
    desk.change(suspend=True)
    desk.look()
    desk.clock.advance(days=1)
    desk.change(suspend=False)
    desk.look()
    assert desk.status.phase is Phase.RETRYING


# --- tags that are elsewhere


def test_a_tag_that_is_elsewhere_is_left_there(world: World, desk: Desk) -> None:
    world.at_destination().hold(OTHER, "v1")
    desk.look()
    assert (desk.status.phase, desk.image().reason) == (Phase.STALLED, Reason.TAG_CONFLICT)
    assert world.writes == []
    assert world.at_destination().at("v1") == digest_of(OTHER)
    world.at_destination().tags.clear()
    desk.look()
    assert desk.status.phase is Phase.PROMOTED


def overwriting(world: World) -> Desk:
    world.at_destination().hold(OTHER, "v1")
    return Desk(world, {"app": APP}, [policy(tagConflict="Overwrite")])


def test_a_policy_that_overwrites_moves_the_tag_and_keeps_the_previous_digest_before_and_after(world: World) -> None:
    desk = overwriting(world)
    desk.look()
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert desk.published[0].images[0].previous_digest == digest_of(OTHER)
    assert (desk.image().previous_digest, desk.status.phase) == (digest_of(OTHER), Phase.PROMOTED)
    assert digest_of(OTHER) in desk.image().message


def test_the_previous_digest_is_kept_when_the_attempt_fails_after_the_tag_was_moved(world: World) -> None:
    desk, there = overwriting(world), world.at_destination()
    there.before["resolve"] = lambda: fails(throttled())() if there.at("v1") == digest_of(ONE) else None
    desk.look()
    assert (desk.status.phase, there.at("v1")) == (Phase.RETRYING, digest_of(ONE))
    there.before.clear()
    desk.look()
    assert (desk.status.phase, desk.image().previous_digest) == (Phase.PROMOTED, digest_of(OTHER))


def test_the_previous_digest_is_kept_when_another_image_stalls_the_request(world: World) -> None:
    world.at_destination().hold(OTHER, "v1")
    desk = Desk(world, {"app": APP, "bad": "NOT AN IMAGE"}, [policy(tagConflict="Overwrite")])
    desk.look()
    desk.look()
    assert (desk.image().outcome, desk.image().previous_digest) == (Outcome.COPIED, digest_of(OTHER))


def test_an_immutable_tag_that_somebody_made_meanwhile_with_the_same_digest_is_present(
    world: World, desk: Desk
) -> None:
    there = world.at_destination()
    there.immutable_tags = True
    desk.before_publish = lambda: there.hold(ONE, "v1")
    desk.look()
    assert (desk.status.phase, desk.image().outcome) == (Phase.PROMOTED, Outcome.ALREADY_PRESENT)
    assert world.writes == []


def test_a_tag_that_somebody_made_after_the_plan_with_another_digest_is_not_overwritten(
    world: World, desk: Desk
) -> None:
    desk.before_publish = lambda: world.at_destination().hold(OTHER, "v1")
    desk.look()
    assert (desk.status.phase, desk.image().reason) == (Phase.STALLED, Reason.TAG_CONFLICT)
    assert world.at_destination().at("v1") == digest_of(OTHER)
    assert world.writes == []


def test_one_image_in_two_containers_is_copied_once(world: World) -> None:
    desk = Desk(world, {"migrate": APP, "app": APP})
    desk.look()
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "2/2")
    assert len(world.writes) == len(set(world.writes))
    assert desk.status.bytes == desk.image("migrate").bytes_copied


def test_two_containers_that_want_two_digests_under_one_tag_do_not_overwrite_each_other(world: World) -> None:
    world.at_source().hold(OTHER)
    desk = Desk(world, {"app": f"{APP}@{digest_of(ONE)}", "other": f"{APP}@{digest_of(OTHER)}"})
    desk.look()
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert (desk.image("app").outcome, desk.image("other").reason) == (Outcome.COPIED, Reason.TAG_CONFLICT)
    assert not world.at_destination().holds(OTHER)


# --- a status proves nothing (threat T3)

FORGED_IMAGE = {"name": "app", "outcome": "Copied", "reason": "Promoted", "digest": digest_of(ONE), "attempts": 1}
FORGED: dict[str, Any] = {
    "phase": "Promoted",
    "observedGeneration": 1,
    "startedAt": "2026-03-01T11:00:00Z",
    "finishedAt": "2026-03-01T11:00:00Z",
    "checkedAt": "2026-03-01T11:00:00Z",
    "images": [FORGED_IMAGE],
}


@pytest.mark.parametrize(
    "forged",
    [
        FORGED,
        FORGED | {"checkedAt": "2099-01-01T00:00:00Z"},
        {name: content for name, content in FORGED.items() if name != "finishedAt"},
        {name: content for name, content in FORGED.items() if name != "checkedAt"},
        {name: content for name, content in FORGED.items() if name != "startedAt"},
        FORGED | {"phase": "Stalled"},
        FORGED | {"phase": "Promoting", "finishedAt": "2099-01-01T00:00:00Z"},
        FORGED | {"observedGeneration": 99},
        FORGED | {"phase": "Suspended"},
        FORGED | {"images": []},
        {"phase": "Nonsense"},
    ],
    ids=[
        "a promotion that never was",
        "a check in the future",
        "promoted without an end",
        "promoted without a check",
        "promoted without a beginning",
        "proven images under a stalled phase",
        "an end in the future",
        "a generation in the future",
        "a suspension nobody asked for",
        "promoted without images",
        "a status that cannot be read",
    ],
)
def test_a_forged_status_does_not_skip_a_check_that_was_asked_for(
    world: World, desk: Desk, forged: dict[str, Any]
) -> None:
    desk.forge(**forged)
    desk.ask()
    assert desk.status.phase is Phase.PROMOTED
    assert world.at_destination().holds(ONE)
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert desk.status.checked_at == desk.clock.now


@pytest.mark.parametrize("phase", ["Promoting", "Retrying", "Pending", "Stalled"])
def test_an_outcome_in_the_status_is_no_proof_for_a_request_that_goes_on(world: World, desk: Desk, phase: str) -> None:
    forged = {name: content for name, content in FORGED.items() if name not in {"finishedAt", "checkedAt"}}
    desk.forge(**forged | {"phase": phase})
    desk.look()
    assert desk.status.phase is Phase.PROMOTED
    assert world.at_destination().holds(ONE)


def test_a_forged_digest_is_looked_for_at_the_source_of_the_policy_and_nowhere_else(world: World, desk: Desk) -> None:
    world.at_source("secret/tool").hold(OTHER, "v1")
    image_of_another_repository = FORGED_IMAGE | {"digest": digest_of(OTHER)}
    desk.forge(
        phase="Retrying", observedGeneration=1, startedAt="2026-03-01T11:00:00Z", images=[image_of_another_repository]
    )
    desk.look()
    assert desk.image().reason in {Reason.SOURCE_MISSING, Reason.SOURCE_NOT_YET_THERE}
    assert not world.at_destination().holds(OTHER)


# --- cancelling


def test_a_cancelled_promotion_stops_writing_and_is_not_called_a_failure(world: World, desk: Desk) -> None:
    desk.look(is_cancelled=lambda: True)
    assert [each for each in world.writes if not each.startswith("created")] == []
    assert desk.image().outcome is None
    assert desk.status.phase is Phase.RETRYING
    desk.look()
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "1/1")


def test_cancelling_during_the_copy_leaves_no_tag_and_keeps_what_arrived(world: World, desk: Desk) -> None:
    there, gate = world.at_destination(), Gate()
    there.before["push_blob"] = lambda: gate() if len(there.blobs) == 2 else None
    desk.look(is_cancelled=gate.reached.is_set)
    assert desk.status.phase is Phase.RETRYING
    gate.set()
    assert len(there.blobs) == 2
    assert (there.manifests, there.tags) == ({}, {})
    desk.look()
    assert desk.image().bytes_skipped == sum(map(len, ONE.blobs[:2]))
    assert world.at_destination().holds(ONE)


# --- two requests at once


class Gate(Event):
    """Lets a thread wait inside a write until the test has seen what it wanted to see."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.wait(10)


def rivals(world: World, second: str = APP) -> tuple[Desk, Desk]:
    """Two requests under one promoter."""
    first, other = Desk(world, {"app": APP}), Desk(world, {"app": second})
    other.resource = request_resource({"app": second}, "rival")
    other.promoter = first.promoter
    return first, other


def while_first_writes(there: NotedRepository, first: Desk, then: Callable[[], object]) -> None:
    gate = Gate()
    there.before["push_blob"] = gate
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first.look)
        assert gate.reached.wait(10)
        there.before.clear()
        try:
            then()
        finally:
            gate.set()
        running.result(10)


def test_the_same_digest_is_written_once_and_the_second_request_waits_for_the_first(world: World) -> None:
    first, rival = rivals(world)
    while_first_writes(world.at_destination(), first, rival.look)
    assert first.status.phase is Phase.PROMOTED
    assert (rival.status.phase, rival.image().reason) == (Phase.RETRYING, Reason.PROMOTING)
    assert "shop/checkout" in rival.image().message
    rival.look()
    assert (rival.status.phase, rival.image().outcome) == (Phase.PROMOTED, Outcome.ALREADY_PRESENT)
    assert len(world.writes) == len(set(world.writes))


def test_another_digest_for_the_same_tag_is_a_conflict_that_names_the_winner(world: World) -> None:
    world.at_source().hold(OTHER)
    first, rival = rivals(world, f"{APP}@{digest_of(OTHER)}")
    while_first_writes(world.at_destination(), first, rival.look)
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert first.status.phase is Phase.PROMOTED
    assert (rival.status.phase, rival.image().reason) == (Phase.STALLED, Reason.TAG_CONFLICT)
    assert "PromotionRequest shop/checkout" in rival.image().message


def test_a_request_that_planned_before_another_finished_does_not_overwrite_it(world: World) -> None:
    world.at_source().hold(OTHER)
    first, rival = rivals(world, f"{APP}@{digest_of(OTHER)}")

    def first_is_faster() -> None:
        first.look()

    rival.before_publish = first_is_faster
    rival.look()
    assert world.at_destination().at("v1") == digest_of(ONE)
    assert (rival.status.phase, rival.image().reason) == (Phase.STALLED, Reason.TAG_CONFLICT)


def test_images_may_be_carried_out_at_the_same_time(world: World) -> None:
    paths = [f"shop/app{number}" for number in range(6)]
    for path in paths:
        world.at_source(path).hold(ONE, "v1")
    desk = Desk(world, {path[5:]: f"{DESTINATION}/{path}:v1" for path in paths})
    with ThreadPoolExecutor(6) as pool:

        def run_all(step: Step, jobs: Sequence[Job]) -> None:
            list(pool.map(step, jobs))

        desk.look(promoter=Promoter(world, Copier(ONE_BY_ONE), desk.clock, run_all))
    assert (desk.status.phase, desk.status.summary) == (Phase.PROMOTED, "6/6")
    assert all(world.at_destination(path).holds(ONE) for path in paths)


def test_a_refusal_by_the_destination_while_copying_is_a_failure_that_a_human_has_to_end(
    world: World, desk: Desk
) -> None:
    error = NeedsHuman(Reason.DENIED, "grant ecr:PutImage", side=Side.DESTINATION, step="push manifest")
    world.at_destination().before["push_manifest"] = fails(error)
    desk.look()
    assert (desk.status.phase, desk.image().outcome, desk.image().reason) == (
        Phase.STALLED,
        Outcome.FAILED,
        Reason.DENIED,
    )
    assert "destination push manifest: grant ecr:PutImage" in desk.image().message
    desk.look()
    assert desk.status.phase is Phase.PROMOTED


# --- several containers, one destination


def test_two_containers_with_the_same_image_are_copied_once_and_both_are_told(world: World) -> None:
    desk = Desk(world, {"app": APP, "sidecar": APP})
    desk.look()
    assert desk.status.phase is Phase.PROMOTED
    assert (desk.image("app").outcome, desk.image("sidecar").outcome) == (Outcome.COPIED, Outcome.COPIED)
    assert desk.status.bytes == desk.image("app").bytes_copied
    assert len(world.writes) == len(set(world.writes))


def test_two_contents_for_one_tag_in_one_request_are_a_conflict_that_names_the_other_container(world: World) -> None:
    world.at_source().hold(OTHER, "v2")
    desk = Desk(world, {"app": APP, "other": f"{APP}@{digest_of(OTHER)}"}, [policy(tagConflict="Overwrite")])
    desk.look()
    assert (desk.status.phase, desk.image("other").reason) == (Phase.STALLED, Reason.TAG_CONFLICT)
    assert "container app" in desk.image("other").message
    assert world.at_destination().at("v1") == digest_of(ONE)
    writes = list(world.writes)
    desk.look()
    assert world.writes == writes


def test_one_bad_image_does_not_slow_down_another_that_only_has_to_be_tried_again(world: World, desk: Desk) -> None:
    desk = Desk(world, {"app": APP, "bad": "NOT AN IMAGE"})
    world.at_destination().before["push_blob"] = fails(throttled())
    result = desk.look()
    assert result is not None
    assert (desk.status.phase, result.is_waiting) == (Phase.STALLED, True)
    pinned = desk.image("app").digest
    world.at_source().hold(OTHER, "v1")
    result = desk.look()
    assert result is not None
    assert (desk.image("app").outcome, desk.image("app").digest, result.is_waiting) == (Outcome.COPIED, pinned, False)
