"""What is told of applications whose hook names less than they run, and of syncs that did not wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from transship.metrics import Metrics
from transship.operator.coverage import Coverage
from transship.operator.known import Known
from transship.promotion.conditions import Finding
from transship.promotion.request import RequestKey, request_for
from transship.promotion.status import format_time
from transship.promotion.workload import Workload, parse_workload

from . import world

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
OTHER = f"{world.DESTINATION}/shop/worker:v1"
HOOK = "argocd.argoproj.io/hook"


def track(resource: dict[str, Any], application: str = "shop", **more: str) -> dict[str, Any]:
    """Argo CD has applied it for an application."""
    group, metadata = resource["apiVersion"].partition("/")[0], resource["metadata"]
    place = f"{group}/{resource['kind']}:{metadata['namespace']}/{metadata['name']}"
    metadata["annotations"] = {"argocd.argoproj.io/tracking-id": f"{application}:{place}", **more}
    return resource


class Bench:
    def __init__(self) -> None:
        self.cluster = world.MemoryCluster()
        self.known = Known()
        self.promoted: list[RequestKey] = []
        self.metrics = Metrics("test")
        self.coverage = Coverage(self.known, self.cluster, self.metrics, lambda: NOW, self.promoted.append)

    def has_hook(self, image: str = world.IMAGE) -> RequestKey:
        """The request of a hook of the application shop."""
        found = parse_workload(track(world.hook(image=image)))
        made = self.cluster.create_request(request_for(found, found.images))
        assert made is not None
        return self.known.see_request(made)[0].key

    def runs(self, image: str = world.IMAGE, name: str = "checkout", application: str = "shop") -> Workload:
        workload = parse_workload(track(world.deployment(name, image=image), application))
        self.coverage.compare(workload, workload.images)
        return workload

    def has_resource(self, **annotations: str) -> RequestKey:
        """A request that Argo CD applied as a resource of the application shop."""
        return self.known.see_request(track(world.request(), **annotations))[0].key

    def promotes(self, key: RequestKey, minutes_ago: float = 0.0) -> None:
        """A request of a hook has its verdict."""
        found = self.cluster.request(key)
        assert found is not None
        moment = format_time(NOW - timedelta(minutes=minutes_ago))
        status = {"phase": "Promoted", "observedGeneration": 1, "checkedAt": moment, "finishedAt": moment}
        written = self.cluster.write_request_status(key, found["metadata"]["uid"], status)
        assert written is not None
        self.known.see_request(written)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def test_a_workload_whose_images_the_hook_names_is_not_spoken_of(bench: Bench) -> None:
    key = bench.has_hook()

    bench.runs()

    assert (bench.cluster.events, bench.promoted) == ([], [])
    assert not any(each.is_so for each in bench.known.findings(key))


def test_an_image_that_the_hook_does_not_name_is_told_once_on_the_workload_and_on_the_request(bench: Bench) -> None:
    key = bench.has_hook()

    bench.runs(OTHER, "worker")
    bench.runs(OTHER, "worker")

    assert bench.cluster.events == ["Uncovered"]
    found = only(bench.known.findings(key))
    assert found.is_so
    assert found.message == (
        f"not named by the hook, so a sync does not wait for it: Deployment shop/worker container app ({OTHER}); "
        "add what is missing to the hook's containers"
    )
    assert bench.promoted == [key], "the request has to be written once more"
    assert "transship_uncovered_total 1.0" in bench.metrics.render().decode()


def test_it_is_taken_back_when_the_hook_names_the_image_later(bench: Bench) -> None:
    bench.has_hook()
    bench.runs(OTHER, "worker")

    newer = bench.has_hook(OTHER)
    bench.runs(OTHER, "worker")

    assert not any(each.is_so for each in bench.known.findings(newer))
    assert bench.cluster.events == ["Uncovered"]


def test_it_is_taken_back_when_the_workload_is_gone(bench: Bench) -> None:
    key = bench.has_hook()
    gone = bench.runs(OTHER, "worker")

    bench.coverage.forget(gone.key)

    assert not only(bench.known.findings(key)).is_so
    assert bench.promoted == [key, key], "the request has to be written again"


def test_what_the_hook_before_named_is_covered_while_a_rollout_goes_on_and_no_longer(bench: Bench) -> None:
    before, now = bench.has_hook(), bench.has_hook(f"{world.DESTINATION}/shop/checkout:v2")
    bench.promotes(before, minutes_ago=60)
    bench.promotes(now, minutes_ago=9)
    bench.runs()
    assert bench.cluster.events == []

    bench.promotes(now, minutes_ago=11)
    bench.runs()
    assert bench.cluster.events == ["Uncovered"], "the hook names another version than the one that runs"


def test_a_rollback_is_covered_though_its_request_is_the_older_one(bench: Bench) -> None:
    older, newer = bench.has_hook(), bench.has_hook(f"{world.DESTINATION}/shop/checkout:v2")
    bench.promotes(newer, minutes_ago=60)
    bench.promotes(older, minutes_ago=30)

    bench.runs()

    assert bench.cluster.events == []


def test_a_version_that_is_being_promoted_does_not_uncover_the_one_that_runs(bench: Bench) -> None:
    bench.promotes(bench.has_hook(), minutes_ago=60)
    bench.has_hook(f"{world.DESTINATION}/shop/checkout:v2")

    bench.runs()

    assert bench.cluster.events == []


def test_another_namespace_can_neither_raise_nor_hide_anything(bench: Bench) -> None:
    key = bench.has_hook()
    foreign = track(world.deployment("forged", image=OTHER) | {})
    foreign["metadata"] |= {"namespace": "elsewhere"}
    workload = parse_workload(track(foreign))
    bench.coverage.compare(workload, workload.images)
    assert bench.known.findings(key) == []

    forged = world.request("forged")
    forged["metadata"] |= {"namespace": "elsewhere", "labels": {"app.kubernetes.io/managed-by": "transship"}}
    forged["spec"] = {
        "containers": [{"name": "app", "image": OTHER}],
        "trigger": {"kind": "Job", "name": "promote-images", "application": "shop"},
    }
    bench.known.see_request(forged)
    bench.runs(OTHER, "worker")
    assert bench.cluster.events == ["Uncovered"]


def test_an_application_without_a_hook_and_another_application_are_left_alone(bench: Bench) -> None:
    bench.runs(OTHER)
    bench.has_hook()
    bench.runs(OTHER, application="warehouse")
    bench.runs(OTHER, application="")

    assert bench.cluster.events == []


def test_a_request_that_a_workload_overtook_was_not_waited_for(bench: Bench) -> None:
    key = bench.has_resource()
    workload = bench.runs()

    bench.coverage.not_waited_for(workload, workload.images)
    bench.coverage.not_waited_for(workload, workload.images)

    found = [each for each in bench.known.findings(key) if each.condition == "GateNotEnforced"]
    assert only(found).is_so
    assert "Deployment shop/checkout names" in only(found).message
    assert "argocd-cm has the health check" in only(found).message
    assert bench.cluster.events == ["GateNotEnforced"]
    assert "transship_gates_not_enforced_total 1.0" in bench.metrics.render().decode()


def test_a_request_for_a_hook_job_is_no_gate_that_could_be_overtaken_by_a_missing_health_check(bench: Bench) -> None:
    bench.has_hook()
    workload = bench.runs()

    bench.coverage.not_waited_for(workload, workload.images)

    assert bench.cluster.events == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ["GateNotEnforced"]),
        ({"finalizers": ["argocd.argoproj.io/hook-finalizer"]}, []),
        ({"deletionTimestamp": "2026-01-02T03:04:05Z"}, []),
    ],
    ids=["let go and still there", "still held", "about to be deleted"],
)
def test_a_hook_whose_finalizer_is_gone(bench: Bench, change: dict[str, Any], told: list[str]) -> None:
    resource = track(world.request(), **{HOOK: "PreSync"})
    resource["metadata"] |= change
    key = bench.known.see_request(resource)[0].key

    bench.coverage.let_go(key)

    assert bench.cluster.events == told


def test_a_request_that_is_gone_is_not_spoken_of(bench: Bench) -> None:
    bench.coverage.let_go(RequestKey("shop", "gone"))

    assert bench.cluster.events == []
