"""What becomes of pods: held while their images are missing, let go when they are there, or will not be."""

import json
import subprocess
import sys
import time
import uuid
from typing import Any

import pytest

from admission import hook as hooks
from admission import pods
from admission.conftest import until_known
from admission.hook import GATE, GATED, Hook
from endtoend.reading import metric
from endtoend.scene import DESTINATION, Resource, Scene, template
from endtoend.waiting import eventually
from localworld.controller import Controller
from localworld.ledger import fault
from metrics.scraping import differences, samples
from transship import __version__
from transship.metrics import REVIEWS
from transship.metrics.families import Process

pytestmark = pytest.mark.usefixtures("operator")
LET_GO = "the pod is let go though images may be missing: "
OTHER = {"name": "example.com/quota"}


def test_a_pod_waits_for_its_missing_image_and_is_free_once_that_is_promoted(covered: Scene) -> None:
    pod = pods.resource(covered.image(), schedulingGates=[OTHER])
    pod["metadata"]["labels"] = {"app": "checkout"}

    made = pods.create(covered, pod)

    assert pods.gates(made) == [OTHER, GATE]
    assert made["metadata"]["labels"] == {"app": "checkout", GATED: "true"}
    free = pods.until_free(covered)
    assert pods.gates(free) == [OTHER], "only our gate is lifted"
    assert free["metadata"]["labels"] == {"app": "checkout"}
    assert covered.digest(covered.image()) == covered.digests["v1.4.2"]
    assert pods.until_told(covered, made, "Promoted")["type"] == "Normal"
    (request,) = covered.requests_of("checkout")
    assert request["spec"]["trigger"]["kind"] == "Pod"


def test_init_containers_wait_too_and_images_of_others_do_not_count(covered: Scene) -> None:
    init = [{"name": "migrate", "image": covered.image("v1.4.1")}]

    made = pods.create(covered, pods.resource("quay.example/somebody/sidecar:v1", initContainers=init))

    assert pods.is_held(made)
    pods.until_free(covered)
    assert covered.tags() == {"v1.4.1"}


def test_a_pod_whose_image_is_there_is_left_alone(covered: Scene, hook: Hook) -> None:
    pods.create(covered, pods.resource(covered.image()))
    pods.until_free(covered)
    before = hook.reviewed("present")

    again = pods.create(covered, pods.resource(covered.image(), name="restarted"))

    assert not pods.gates(again)
    assert "labels" not in again["metadata"]
    assert hook.reviewed("present") == before + 1


def test_a_pod_that_no_policy_covers_is_left_alone(covered: Scene, hook: Hook) -> None:
    before = hook.reviewed("not covered")

    made = pods.create(covered, pods.resource(f"{DESTINATION}/somebody-else/app:v1"))

    assert not pods.gates(made)
    assert hook.reviewed("not covered") == before + 1


def test_the_webhook_serves_the_metrics_of_the_table_and_no_others(covered: Scene, hook: Hook) -> None:
    pods.create(covered, pods.resource(covered.image()))
    pods.until_free(covered)

    text = hook.get("/metrics")

    assert differences(text, Process.ADMISSION) == []
    results = {labels["result"] for name, labels, _ in samples(text) if name == "transship_reviews_total"}
    assert results == set(REVIEWS)
    assert f'transship_build_info{{version="{__version__}"}} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_the_operator_tells_that_it_expects_a_webhook(operator: Controller) -> None:
    assert metric(operator, "transship_admission") == 1


@pytest.mark.parametrize("labels", [{"transship.dev/admission": None}, {"transship.dev/admission": "later"}])
def test_a_namespace_without_the_label_is_left_alone(covered: Scene, labels: dict[str, Any]) -> None:
    covered.admin.patch(f"/api/v1/namespaces/{covered.namespace}", {"metadata": {"labels": labels}})

    def look() -> bool:
        return not pods.is_held(pods.create(covered, pods.resource(covered.image()), "?dryRun=All"))

    eventually(look, "pods of the namespace are left alone", seconds=10)


def test_a_pod_may_be_left_out_by_its_own_label(covered: Scene) -> None:
    pod = pods.resource(covered.image())
    pod["metadata"]["labels"] = {"transship.dev/admission": "disabled"}

    assert not pods.gates(pods.create(covered, pod))


def test_a_pod_that_has_a_node_already_is_left_alone(covered: Scene) -> None:
    assert not pods.gates(pods.create(covered, pods.resource(covered.image(), nodeName="node-1")))


def test_a_dry_run_is_answered_like_the_real_thing_and_leaves_nothing(covered: Scene) -> None:
    made = pods.create(covered, pods.resource(covered.image()), "?dryRun=All")

    assert pods.is_held(made)
    time.sleep(2)
    assert covered.all("PromotionRequest") == []
    assert covered.admin.get(pods.path(covered))["items"] == []


def test_a_refused_image_is_not_waited_for_and_whoever_makes_the_pod_is_told(scene: Scene, asked: Hook) -> None:
    scene.policy(tags={"deny": ["v1.4.1"]})
    until_known(scene)
    cluster = scene.world.cluster
    command = [str(cluster.kubectl_binary), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={scene.namespace}"]

    done = subprocess.run(
        [*command, "create", "--filename=-"],
        input=json.dumps({"apiVersion": "v1", "kind": "Pod", **pods.resource(scene.image("v1.4.1"))}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "Warning: transship: container c0: PromotionPolicy" in done.stderr
    assert "denies the tag v1.4.1" in done.stderr
    assert not pods.gates(scene.admin.get(pods.path(scene, "checkout")))


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "not watched"])
def test_the_pods_of_a_deployment_share_its_request(scene: Scene, asked: Hook, *, watched: bool) -> None:
    scene.policy(watch={"workloads": watched})
    until_known(scene)
    selector = {"selector": {"matchLabels": {"app": "checkout"}}}

    scene.create(
        "Deployment",
        {"metadata": {"name": "checkout"}, "spec": {"replicas": 2, "template": template(scene.image()), **selector}},
    )

    made = eventually(lambda: _two(scene), "two pods")
    for name in made:
        pods.until_free(scene, name)
    assert scene.digest(scene.image()) == scene.digests["v1.4.2"]
    (request,) = scene.all("PromotionRequest")
    assert (request["spec"]["trigger"]["kind"], request["spec"]["trigger"]["name"]) == ("Deployment", "checkout")


def _two(scene: Scene) -> list[str] | None:
    found = [each["metadata"]["name"] for each in scene.admin.get(pods.path(scene))["items"]]
    return found if len(found) == 2 else None


def owned(pod: Resource, api_version: str, kind: str, name: str, uid: str) -> Resource:
    """A pod that says who its controller is."""
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}
    pod["metadata"]["ownerReferences"] = [reference]
    return pod


def test_the_pod_of_an_owner_of_any_kind_is_served(covered: Scene) -> None:
    config = f"/api/v1/namespaces/{covered.namespace}/configmaps"
    owner = covered.admin.create(config, {"metadata": {"name": "owner"}})
    pod = owned(pods.resource(covered.image()), "v1", "ConfigMap", "owner", owner["metadata"]["uid"])

    pods.create(covered, pod)

    pods.until_free(covered)
    assert covered.requests_of("owner") == []
    assert len(covered.requests_of("checkout")) == 1


@pytest.fixture
def patient(scene: Scene, asked: Hook) -> Scene:
    """The scene with a policy that waits for images to appear at the source."""
    scene.policy(sourceGrace="10m", watch={"workloads": False})
    until_known(scene)
    return scene


@pytest.fixture
def collected(scene: Scene) -> None:
    """The garbage collector knows of PromotionRequests, which it looks for every half a minute."""
    scene.request("probe.example/probe:v1", name="probe", suspend=True)
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": str(uuid.uuid4())}
    scene.admin.patch(scene.path("PromotionRequest", "probe"), {"metadata": {"ownerReferences": [gone]}})
    eventually(lambda: scene.find("PromotionRequest", "probe") is None, "the probe is collected", seconds=90)


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("was_there", [True, False], ids=["deleted meanwhile", "never there"])
def test_a_pod_whose_owner_is_gone_is_not_promoted_for_again_and_again(patient: Scene, *, was_there: bool) -> None:
    """The garbage collector deletes what belongs to the owner: the pod, which a finalizer keeps, and a request."""
    uid = str(uuid.uuid4())
    if was_there:
        pod_template = template(patient.image("no-such-tag"), restartPolicy="Never")
        job = {"metadata": {"name": "gone"}, "spec": {"suspend": True, "template": pod_template}}
        uid = patient.create("Job", job)["metadata"]["uid"]
    pod = owned(pods.resource(patient.image("no-such-tag")), "batch/v1", "Job", "gone", uid)
    pod["metadata"]["finalizers"] = ["example.com/stay"]
    pods.create(patient, pod)
    if was_there:
        patient.request_for("gone")
        patient.admin.delete(patient.path("Job", "gone"), {"propagationPolicy": "Background"})

    def is_going() -> bool:
        return "deletionTimestamp" in patient.admin.get(pods.path(patient, "checkout"))["metadata"]

    eventually(is_going, "the garbage collector wants the pod gone")
    made, until = set(), time.monotonic() + 5
    while time.monotonic() < until:
        made |= {each["metadata"]["uid"] for each in patient.all("PromotionRequest")}
        time.sleep(0.02)

    patient.admin.patch(pods.path(patient, "checkout"), {"metadata": {"finalizers": None}})
    assert len(made) <= 2


def test_a_pod_that_names_a_hook_as_its_owner_has_no_part_in_its_request(patient: Scene) -> None:
    image = patient.image("no-such-tag")
    job = patient.hook(image)

    pods.create(patient, owned(pods.resource(image), "batch/v1", "Job", "promote-images", job["metadata"]["uid"]))

    assert patient.request_for("checkout")["spec"]["trigger"]["kind"] == "Pod"
    (request,) = patient.requests_of("promote-images")
    assert "ownerReferences" not in request["metadata"]


def test_a_pod_whose_promotion_stalls_is_let_go_with_a_warning(covered: Scene) -> None:
    made = pods.create(covered, pods.resource(covered.image("v9.9.9")))
    assert pods.is_held(made)

    pods.until_free(covered)

    event = pods.until_told(covered, made, "SourceMissing", LET_GO)
    assert event["type"] == "Warning"
    assert "push it there or name a tag that exists" in event["note"]


def test_a_pod_is_held_no_longer_than_its_policy_allows(scene: Scene, asked: Hook) -> None:
    scene.policy(sourceGrace="10m", admission={"maxHold": "4s"})
    until_known(scene)

    made = pods.create(scene, pods.resource(scene.image("v9.9.9")))

    assert pods.is_held(made)
    time.sleep(1.5)
    assert pods.is_held(scene.admin.get(pods.path(scene, "checkout")))
    pods.until_free(scene, seconds=10)
    event = pods.until_told(scene, made, "Timeout", LET_GO)
    assert (event["type"], "within 4 s (spec.admission.maxHold)" in event["note"]) == ("Warning", True)


def test_a_pod_that_no_policy_covers_any_longer_is_let_go_with_a_warning(scene: Scene, asked: Hook) -> None:
    policy = scene.policy(sourceGrace="10m")["metadata"]["name"]
    until_known(scene)
    made = pods.create(scene, pods.resource(scene.image("v9.9.9")))
    pods.until_told(scene, made, "Promoting")

    scene.forget_policy(policy)

    pods.until_free(scene)
    assert pods.until_told(scene, made, "NotCovered", LET_GO)["type"] == "Warning"


def test_a_verdict_from_before_a_pod_asked_does_not_hold_for_it(covered: Scene) -> None:
    """The request of that name stalled an hour ago; the image has been pushed since."""
    image = covered.image("v3.0.0")
    pods.create(covered, pods.resource(image))
    pods.until_free(covered)
    covered.admin.delete(pods.path(covered, "checkout"), {"gracePeriodSeconds": 0})
    eventually(lambda: not covered.admin.get(pods.path(covered))["items"], "the first pod is gone")
    covered.world.push_sample(["v3.0.0"])

    made = pods.create(covered, pods.resource(image))

    assert pods.is_held(made)
    pods.until_free(covered)
    assert covered.tags() == {"v3.0.0"}


def test_gates_are_lifted_when_the_webhook_and_its_configuration_are_gone(covered: Scene, operator: Controller) -> None:
    """Also one without the label, which no watch tells of: the sweep finds it."""
    cluster = covered.world.cluster
    told = cluster.admin.get(f"{hooks.CONFIGURATIONS}/{hooks.CONFIGURATION}")
    operator.kill()
    try:
        made = pods.create(covered, pods.resource(covered.image()))
        hooks.forget(cluster)
        unlabelled = pods.create(
            covered, pods.resource("elsewhere.example/app:v1", name="stray", schedulingGates=[GATE])
        )
        assert pods.is_held(made)
        assert pods.gates(unlabelled) == [GATE]
    finally:
        hooks.configure(cluster, {"metadata": {"name": hooks.CONFIGURATION}, "webhooks": told["webhooks"]})
        operator.start()

    pods.until_free(covered)
    eventually(lambda: not pods.gates(covered.admin.get(pods.path(covered, "stray"))), "the stray gate is lifted")
    assert covered.digest(covered.image()) == covered.digests["v1.4.2"]


def test_release_takes_our_gates_off_every_pod(scene: Scene) -> None:
    pod = pods.resource("elsewhere.example/app:v1", schedulingGates=[OTHER, GATE])
    pod["metadata"]["labels"] = {GATED: "yes"}
    pods.create(scene, pod)

    done = subprocess.run(
        [sys.executable, "-m", "transship", "admission", "--release"],
        env=scene.world.controller_env(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" pods released\n")
    freed = scene.admin.get(pods.path(scene, "checkout"))
    assert pods.gates(freed) == [OTHER]
    assert GATED not in freed["metadata"].get("labels", {})


def test_a_dead_webhook_lets_pods_start_as_without_it(covered: Scene, hook: Hook) -> None:
    hook.kill()
    try:
        started = time.monotonic()
        made = pods.create(covered, pods.resource(covered.image()))
        assert time.monotonic() - started < 2.5
    finally:
        hook.start()
    assert not pods.gates(made)


def test_a_slow_registry_lets_pods_start_within_about_a_second(covered: Scene, hook: Hook) -> None:
    before = hook.reviewed("failed open")
    with fault(covered.world.registries, "stall", action="BatchGetImage", times=0, seconds=8):
        started = time.monotonic()
        made = pods.create(covered, pods.resource(covered.image("v1.5.0")))
        took = time.monotonic() - started

    assert not pods.gates(made)
    assert took < 1.8
    assert hook.reviewed("failed open") == before + 1
