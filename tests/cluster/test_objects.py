"""Objects as the operator writes them, with the operator's rights, judged by a real API server."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localworld.apiserver import ApiError
from localworld.cluster import Cluster as ControlPlane
from localworld.controller import GROUPS, USER, install
from localworld.world import World
from transship.cluster import Cluster, connect
from transship.cluster.api import Invalid
from transship.promotion.request import RequestKey
from transship.promotion.workload import WorkloadKey

Resource = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout:v1"


@pytest.fixture(scope="module")
def installed(world: World) -> ControlPlane:
    """The API server with the definitions and the operator's rights."""
    install(world)
    return world.cluster


@pytest.fixture(scope="module")
def cluster(installed: ControlPlane) -> Iterator[Cluster]:
    """The adapter, with the rights of the operator's ServiceAccount and no others."""
    api = connect(installed.issue_kubeconfig("operator-under-test", USER, GROUPS))
    yield Cluster(api, "replica-1")
    api.close()


@pytest.fixture
def key(cluster: Cluster, namespace: str) -> RequestKey:
    """A request that the adapter has made."""
    created = cluster.create_request(_request(namespace))
    assert created is not None
    return RequestKey(namespace, "release")


def _request(namespace: str, name: str = "release", **spec: Any) -> Resource:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": IMAGE}], **spec},
    }


def _condition(kind: str, status: str, **more: Any) -> Resource:
    told = {"reason": "Promoting", "message": "1 of 2", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    return {"type": kind, "status": status, **told, **more}


def _uid(resource: Resource | None) -> str:
    assert resource is not None
    return str(resource["metadata"]["uid"])


def _again(installed: ControlPlane, key: RequestKey, cluster: Cluster) -> str:
    """Delete a request and make another of the same name; returns the uid of the first."""
    old = _uid(cluster.request(key))
    installed.admin.delete(f"/apis/transship.dev/v1alpha1/namespaces/{key.namespace}/promotionrequests/{key.name}")
    assert cluster.create_request(_request(key.namespace)) is not None
    return old


def test_a_status_is_replaced_exactly_so_that_removed_fields_vanish(cluster: Cluster, key: RequestKey) -> None:
    uid = _uid(cluster.request(key))
    first = {
        "phase": "Promoting",
        "observedGeneration": 1,
        "progress": "40%",
        "conditions": [_condition("Ready", "Unknown"), _condition("Reconciling", "True")],
        "images": [{"name": "app", "reason": "Promoting", "message": "on its way", "attempts": 1}],
    }
    assert cluster.write_request_status(key, uid, first) is not None

    second = {"phase": "Stalled", "observedGeneration": 1, "conditions": [_condition("Ready", "False")]}
    written = cluster.write_request_status(key, uid, second)

    assert written is not None
    assert written["status"] == second
    read = cluster.request(key)
    assert read is not None
    assert read["status"] == second


def test_a_status_write_changes_neither_spec_nor_metadata(cluster: Cluster, key: RequestKey) -> None:
    before = cluster.request(key)
    assert before is not None

    after = cluster.write_request_status(key, _uid(before), {"phase": "Pending", "observedGeneration": 1})

    assert after is not None
    assert after["spec"] == before["spec"]
    changed = {"resourceVersion", "managedFields"}
    assert {k: v for k, v in after["metadata"].items() if k not in changed} == {
        k: v for k, v in before["metadata"].items() if k not in changed
    }
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_a_request_made_again_under_the_same_name_is_not_written_to(
    installed: ControlPlane, cluster: Cluster, key: RequestKey
) -> None:
    old = _again(installed, key, cluster)

    assert cluster.write_request_status(key, old, {"phase": "Promoted", "observedGeneration": 1}) is None

    now = cluster.request(key)
    assert now is not None
    assert "status" not in now


def test_a_request_made_again_under_the_same_name_is_not_deleted(
    installed: ControlPlane, cluster: Cluster, key: RequestKey
) -> None:
    old = _again(installed, key, cluster)

    cluster.delete_request(key, old)
    assert cluster.request(key) is not None

    cluster.delete_request(key, _uid(cluster.request(key)))
    assert cluster.request(key) is None
    cluster.delete_request(key, old)


def test_what_is_gone_is_none(cluster: Cluster, namespace: str) -> None:
    key = RequestKey(namespace, "never")

    assert cluster.request(key) is None
    assert cluster.write_request_status(key, "uid", {"phase": "Pending"}) is None
    assert cluster.write_policy_status(f"never-{namespace}", "uid", {}) is None
    assert cluster.workload(WorkloadKey("Deployment", namespace, "never")) is None
    assert cluster.namespaces("never") == []


def test_a_request_that_exists_is_not_made_twice(cluster: Cluster, key: RequestKey) -> None:
    assert cluster.create_request(_request(key.namespace, timeout="1h")) is None


def test_a_request_that_the_schema_refuses_names_the_field(cluster: Cluster, namespace: str) -> None:
    resource = _request(namespace, containers=[{"name": "app", "image": "x" * 2000}])

    with pytest.raises(Invalid, match=r"spec\.containers\[0\]\.image"):
        cluster.create_request(resource)


def test_no_request_is_made_in_a_namespace_that_is_going(installed: ControlPlane, cluster: Cluster) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    # What has a finalizer keeps the namespace from going at once.
    installed.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    kept = {"metadata": {"name": "kept", "finalizers": ["example.com/wait"]}}
    installed.admin.create(f"/api/v1/namespaces/{name}/configmaps", kept)
    installed.admin.delete(f"/api/v1/namespaces/{name}")
    try:
        assert cluster.create_request(_request(name)) is None
    finally:
        installed.admin.patch(f"/api/v1/namespaces/{name}/configmaps/kept", {"metadata": {"finalizers": None}})


def test_a_policy_status_is_written_with_the_operators_rights_and_its_spec_is_not(
    installed: ControlPlane, cluster: Cluster
) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    spec = {
        "source": {"registry": "111111111111.dkr.ecr.eu-west-1.amazonaws.com"},
        "destination": {"registry": "222222222222.dkr.ecr.eu-west-1.amazonaws.com"},
        "namespaces": {"names": [name]},
        "repositories": ["shop/*"],
    }
    resource = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
    made = installed.admin.create("/apis/transship.dev/v1alpha1/promotionpolicies", resource)
    try:
        status = {"observedGeneration": 1, "conditions": [_condition("Ready", "True", observedGeneration=1)]}
        written = cluster.write_policy_status(name, _uid(made), status)
        assert written is not None
        assert written["status"] == status
        assert written["spec"] == made["spec"]
        assert cluster.write_policy_status(name, "another", {"observedGeneration": 2}) is None
        assert name in {each["metadata"]["name"] for each in cluster.policies()}
    finally:
        installed.admin.delete(f"/apis/transship.dev/v1alpha1/promotionpolicies/{name}")


# Jobs: what the API server's validation says about the writer of their status.


@pytest.fixture
def make_job(installed: ControlPlane, namespace: str) -> Callable[[], tuple[WorkloadKey, str]]:
    def make() -> tuple[WorkloadKey, str]:
        container = {"name": "app", "image": IMAGE}
        pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        resource = {
            "metadata": {"name": "hook"},
            "spec": {"managedBy": "transship.dev/promotion", "template": pod},
        }
        made = installed.admin.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", resource)
        return WorkloadKey("Job", namespace, "hook"), _uid(made)

    return make


def _ended(*types: str) -> list[Resource]:
    return [{"type": each, "status": "True", "reason": "Promoted", "message": "done"} for each in types]


COMPLETE = {
    "startTime": "2026-01-02T03:04:05Z",
    "completionTime": "2026-01-02T03:04:06Z",
    "conditions": _ended("SuccessCriteriaMet", "Complete"),
}
FAILED = {"startTime": "2026-01-02T03:04:05Z", "conditions": _ended("FailureTarget", "Failed")}
WAITING = {"startTime": "2026-01-02T03:04:05Z", "conditions": _ended("Promoting")}


@pytest.mark.parametrize("end", [COMPLETE, FAILED])
def test_a_hook_job_is_taken_from_waiting_to_its_end(
    cluster: Cluster, make_job: Callable[[], tuple[WorkloadKey, str]], end: Resource
) -> None:
    key, uid = make_job()

    assert cluster.write_job_status(key, uid, WAITING) is not None
    written = cluster.write_job_status(key, uid, end)

    assert written is not None
    assert [each["type"] for each in written["status"]["conditions"]] == [each["type"] for each in end["conditions"]]


def test_a_finished_job_stays_finished(cluster: Cluster, make_job: Callable[[], tuple[WorkloadKey, str]]) -> None:
    key, uid = make_job()
    cluster.write_job_status(key, uid, COMPLETE)

    with pytest.raises(Invalid):
        cluster.write_job_status(key, uid, FAILED)


@pytest.mark.parametrize("lacking", ["completionTime", "startTime"])
def test_a_job_cannot_be_complete_without_its_times(
    cluster: Cluster, make_job: Callable[[], tuple[WorkloadKey, str]], lacking: str
) -> None:
    key, uid = make_job()

    with pytest.raises(Invalid, match=lacking):
        cluster.write_job_status(key, uid, {name: value for name, value in COMPLETE.items() if name != lacking})


def test_a_job_made_again_under_the_same_name_is_not_written_to(
    installed: ControlPlane, cluster: Cluster, make_job: Callable[[], tuple[WorkloadKey, str]]
) -> None:
    key, old = make_job()
    path = f"/apis/batch/v1/namespaces/{key.namespace}/jobs/{key.name}"
    installed.admin.delete(path, {"propagationPolicy": "Background"})
    _, new = make_job()

    assert cluster.write_job_status(key, old, COMPLETE) is None

    assert installed.admin.get(path)["metadata"]["uid"] == new
    assert installed.admin.get(path)["status"] == {}


def test_a_workload_comes_with_its_kind_and_version(
    installed: ControlPlane, cluster: Cluster, make_job: Callable[[], tuple[WorkloadKey, str]]
) -> None:
    key, uid = make_job()

    job = cluster.workload(key)

    assert job is not None
    assert (job["apiVersion"], job["kind"], job["metadata"]["uid"]) == ("batch/v1", "Job", uid)


# Events.


def test_events_are_seen_by_kubectl_describe_on_the_object_they_are_about(
    installed: ControlPlane, cluster: Cluster, key: RequestKey
) -> None:
    regarding = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "namespace": key.namespace,
        "name": key.name,
        "uid": _uid(cluster.request(key)),
    }

    cluster.emit_event(regarding, warning=False, reason="Promoted", note="2 images promoted", now=NOW)
    for minutes in range(3):
        later = NOW + timedelta(minutes=minutes)
        cluster.emit_event(regarding, warning=True, reason="SourceMissing", note="no such tag", now=later)

    described = installed.kubectl(
        "describe", f"promotionrequests.transship.dev/{key.name}", f"--namespace={key.namespace}"
    )
    told = [line.split() for line in described.partition("Events:")[2].splitlines()]
    assert ["Normal", "Promoted"] in [words[:2] for words in told]
    (again,) = [words for words in told if words[:2] == ["Warning", "SourceMissing"]]
    assert "(x3" in again, "the same event is one line that says how often"
    assert "2 images promoted" in described


def test_a_long_note_is_cut_to_what_an_event_may_hold(
    installed: ControlPlane, cluster: Cluster, key: RequestKey
) -> None:
    regarding = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "namespace": key.namespace,
        "name": key.name,
        "uid": _uid(cluster.request(key)),
    }

    cluster.emit_event(regarding, warning=True, reason="Denied", note="x" * 5000, now=NOW)

    (event,) = installed.admin.get(f"/apis/events.k8s.io/v1/namespaces/{key.namespace}/events")["items"]
    assert event["note"].endswith("xx...")
    assert len(event["note"]) == 1000
    assert event["reportingInstance"] == "replica-1"


def test_an_event_that_may_not_be_written_is_lost_and_nobody_is_held_up(
    installed: ControlPlane, namespace: str
) -> None:
    api = connect(installed.issue_kubeconfig("no-rights", "nobody", ("system:authenticated",)))
    regarding = {"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "namespace": namespace, "uid": "u"}

    Cluster(api, "replica-1").emit_event(regarding, warning=False, reason="Promoted", note="", now=NOW)

    api.close()
    assert installed.admin.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"] == []


# The Lease, and what is asked of the cluster at the start.


@pytest.fixture
def no_lease(installed: ControlPlane) -> Iterator[str]:
    """The path of the operator's Lease, which does not exist before and after the test."""
    path = "/apis/coordination.k8s.io/v1/namespaces/transship-system/leases/transship"

    def remove() -> None:
        with suppress(ApiError):  # there was none
            installed.admin.delete(path)

    remove()
    yield path
    remove()


def test_a_lease_is_created_replaced_and_lost_to_whoever_was_faster(cluster: Cluster, no_lease: str) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "transship", "namespace": "transship-system"},
        "spec": {"holderIdentity": "first", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.000000Z"},
    }
    assert cluster.lease("transship-system", "transship") is None

    first = cluster.write_lease(lease)
    assert first is not None
    assert cluster.write_lease(lease) is None, "somebody has created it already"
    second = cluster.write_lease(first | {"spec": lease["spec"] | {"holderIdentity": "second"}})  # type: ignore[operator]
    assert second is not None
    assert cluster.write_lease(first) is None, "somebody has replaced it already"

    read = cluster.lease("transship-system", "transship")
    assert read is not None
    assert read["spec"]["holderIdentity"] == "second"


def test_the_operator_can_ask_for_all_it_checks_at_its_start(cluster: Cluster) -> None:
    assert cluster.serves_our_kinds()
    assert cluster.server_version() >= (1, 32)
    assert "default" in {each["metadata"]["name"] for each in cluster.namespaces()}
    assert [each["metadata"]["name"] for each in cluster.namespaces("default")] == ["default"]
