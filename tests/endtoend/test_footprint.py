"""What the operator leaves on objects of others (nothing), and what it costs when it has nothing to do (nothing)."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from endtoend.reading import metric
from endtoend.scene import OURS, POLICIES, Resource, Scene, condition, hook_resource, template
from endtoend.waiting import eventually
from localworld.controller import Controller

OUTSIDE = 200
LISTS = (
    "/api/v1/namespaces",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
    "/apis/coordination.k8s.io/v1/leases",
    "/apis/events.k8s.io/v1/events",
    f"{OURS}/promotionpolicies",
    f"{OURS}/promotionrequests",
)
# What the API server itself changes in metadata, and what Kubernetes' controllers do.
CHANGES = {"resourceVersion", "managedFields", "generation"}
REVISION = "deployment.kubernetes.io/revision"


def _mark(resource: Resource) -> Resource:
    """What must stay as its author wrote it: metadata and spec."""
    metadata = {name: value for name, value in resource["metadata"].items() if name not in CHANGES}
    annotations = {name: value for name, value in metadata.pop("annotations", {}).items() if name != REVISION}
    return {"metadata": metadata, "annotations": annotations, "spec": resource["spec"]}


def _workloads(scene: Scene) -> list[Resource]:
    """One of each kind, and a hook, as somebody would apply them."""
    pod = template(scene.image(), restartPolicy="Never")
    selector = {"selector": {"matchLabels": {"app": "checkout"}}}
    served = {"template": template(scene.image()), **selector}
    specs: dict[str, Any] = {
        "Deployment": {"replicas": 0, **served},
        "StatefulSet": {"replicas": 0, "serviceName": "checkout", **served},
        "DaemonSet": served,
        "CronJob": {"suspend": True, "schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": pod}}},
        "Job": {"suspend": True, "template": pod},
    }
    groups = {"CronJob": "batch/v1", "Job": "batch/v1"}
    made: list[Resource] = [
        {
            "apiVersion": groups.get(kind, "apps/v1"),
            "kind": kind,
            "metadata": {"name": f"my-{kind.lower()}", "labels": {"mine": "yes"}, "annotations": {"mine": "too"}},
            "spec": spec,
        }
        for kind, spec in specs.items()
    ]
    return [*made, hook_resource(scene.image())]


def _documents(text: str) -> Iterator[Resource]:
    """The JSON documents that kubectl prints one after the other."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


def test_nothing_is_added_to_any_object_of_anybody_else_but_the_status_of_hooks(scene: Scene) -> None:
    scene.policy()
    namespace_before = _mark(scene.admin.get(f"/api/v1/namespaces/{scene.namespace}"))
    created = scene.world.cluster.kubectl(
        *("create", "--filename=-", "--output=json", f"--namespace={scene.namespace}"),
        stdin=yaml.safe_dump_all(_workloads(scene)),
    )
    before = {each["metadata"]["uid"]: each for each in _documents(created)}
    assert len(before) == 6

    scene.until_job("promote-images", "Complete")
    for each in scene.all("PromotionRequest"):
        scene.until_request(each["metadata"]["name"], "Promoted")

    for uid, as_written in before.items():
        now = scene.get(as_written["kind"], as_written["metadata"]["name"])
        assert now["metadata"]["uid"] == uid
        assert _mark(now) == _mark(as_written)
        writers = [field for field in now["metadata"]["managedFields"] if field["manager"] != "kubectl-create"]
        writers = [field for field in writers if field["manager"] != "kube-controller-manager"]
        assert {field.get("subresource") for field in writers} <= {"status"}, writers
        assert bool(writers) == (now["metadata"]["name"] == "promote-images"), "only hooks have a status from us"
    assert _mark(scene.admin.get(f"/api/v1/namespaces/{scene.namespace}")) == namespace_before


def test_no_trace_of_kopf_is_left_in_the_whole_cluster(scene: Scene) -> None:
    scene.policy()
    scene.deploy(scene.image())
    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    for path in LISTS:
        listed = json.dumps(scene.admin.get(path)["items"])
        assert "kopf" not in listed.lower(), path
    assert "finalizers" not in request["metadata"]
    assert "annotations" not in request["metadata"]
    status_writers = [each for each in request["metadata"]["managedFields"] if each.get("subresource") == "status"]
    assert len(status_writers) == 1


def test_deployments_outside_of_every_policy_cost_no_call(scene: Scene, operator: Controller) -> None:
    # Requests of tests before this one are looked at slowly until they are gone with their namespaces.
    eventually(lambda: scene.admin.get(f"{OURS}/promotionrequests")["items"] == [], "no request is left")
    scene.policy(repositories=["warehouse/*"])
    scene.until_policy(scene.namespace, "True", "Valid")
    # As whom it is at AWS is asked once for a policy, not for what it covers.
    eventually(lambda: condition(scene.admin.get(f"{POLICIES}/{scene.namespace}"), "Identities") or None, "AWS asked")
    judged = metric(operator, "transship_reconciles_total", kind="Deployment", result="not covered")
    before = scene.ledger.rows()
    images = [scene.image(), "quay.example/somebody/else:v1", "nginx", f"{scene.image()}@sha256:{'0' * 64}"]

    with ThreadPoolExecutor(8) as threads:
        numbers = range(OUTSIDE)
        list(threads.map(lambda number: scene.deploy(images[number % 4], name=f"outside-{number}"), numbers))

    eventually(
        lambda: (
            metric(operator, "transship_reconciles_total", kind="Deployment", result="not covered") >= judged + OUTSIDE
        ),
        f"{OUTSIDE} Deployments are judged",
    )
    assert scene.ledger.rows() == before
    assert scene.all("PromotionRequest") == []


def test_the_lease_is_renewed_and_nothing_else_is_written_while_there_is_nothing_to_do(
    scene: Scene, operator: Controller
) -> None:
    scene.policy()
    scene.deploy(scene.image())
    name = scene.request_for("checkout")["metadata"]["name"]
    before = scene.until_request(name, "Promoted")
    lease = "/apis/coordination.k8s.io/v1/namespaces/transship-system/leases/transship"
    renewed = scene.admin.get(lease)["spec"]["renewTime"]
    started = time.monotonic()

    eventually(lambda: scene.admin.get(lease)["spec"]["renewTime"] > renewed, "the Lease is renewed")

    assert time.monotonic() - started < 5
    assert scene.get("PromotionRequest", name)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
