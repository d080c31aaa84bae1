"""What the reconcilers write and when they look again, against an in-memory cluster."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from transship.errors import Reason, RetryLater
from transship.metrics import Metrics
from transship.oci.copier import Copier, Limits
from transship.operator.coverage import Coverage
from transship.operator.hooks import HookReconciler
from transship.operator.known import Known
from transship.operator.picture import Picture
from transship.operator.policies import PolicyReconciler
from transship.operator.queue import WorkQueue
from transship.operator.requests import RequestReconciler
from transship.operator.workloads import WorkloadReconciler
from transship.promotion.policy import PromotionPolicy
from transship.promotion.promoter import Promoter
from transship.promotion.request import PromotionRequest, RequestKey, parse_request, request_for
from transship.promotion.status import Phase, RequestStatus
from transship.promotion.upkeep import Inspection
from transship.promotion.workload import ContainerImage, WorkloadKey

from . import world

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
HOOK = WorkloadKey("Job", "shop", "promote-images")
CHECKOUT = WorkloadKey("Deployment", "shop", "checkout")
BEFORE, AFTER = "2026-01-02T03:04:04Z", "2026-01-02T03:04:06Z"
DOWN = RetryLater(Reason.UNREACHABLE, "does not answer")


class Registries:
    """No registry can be reached; how often one was asked for is counted."""

    def __init__(self) -> None:
        self.asked = 0

    def source(self, *_: Any) -> Any:
        self.asked += 1
        raise DOWN

    prepare_source = source
    destination = source
    ensure_repository = source


class NoUpkeep:
    """Nothing is wanted of AWS."""

    def look(self, policy: PromotionPolicy, promoted: Iterable[str]) -> Inspection:
        return Inspection()

    def forget(self, policy_name: str) -> None:
        """Nothing was remembered."""

    def tell(self, differs: Callable[[str], None]) -> None:
        """Nothing ever differs."""


class Bench:
    """The reconcilers on one picture, with queues whose threads are not started."""

    def __init__(self) -> None:
        self.cluster = world.MemoryCluster()
        self.known = Known()
        self.registries = Registries()
        self.changes: list[str] = []
        self.promoted: list[RequestKey] = []
        self.woken: list[WorkloadKey] = []
        self.admitted: list[PromotionRequest] = []
        self.picture = Picture(self.known, self.cluster, lambda: self.changes.append("policies"), self.changes.append)
        self.workload_queue: WorkQueue[WorkloadKey] = WorkQueue("workloads", lambda _: None, 1)
        self.policy_queue: WorkQueue[str] = WorkQueue("policies", lambda _: None, 1)
        self.upkeep_queue: WorkQueue[str] = WorkQueue("upkeep", lambda _: None, 1)
        self.request_queue: WorkQueue[RequestKey] = WorkQueue("requests", lambda _: None, 1)
        common: dict[str, Any] = {
            "known": self.known,
            "cluster": self.cluster,
            "metrics": Metrics("test"),
            "clock": lambda: NOW,
        }
        self.hooks = HookReconciler(**common, history_limit=2, promote=self.promoted.append, admit=self.admitted.append)
        self.coverage = Coverage(**common, promote=self.promoted.append)
        self.policies = PolicyReconciler(**common, upkeep=NoUpkeep(), resync=600.0)
        self.workloads = WorkloadReconciler(
            **common,
            picture=self.picture,
            registries=self.registries,
            coverage=self.coverage,
            resync=600.0,
            history_limit=2,
            promote=self.promoted.append,
            judged=lambda *_: None,
        )
        self.requests = RequestReconciler(
            **common,
            picture=self.picture,
            promoter=Promoter(self.registries, Copier(Limits(restarts=0)), lambda: NOW),
            stalled_recheck=300.0,
            is_stopping=lambda: False,
            wake=self.woken.append,
            promoted=lambda _: None,
            admit=self.admitted.append,
        )

    def sees_hook(self, **change: Any) -> None:
        self.cluster.put("Job", world.hook(**change))
        self.known.see_workload(world.hook(**change))

    def ends_request(self, phase: str, reason: str, checked_at: str, *, answers: bool = True) -> None:
        """The hook's request has a verdict from that time, which may have been begun before the hook asked."""
        key = self.known.request_keys()[0]
        if answers:
            self.known.answer(key, self.known.asking(key))
        found = self.cluster.request(key)
        assert found is not None
        ready = {"type": "Ready", "status": str(phase == "Promoted"), "reason": reason, "message": f"because {reason}"}
        times = {"startedAt": checked_at, "checkedAt": checked_at, "finishedAt": checked_at}
        status = {
            "phase": phase,
            "observedGeneration": 1,
            "conditions": [ready | {"lastTransitionTime": checked_at, "observedGeneration": 1}],
            **times,
        }
        written = self.cluster.write_request_status(key, found["metadata"]["uid"], status)
        assert written is not None
        self.known.see_request(written)

    def hook_reconciled(self) -> dict[str, Any]:
        self.hooks.reconcile(HOOK, self.workload_queue)
        return dict(self.cluster.job_statuses[-1])


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.cluster.put("Namespace", world.namespace())
    made.known.see_namespace(world.namespace())
    return made


def _types(status: dict[str, Any]) -> list[str]:
    return [each["type"] for each in status["conditions"]]


# Hooks: what API validation demands of the writer of a Job's status (Kubernetes, pkg/apis/batch/validation).


def test_a_hook_that_waits_has_a_start_and_a_condition_that_ends_nothing(bench: Bench) -> None:
    bench.sees_hook()

    status = bench.hook_reconciled()

    assert status.keys() == {"startTime", "conditions"}
    assert status["startTime"] == world.CREATED
    assert _types(status) == ["Promoting"]
    assert len(bench.promoted) == 1


def test_a_hook_that_is_complete_has_both_times_and_both_conditions(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request("Promoted", "Promoted", AFTER)

    status = bench.hook_reconciled()

    assert status.keys() == {"startTime", "completionTime", "conditions"}
    assert _types(status) == ["SuccessCriteriaMet", "Complete"]
    for each in status["conditions"]:
        assert (each["status"], each["reason"]) == ("True", "Promoted")
        assert each["message"].startswith("because Promoted (PromotionRequest promote-images-")
    assert bench.known.hooks_waiting_for(bench.known.request_keys()[0]) == []


def test_a_hook_never_ends_before_it_began_though_our_clock_is_behind_the_api_servers(bench: Bench) -> None:
    later = world.hook()
    later["metadata"] |= {"creationTimestamp": "2100-01-01T00:00:00Z"}
    bench.cluster.put("Job", later)
    bench.known.see_workload(later)
    bench.hook_reconciled()
    bench.ends_request("Promoted", "Promoted", AFTER)

    status = bench.hook_reconciled()

    # Validation refuses a completion before the start, and the hook would wait until our clock had caught up.
    assert status["startTime"] == status["completionTime"] == "2100-01-01T00:00:00Z"


def test_a_hook_that_failed_has_no_completion_time_and_names_the_reason(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request("Stalled", "SourceMissing", AFTER)

    status = bench.hook_reconciled()

    assert status.keys() == {"startTime", "conditions"}
    assert _types(status) == ["FailureTarget", "Failed"]
    assert {each["reason"] for each in status["conditions"]} == {"SourceMissing"}


@pytest.mark.parametrize("checked_at", [BEFORE, AFTER], ids=["by a clock behind", "by a clock ahead"])
@pytest.mark.parametrize("phase", ["Promoted", "Stalled"])
def test_a_verdict_that_was_begun_before_the_hook_asked_does_not_end_it_whatever_any_clock_says(
    bench: Bench, phase: str, checked_at: str
) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request(phase, "SourceMissing", checked_at, answers=False)
    bench.promoted.clear()

    assert _types(bench.hook_reconciled()) == ["Promoting"]
    assert bench.promoted == [], "it has asked already"
    (key,) = bench.known.request_keys()
    assert bench.known.asking(key) == {"uid-of-promote-images"}


def test_a_hook_made_again_asks_again_though_there_is_a_verdict(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request("Promoted", "Promoted", AFTER)
    bench.hook_reconciled()
    bench.promoted.clear()
    again = world.hook()
    again["metadata"] |= {"uid": "uid-of-the-next-hook"}
    bench.cluster.put("Job", again)
    bench.known.see_workload(again)

    assert _types(bench.hook_reconciled()) == ["Promoting"]
    assert bench.promoted == bench.known.request_keys()


def test_a_hook_has_a_request_looked_at_whose_first_look_may_have_begun_before_it_asked(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.promoted.clear()
    again = world.hook()
    again["metadata"] |= {"uid": "uid-of-the-next-hook"}
    bench.cluster.put("Job", again)
    bench.known.see_workload(again)

    bench.hook_reconciled()

    assert bench.promoted == bench.known.request_keys()


def test_nobody_is_answered_before_the_new_verdict_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.sees_hook(image="not an image")
    bench.hook_reconciled()
    key = bench.known.request_keys()[0]
    answered: list[bool] = []
    write = bench.cluster.write_request_status

    def watched(written: RequestKey, uid: str, status: dict[str, Any]) -> dict[str, Any] | None:
        answered.append(bench.known.is_answered(key, "uid-of-promote-images"))
        return write(written, uid, status)

    monkeypatch.setattr(bench.cluster, "write_request_status", watched)
    bench.requests.reconcile(key, bench.request_queue)

    assert answered == [False], "a hook would take the verdict that was there before it asked"
    assert _types(bench.hook_reconciled()) == ["FailureTarget", "Failed"]
    assert bench.woken.count(HOOK) == 2, "once for the status, once for the answer"


def test_a_request_whose_images_were_changed_after_its_verdict_does_not_open_the_gate(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request("Promoted", "Promoted", AFTER)
    key = bench.known.request_keys()[0]
    found = bench.cluster.request(key)
    assert found is not None
    found["spec"]["containers"][0]["image"] += "-other"
    bench.known.see_request(bench.cluster.put("PromotionRequest", found))

    status = bench.hook_reconciled()

    assert _types(status) == ["FailureTarget", "Failed"]
    assert "has this owner's name but other images" in status["conditions"][0]["message"]


def test_a_request_that_only_retries_does_not_end_a_hook(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()
    bench.ends_request("Retrying", "Throttled", AFTER)

    assert _types(bench.hook_reconciled()) == ["Promoting"]


def test_a_finished_hook_is_left_alone(bench: Bench) -> None:
    finished = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    bench.known.see_workload(world.hook() | finished)

    bench.hooks.reconcile(HOOK, bench.workload_queue)

    assert bench.cluster.job_statuses == []
    assert bench.promoted == []


def test_a_hook_is_not_owned_by_anything_and_owns_nothing(bench: Bench) -> None:
    bench.sees_hook()
    bench.hook_reconciled()

    made = bench.cluster.request(bench.known.request_keys()[0])

    assert made is not None
    assert "ownerReferences" not in made["metadata"]
    assert made["spec"]["trigger"]["uid"] == "uid-of-promote-images"


# Back-off: the API server or a registry is down, and each key comes back later and later.


def _failures(queue: WorkQueue[Any], reconcile: Callable[[], None], key: Any, times: int) -> int:
    for _ in range(times):
        with pytest.raises(RetryLater):
            reconcile()
        queue.retry(key)
    return queue._failures[key]


def test_back_off_of_a_hook_grows_while_its_status_cannot_be_written(bench: Bench) -> None:
    bench.sees_hook()
    bench.cluster.failure = DOWN
    queue = bench.workload_queue

    assert _failures(queue, lambda: bench.hooks.reconcile(HOOK, queue), HOOK, 3) == 3

    bench.cluster.failure = None
    bench.hooks.reconcile(HOOK, queue)
    assert queue._failures == {}


def test_back_off_of_a_policy_grows_while_its_status_cannot_be_written(bench: Bench) -> None:
    bench.known.see_policy(world.policy())
    bench.cluster.failure = DOWN
    queue, upkeep = bench.policy_queue, bench.upkeep_queue

    assert _failures(queue, lambda: bench.policies.reconcile("shop", queue, upkeep), "shop", 3) == 3

    bench.cluster.failure = None
    bench.policies.reconcile("shop", queue, upkeep)
    assert queue._failures == {}
    assert list(upkeep._due) == ["shop"]


def test_back_off_of_a_workload_grows_while_its_registry_does_not_answer(bench: Bench) -> None:
    bench.known.see_policy(world.policy())
    bench.known.see_workload(world.deployment())
    queue = bench.workload_queue

    assert _failures(queue, lambda: bench.workloads.reconcile(CHECKOUT, queue), CHECKOUT, 3) == 3

    bench.known.forget_workload(CHECKOUT, "uid-of-checkout")
    bench.workloads.reconcile(CHECKOUT, queue)
    assert queue._failures == {}


def test_a_workload_whose_registry_does_not_answer_is_told_so_once(bench: Bench) -> None:
    bench.known.see_policy(world.policy())
    bench.known.see_workload(world.deployment())
    queue = bench.workload_queue

    _failures(queue, lambda: bench.workloads.reconcile(CHECKOUT, queue), CHECKOUT, 3)

    assert bench.cluster.events == ["Unreachable"]


def test_a_workload_that_no_policy_covers_costs_no_call_and_is_not_looked_at_again(bench: Bench) -> None:
    bench.known.see_policy(world.policy(repositories=["warehouse/*"]))
    bench.known.see_workload(world.deployment())
    bench.cluster.failure = DOWN  # any call would raise

    bench.workloads.reconcile(CHECKOUT, bench.workload_queue)

    assert bench.registries.asked == 0
    assert bench.workload_queue._due == {}


# The picture: a refusal is final for a hook, so before one is given the API server itself is asked.

CONTAINERS = (ContainerImage("app", world.IMAGE),)


def test_what_is_covered_is_judged_without_asking_the_api_server(bench: Bench) -> None:
    bench.known.see_policy(world.policy())
    bench.cluster.failure = DOWN

    policies, namespace = bench.picture.rules_for(CONTAINERS, "shop")

    assert ([each.name for each in policies], namespace.name) == (["shop"], "shop")


def test_a_policy_that_no_watch_has_told_of_is_read_and_everything_is_judged_again(bench: Bench) -> None:
    bench.cluster.put("PromotionPolicy", world.policy())

    policies, _ = bench.picture.rules_for(CONTAINERS, "shop")

    assert [each.name for each in policies] == ["shop"]
    assert bench.changes == ["policies"]


def test_a_label_that_no_watch_has_told_of_is_read_and_the_namespace_is_judged_again(bench: Bench) -> None:
    bench.known.see_policy(world.policy(namespaces={"matchLabels": {"promote": "yes"}}))
    bench.cluster.put("Namespace", world.namespace(promote="yes"))

    policies, namespace = bench.picture.rules_for(CONTAINERS, "shop")

    assert namespace.labels == {"promote": "yes"}
    assert isinstance(policies[0], PromotionPolicy)
    assert policies[0].namespaces.selects(namespace)
    assert bench.changes == ["shop"]


def test_a_namespace_that_is_gone_has_no_labels(bench: Bench) -> None:
    assert bench.picture.namespace("gone").labels == {}


# Requests.


def test_a_request_that_is_gone_when_its_status_is_written_is_forgotten_and_its_owner_judged_anew(
    bench: Bench,
) -> None:
    resource = world.request("gone")
    resource["spec"]["trigger"] = {"kind": "Deployment", "name": "checkout", "uid": "u"}
    request = parse_request(resource)
    bench.known.see_request(resource)

    bench.requests.reconcile(request.key, bench.request_queue)

    assert bench.known.request(request.key) is None
    assert bench.woken == [CHECKOUT]


def test_a_stalled_request_is_looked_at_again_slowly(bench: Bench) -> None:
    made = bench.cluster.put("PromotionRequest", world.request())
    request, _ = bench.known.see_request(made)

    bench.requests.reconcile(request.key, bench.request_queue)

    found = bench.cluster.request(request.key)
    assert found is not None
    assert found["status"]["phase"] == "Stalled"
    assert found["status"]["conditions"][0]["reason"] == "NotCovered"
    assert bench.request_queue._failures == {}
    assert bench.cluster.events == ["NotCovered"]
    (due,) = bench.request_queue._due.values()
    assert 7 < due - time.monotonic() < 13, "soon at first"


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 10), (1, 30), (5, 150), (60, 300)])
def test_the_longer_a_request_is_stalled_the_later_it_is_looked_at_again(
    bench: Bench, minutes: int, seconds: float
) -> None:
    status = RequestStatus(phase=Phase.STALLED, started_at=NOW - timedelta(minutes=minutes))

    assert bench.requests._recheck(status) == seconds


def test_a_hook_whose_request_was_there_before_its_watch_told_of_it_has_it_looked_at(bench: Bench) -> None:
    # As after a start: the predecessor made the request, and was killed before it looked at it.
    bench.sees_hook()
    hook = bench.known.workload(HOOK)
    assert hook is not None
    made = bench.cluster.create_request(request_for(hook, hook.images))
    assert made is not None

    bench.hook_reconciled()
    assert len(bench.promoted) == 1

    assert bench.known.see_request(made)[1] is False, "what its watch tells later is no news"


def test_a_hook_that_is_refused_before_there_is_a_request_leaves_an_event(bench: Bench) -> None:
    resource = world.hook()
    resource["metadata"]["annotations"] = {"transship.dev/timeout": "soon"}
    bench.cluster.put("Job", resource)
    bench.known.see_workload(resource)

    assert _types(bench.hook_reconciled()) == ["FailureTarget", "Failed"]
    assert bench.cluster.events == ["InvalidRequest"]


@pytest.mark.parametrize("watches", [True, False])
def test_a_hook_without_managed_by_is_told_whether_or_not_a_policy_watches(bench: Bench, *, watches: bool) -> None:
    bench.known.see_namespace(world.namespace())
    bench.known.see_policy(world.policy(watch={"workloads": watches}))
    resource = world.hook()
    del resource["spec"]["managedBy"]
    resource["metadata"]["annotations"] = {"argocd.argoproj.io/hook": "PreSync", "transship.dev/hook": "true"}
    bench.cluster.put("Job", resource)
    bench.known.see_workload(resource)

    with suppress(RetryLater):
        bench.workloads.reconcile(HOOK, bench.workload_queue)

    assert bench.cluster.events[0] == "ManagedByMissing"
