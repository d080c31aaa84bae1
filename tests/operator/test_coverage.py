"""What is told of applications whose hook names less than they run, and of syncs that did not wait."""

from datetime import UTC, datetime
from typing import Any

import pytest

from transship.metrics import Metrics
from transship.operator.coverage import Coverage
from transship.operator.known import Known
from transship.promotion.conditions import Finding
from transship.promotion.request import RequestKey, request_for
from transship.promotion.workload import Workload, parse_workload

from . import world

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
OTHER = f"{world.DESTINATION}/shop/worker:v1"
HOOK = "argocd.argoproj.io/hook"


def tracked(application: str = "shop", **more: str) -> dict[str, str]:
    return {"argocd.argoproj.io/tracking-id": f"{application}:x/y:shop/z", **more}


class Bench:
    def __init__(self) -> None:
        self.cluster = world.MemoryCluster()
        self.known = Known()
        self.promoted: list[RequestKey] = []
        self.metrics = Metrics("test")
        self.coverage = Coverage(self.known, self.cluster, self.metrics, lambda: NOW, self.promoted.append)

    def has_hook(self, image: str = world.IMAGE) -> RequestKey:
        """The request of a hook of the application shop."""
        job = world.hook(image=image)
        job["metadata"]["annotations"] = tracked()
        found = parse_workload(job)
        made = self.cluster.create_request(request_for(found, found.images))
        assert made is not None
        return self.known.see_request(made)[0].key

    def runs(self, image: str = world.IMAGE, name: str = "checkout", application: str = "shop") -> Workload:
        resource = world.deployment(name, image=image)
        resource["metadata"]["annotations"] = tracked(application)
        workload = parse_workload(resource)
        self.coverage.compare(workload, workload.images)
        return workload

    def has_resource(self, **annotations: str) -> RequestKey:
        """A request that Argo CD applied as a resource of the application shop."""
        resource = world.request()
        resource["metadata"]["annotations"] = tracked(**annotations)
        return self.known.see_request(resource)[0].key


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
    assert 'transship_uncovered_total{kind="Deployment"} 1.0' in bench.metrics.render().decode()


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
    bench.runs()

    assert not only(bench.known.findings(key)).is_so


def test_what_an_earlier_hook_named_is_covered_while_a_new_version_is_on_its_way(bench: Bench) -> None:
    bench.has_hook()
    bench.has_hook(f"{world.DESTINATION}/shop/checkout:v2")

    bench.runs()

    assert bench.cluster.events == []


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
    resource = world.request()
    resource["metadata"] |= {"annotations": tracked(**{HOOK: "PreSync"}), **change}
    key = bench.known.see_request(resource)[0].key

    bench.coverage.let_go(key)

    assert bench.cluster.events == told


def test_a_request_that_is_gone_is_not_spoken_of(bench: Bench) -> None:
    bench.coverage.let_go(RequestKey("shop", "gone"))

    assert bench.cluster.events == []
