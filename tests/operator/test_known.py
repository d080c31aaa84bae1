"""The picture that the watches paint: late news never overwrites newer, and the gone are forgotten by uid."""

from datetime import UTC, datetime, timedelta

import pytest

from transship.operator.known import Known
from transship.promotion.policy import PolicyError, PromotionPolicy
from transship.promotion.request import RequestKey
from transship.promotion.workload import WorkloadKey

from . import world

KEY = RequestKey("shop", "release")
CHECKOUT = WorkloadKey("Deployment", "shop", "checkout")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def known() -> Known:
    return Known()


def test_an_event_older_than_what_was_written_changes_nothing(known: Known) -> None:
    known.see_request(world.request(version=9, status={"phase": "Promoted"}))

    request, is_new = known.see_request(world.request(version=8, status={"phase": "Promoting"}))

    assert not is_new
    assert request.status.phase == "Promoted"
    assert known.request(KEY) == request


def test_versions_are_compared_as_numbers(known: Known) -> None:
    known.see_request(world.request(version=9, status={"phase": "Promoting"}))

    request, _ = known.see_request(world.request(version=10, status={"phase": "Promoted"}))

    assert request.status.phase == "Promoted"


def test_a_request_of_the_same_name_with_another_uid_is_another_request_whatever_its_version(known: Known) -> None:
    known.see_request(world.request(uid="old", version=9))

    request, is_new = known.see_request(world.request(uid="new", version=3))

    assert is_new
    assert request.uid == "new"


def test_a_status_alone_is_no_news_but_a_spec_is(known: Known) -> None:
    assert known.see_request(world.request(version=1))[1]
    assert not known.see_request(world.request(version=2, status={"phase": "Promoting"}))[1]
    assert known.see_request(world.request(version=3, generation=2))[1]


def test_a_request_is_current_while_its_uid_and_its_spec_are(known: Known) -> None:
    request, _ = known.see_request(world.request(version=1))
    assert known.is_current(request)

    known.see_request(world.request(version=2, generation=2))
    assert not known.is_current(request)

    known.forget_request(KEY, request.uid)
    assert not known.is_current(request)


def test_a_request_is_forgotten_by_uid(known: Known) -> None:
    known.see_request(world.request(uid="new"))

    assert known.forget_request(KEY, "old") is None
    assert known.request(KEY) is not None

    gone = known.forget_request(KEY, "new")
    assert gone is not None
    assert (gone.uid, known.request(KEY), known.request_keys()) == ("new", None, [])


def test_a_workload_is_forgotten_by_uid_as_another_may_have_its_name_already(known: Known) -> None:
    known.see_workload(world.deployment(uid="old"))
    known.see_workload(world.deployment(uid="new"))

    known.forget_workload(CHECKOUT, "old")
    workload = known.workload(CHECKOUT)
    assert workload is not None
    assert workload.uid == "new"

    known.forget_workload(CHECKOUT, "new")
    assert known.workload(CHECKOUT) is None
    known.forget_workload(CHECKOUT, "new")


def test_a_policy_is_forgotten_by_uid_as_another_may_have_its_name_already(known: Known) -> None:
    known.see_policy(world.policy(uid="new"))

    known.forget_policy("shop", "old")
    assert len(known.policies()) == 1

    known.forget_policy("shop", "new")
    known.forget_policy("shop", "new")
    assert known.policies() == []


def test_a_workload_is_news_when_what_matters_of_it_changed(known: Known) -> None:
    assert known.see_workload(world.deployment()) is not None
    assert known.see_workload(world.deployment() | {"status": {"replicas": 3}}) is None
    assert known.see_workload(world.deployment(image="other:v2")) is not None
    assert known.see_workload(world.deployment(image="other:v2", uid="another")) is not None


def test_workloads_are_found_by_namespace(known: Known) -> None:
    known.see_workload(world.deployment())

    assert known.workload_keys() == known.workload_keys("shop") == [CHECKOUT]
    assert known.workload_keys("other") == []


def test_a_policy_is_news_when_its_spec_is(known: Known) -> None:
    assert known.see_policy(world.policy())
    assert not known.see_policy(world.policy())
    assert known.see_policy(world.policy(generation=2))
    assert known.see_policy(world.policy(generation=2, uid="another"))


def test_a_malformed_policy_is_known_but_cannot_be_used(known: Known) -> None:
    known.see_policy(world.policy("good"))
    known.see_policy(world.policy("bad", repositories=["shop/[a-z]+"]))

    assert [each.name for each in known.policies()] == ["good"]
    assert sorted(known.policy_names()) == ["bad", "good"]
    good, bad = known.policy("good"), known.policy("bad")
    assert good is not None
    assert bad is not None
    assert isinstance(good[2], PromotionPolicy)
    assert isinstance(bad[2], PolicyError)


def test_a_namespace_is_news_when_its_labels_are(known: Known) -> None:
    assert known.see_namespace(world.namespace())
    assert not known.see_namespace(world.namespace())
    assert known.see_namespace(world.namespace(promote="yes"))
    known.forget_namespace("shop")
    assert known.namespace("shop") is None
    assert known.namespaces() == []


def test_who_asks_is_news_once_and_is_answered_by_the_verdict_that_was_begun_afterwards(known: Known) -> None:
    assert known.ask(KEY, "hook")
    assert not known.ask(KEY, "hook")
    asking = known.asking(KEY)
    assert known.ask(KEY, "late")

    known.answer(KEY, asking)

    assert (known.is_answered(KEY, "hook"), known.is_answered(KEY, "late")) == (True, False)
    assert known.asking(KEY) == {"late"}
    assert not known.ask(KEY, "hook")


def test_a_question_goes_with_the_request_it_was_about(known: Known) -> None:
    known.see_request(world.request(uid="one"))
    known.ask(KEY, "hook")

    known.forget_request(KEY, "one")

    assert known.asking(KEY) == frozenset()
    assert known.ask(KEY, "hook")


def test_hooks_wait_until_they_are_told_to_stop(known: Known) -> None:
    hooks = [WorkloadKey("Job", "shop", name) for name in ("one", "two")]
    other = RequestKey("shop", "other")
    for hook in hooks:
        known.wait_for(KEY, hook)
        known.wait_for(KEY, hook)
    known.wait_for(other, hooks[0])

    known.stop_waiting(hooks[0])

    assert known.hooks_waiting_for(KEY) == [hooks[1]]
    assert known.hooks_waiting_for(other) == []
    known.stop_waiting(hooks[1])
    assert known.hooks_waiting_for(KEY) == []


def test_requests_are_found_by_the_workload_they_were_made_for(known: Known) -> None:
    mine = world.request("mine")
    mine["spec"]["trigger"] = {"kind": "Deployment", "name": "checkout", "uid": "u"}
    known.see_request(mine)
    known.see_request(world.request("by-hand"))

    assert [each.key.name for each in known.requests_of(CHECKOUT)] == ["mine"]


def _status(phase: str, *, generation: int = 1, started: str = "", finished: str = "") -> dict[str, object]:
    times = {"startedAt": started, "finishedAt": finished}
    told = {name: time for name, time in times.items() if time}
    return {"phase": phase, "observedGeneration": generation, **told}


def test_the_oldest_unfinished_request_ages_from_its_creation_and_then_from_its_start() -> None:
    created = datetime.fromisoformat(world.CREATED)
    known = Known(lambda: created + timedelta(seconds=100))
    assert known.oldest_seconds() == 0

    known.see_request(world.request(version=1))
    assert known.oldest_seconds() == 100

    started = (created + timedelta(seconds=70)).isoformat()
    known.see_request(world.request(version=2, status=_status("Retrying", started=started)))
    assert known.oldest_seconds() == 30

    known.see_request(world.request(version=3, status=_status("Promoted", started=started, finished=started)))
    assert known.oldest_seconds() == 0


def test_a_finished_request_with_a_new_spec_is_unfinished_and_as_old_as_the_news_of_it() -> None:
    created = datetime.fromisoformat(world.CREATED)
    now = [created + timedelta(days=1)]
    known = Known(lambda: now[0])
    ended = _status("Promoted", started=world.CREATED, finished=world.CREATED)
    known.see_request(world.request(version=1, status=ended))

    known.see_request(world.request(version=2, generation=2, status=ended))
    now[0] += timedelta(seconds=7)

    assert known.oldest_seconds() == 7


def test_suspended_requests_do_not_age_and_deleted_ones_are_not_counted(known: Known) -> None:
    suspended = world.request(version=1, status=_status("Suspended"))
    suspended["spec"]["suspend"] = True
    known.see_request(suspended)
    assert known.oldest_seconds() == 0
    assert {phase: count for phase, count in known.phases().items() if count} == {"Suspended": 1}
    assert "Promoted" in known.phases(), "a phase that nobody is in counts 0"

    known.forget_request(KEY, suspended["metadata"]["uid"])
    assert not any(known.phases().values())
