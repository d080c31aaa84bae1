"""The ways around the hook, and mistakes in one: each is told where people look, and what can be mended is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from endtoend.reading import metric
from endtoend.scene import Resource, Scene, condition, hook_resource, template
from endtoend.waiting import eventually
from localworld import paths
from localworld.controller import Controller
from localworld.world import World

TRACKING = "argocd.argoproj.io/tracking-id"
RIGHTS = str(paths.REPOSITORY / "manifests" / "waiting-pods")


def _hook(scene: Scene, *images: str, name: str = "promote-images", **annotations: str) -> Resource:
    resource = hook_resource(*images, name=name)
    resource["metadata"]["annotations"] |= {TRACKING: f"shop:batch/Job:{scene.namespace}/{name}"} | annotations
    return scene.create("Job", resource)


def _deployment(scene: Scene, *images: str, name: str = "checkout", replicas: int = 0) -> Resource:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(*images, app=name)}
    annotations = {TRACKING: f"shop:apps/Deployment:{scene.namespace}/{name}"}
    return scene.create("Deployment", {"metadata": {"name": name, "annotations": annotations}, "spec": spec})


def _event(scene: Scene, uid: str, reason: str) -> Resource:
    def look() -> Resource | None:
        return next((each for each in scene.events_of(uid) if each["reason"] == reason), None)

    return eventually(look, f"an event {reason} on {uid}")


def _finding(scene: Scene, name: str, kind: str, status: str) -> Resource:
    def look() -> Resource | None:
        found = condition(scene.get("PromotionRequest", name), kind)
        return found if found.get("status") == status else None

    return eventually(look, f"{kind}={status} on {name}")


# --- options


def test_a_hook_says_by_annotations_how_long_to_try_by_which_policy_and_from_which_revision(scene: Scene) -> None:
    scene.policy()
    options = {"timeout": "5m", "policy": scene.namespace, "revision": "3f2c9d1"}
    _hook(scene, scene.image(), **{f"transship.dev/{name}": value for name, value in options.items()})

    scene.until_job("promote-images", "Complete")

    (request,) = scene.requests_of("promote-images")
    assert (request["spec"]["timeout"], request["spec"]["policy"]) == ("5m", scene.namespace)
    assert (request["spec"]["trigger"]["application"], request["spec"]["trigger"]["revision"]) == ("shop", "3f2c9d1")
    row = scene.world.cluster.kubectl("get", "promotionrequests.transship.dev", f"--namespace={scene.namespace}")
    assert row.splitlines()[1].split()[-3:-1] == ["promote-images", "shop"]


@pytest.mark.parametrize(
    ("annotation", "value", "reason", "words"),
    [
        ("timeout", "a while", "InvalidRequest", "annotation transship.dev/timeout is 'a while'; write a duration"),
        ("policy", "another", "NotCovered", "PromotionPolicy another, which the request names, does not let namespace"),
        ("policy", "p" * 300, "InvalidRequest", "annotation transship.dev/policy has 300 characters"),
    ],
    ids=["a time-out that is none", "a policy that does not exist", "a policy name that none can have"],
)
def test_a_hook_with_a_bad_option_fails_with_a_sentence(
    scene: Scene, annotation: str, value: str, reason: str, words: str
) -> None:
    scene.policy()
    hook = _hook(scene, scene.image(), **{f"transship.dev/{annotation}": value})

    failed = scene.until_job("promote-images", "Failed")

    assert failed["reason"] == reason
    assert words in failed["message"]
    assert words in _event(scene, hook["metadata"]["uid"], reason)["note"], "the reason outlives the hook"


def test_the_policy_that_a_hook_names_settles_which_of_two_is_meant(scene: Scene) -> None:
    scene.policy()
    scene.policy("other", referrers="Ignore")
    _hook(scene, scene.image(), name="undecided")
    _hook(scene, scene.image(), name="decided", **{"transship.dev/policy": f"{scene.namespace}-other"})

    assert scene.until_job("undecided", "Failed")["reason"] == "PolicyAmbiguous"
    scene.until_job("decided", "Complete")
    (request,) = scene.requests_of("decided")
    assert request["status"]["policy"] == f"{scene.namespace}-other"


def test_the_images_of_init_containers_are_promoted_with_the_others(scene: Scene) -> None:
    scene.policy()
    resource = hook_resource(scene.image())
    pod = resource["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "migrate", "image": scene.image("v1.5.0")}]
    scene.create("Job", resource)

    assert "2 images promoted" in scene.until_job("promote-images", "Complete")["message"]
    assert scene.tags() == {"v1.4.2", "v1.5.0"}


def test_a_hook_with_a_bad_image_string_fails_and_says_how_to_write_it(scene: Scene) -> None:
    scene.policy()
    _hook(scene, f"{scene.image('v1')}!")

    failed = scene.until_job("promote-images", "Failed")

    assert failed["reason"] == "InvalidImage"
    assert "write registry/repository:tag" in failed["message"]


def test_a_hook_that_forgot_managed_by_is_told_and_its_image_is_promoted_all_the_same(scene: Scene) -> None:
    scene.policy()
    resource = hook_resource(scene.image())
    del resource["spec"]["managedBy"]
    resource["metadata"]["annotations"]["transship.dev/hook"] = "true"
    job = scene.create("Job", resource)

    told = _event(scene, job["metadata"]["uid"], "ManagedByMissing")

    assert told["type"] == "Warning"
    assert "write spec.managedBy: transship.dev/promotion" in told["note"]
    scene.until_request(scene.request_for("promote-images")["metadata"]["name"], "Promoted")


# --- what a hook leaves out, and syncs that do not wait


def test_an_image_that_the_hook_leaves_out_is_told_until_the_hook_names_it(scene: Scene, operator: Controller) -> None:
    scene.policy()
    _hook(scene, scene.image())
    scene.until_job("promote-images", "Complete")
    before = metric(operator, "transship_uncovered_total")

    deployment = _deployment(scene, scene.image(), scene.image("v1.5.0"))

    note = _event(scene, deployment["metadata"]["uid"], "Uncovered")["note"]
    assert f"does not name the image of c1 ({scene.image('v1.5.0')})" in note
    assert "add the container to the hook" in note
    (request,) = scene.requests_of("promote-images")
    found = _finding(scene, request["metadata"]["name"], "Uncovered", "True")
    assert f"Deployment {scene.namespace}/checkout container c1" in found["message"]
    assert metric(operator, "transship_uncovered_total") == before + 1
    # It arrives all the same, as the workload is watched.
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")

    scene.admin.delete(scene.path("Job", "promote-images"), {"propagationPolicy": "Background"})
    _hook(scene, scene.image(), scene.image("v1.5.0"))
    scene.until_job("promote-images", "Complete")
    path = scene.path("Deployment", "checkout")
    scene.admin.patch(path, {"spec": {"template": {"spec": {"containers": [{"name": "c1", "image": scene.image()}]}}}})

    _finding(scene, request["metadata"]["name"], "Ready", "True")
    _finding(scene, request["metadata"]["name"], "Uncovered", "False")
    newest = scene.requests_of("promote-images")[-1]["metadata"]["name"]
    assert condition(scene.get("PromotionRequest", newest), "Uncovered").get("status", "False") == "False"


def test_it_is_taken_back_when_the_workload_that_was_left_out_is_deleted(scene: Scene) -> None:
    scene.policy()
    _hook(scene, scene.image())
    scene.until_job("promote-images", "Complete")
    _deployment(scene, scene.image("v1.5.0"), name="worker")
    (request,) = scene.requests_of("promote-images")
    _finding(scene, request["metadata"]["name"], "Uncovered", "True")

    scene.admin.delete(scene.path("Deployment", "worker"))

    _finding(scene, request["metadata"]["name"], "Uncovered", "False")


def _by_argo_cd(scene: Scene, image: str, name: str, **metadata: Any) -> Resource:
    annotations = {TRACKING: f"shop:transship.dev/PromotionRequest:{scene.namespace}/{name}"}
    resource = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": name, "annotations": annotations | metadata.pop("annotations", {}), **metadata},
        "spec": {"containers": [{"name": "c0", "image": image}]},
    }
    return scene.create("PromotionRequest", resource)


def test_a_request_that_was_a_hook_and_is_let_go_before_its_end_says_that_nobody_waited(scene: Scene) -> None:
    scene.policy(sourceGrace="60s")
    hook = {"argocd.argoproj.io/hook": "PreSync"}
    held = ["argocd.argoproj.io/hook-finalizer"]
    kept = _by_argo_cd(scene, scene.image("late"), "kept", annotations=hook, finalizers=held)
    gone = _by_argo_cd(scene, scene.image("late"), "let-go", annotations=hook, finalizers=held)
    scene.until_request("let-go", "Retrying", "SourceNotYetThere")

    scene.admin.patch(scene.path("PromotionRequest", "let-go"), {"metadata": {"finalizers": None}})

    found = _finding(scene, "let-go", "GateNotEnforced", "True")
    assert "argocd-cm lacks the health check for PromotionRequests" in found["message"]
    assert _event(scene, gone["metadata"]["uid"], "GateNotEnforced")["type"] == "Warning"
    assert not condition(scene.get("PromotionRequest", "kept"), "GateNotEnforced"), "Argo CD still holds this one"
    scene.admin.patch(scene.path("PromotionRequest", "kept"), {"metadata": {"finalizers": None}})
    assert kept["metadata"]["name"] == "kept"


def test_a_request_in_an_earlier_wave_that_a_workload_overtakes_says_so(scene: Scene) -> None:
    scene.policy(sourceGrace="60s")
    _by_argo_cd(scene, scene.image("late"), "images")
    scene.until_request("images", "Retrying", "SourceNotYetThere")

    _deployment(scene, scene.image("late"))

    found = _finding(scene, "images", "GateNotEnforced", "True")
    assert f"Deployment {scene.namespace}/checkout names {scene.image('late')} already" in found["message"]
    assert scene.get("PromotionRequest", "images")["status"]["application"] == "shop"


def test_a_workload_that_runs_an_image_the_policy_forbids_is_reported_and_not_touched(
    scene: Scene, world: World
) -> None:
    policy = scene.policy()
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")
    path = f"/apis/transship.dev/v1alpha1/promotionpolicies/{policy['metadata']['name']}"
    world.cluster.admin.patch(path, {"spec": {"tags": {"deny": ["v1.4.*"]}}})
    deployment = scene.deploy(scene.image())

    request = scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Stalled", "TagDenied")

    assert "denies the tag v1.4.2" in condition(request, "Ready")["message"]
    assert _event(scene, deployment["metadata"]["uid"], "TagDenied")["type"] == "Warning"
    assert scene.get("Deployment", "checkout")["spec"] == deployment["spec"]


# --- pods that wait


@pytest.fixture
def rights(world: World) -> Iterator[None]:
    """The operator may look at pods and evict them."""
    world.cluster.kubectl("apply", "--server-side", f"--kustomize={RIGHTS}")
    yield
    world.cluster.kubectl("delete", f"--kustomize={RIGHTS}")


def _pods(scene: Scene, app: str) -> dict[str, Resource]:
    path = f"/api/v1/namespaces/{scene.namespace}/pods"
    listed = scene.admin.get(path)["items"]
    return {each["metadata"]["uid"]: each for each in listed if each["metadata"]["labels"]["app"] == app}


def _waits(scene: Scene, app: str, reason: str = "ImagePullBackOff") -> Resource:
    """The pod of a Deployment, once the status says what a kubelet would say that cannot pull its image."""
    (pod,) = eventually(lambda: _pods(scene, app), f"the pod of {app}").values()
    image = pod["spec"]["containers"][0]["image"]
    state = {"name": "c0", "image": image, "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [state | {"state": {"waiting": {"reason": reason}}}]}
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod['metadata']['name']}/status"
    return scene.admin.patch(path, {"status": status})


@pytest.mark.usefixtures("rights")
def test_pods_that_wait_for_what_was_promoted_are_made_anew_and_no_others(scene: Scene, operator: Controller) -> None:
    before = metric(operator, "transship_pods_recreated_total")
    scene.policy(watch={"workloads": False, "recreateWaitingPods": True})
    for app, image in (("waiting", "v1.4.2"), ("elsewhere", "v9.9.9"), ("starting", "v1.4.2")):
        _deployment(scene, scene.image(image), name=app, replicas=1)
    waiting, elsewhere = _waits(scene, "waiting"), _waits(scene, "elsewhere")
    starting = _waits(scene, "starting", "ContainerCreating")

    request = scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")

    def look() -> bool:
        left = _pods(scene, "waiting")
        return bool(left) and waiting["metadata"]["uid"] not in left

    eventually(look, "a new pod in the place of the one that waited")
    note = _event(scene, request["metadata"]["uid"], "PodRecreated")["note"]
    assert f"pod {waiting['metadata']['name']} waited for {scene.image()}" in note
    eventually(lambda: metric(operator, "transship_pods_recreated_total") == before + 1, "one was counted")
    assert set(_pods(scene, "elsewhere")) == {elsewhere["metadata"]["uid"]}
    assert set(_pods(scene, "starting")) == {starting["metadata"]["uid"]}


@pytest.mark.usefixtures("rights")
def test_a_pod_that_waits_for_what_was_there_all_the_time_lacks_something_else_and_stays(scene: Scene) -> None:
    # Pushed by somebody else, long ago: no request has written it.
    scene.world.push_sample(["v1"], f"{scene.prefix}present")
    scene.policy(watch={"workloads": False, "recreateWaitingPods": True})
    scene.request(scene.image("v1", name=f"{scene.prefix}present"), name="brings-it")
    scene.until_request("brings-it", "Promoted")
    scene.admin.delete(scene.path("PromotionRequest", "brings-it"))
    _deployment(scene, scene.image("v1", name=f"{scene.prefix}present"), replicas=1)
    waiting = _waits(scene, "checkout")
    _deployment(scene, scene.image(), name="other", replicas=1)
    other = _waits(scene, "other")

    scene.request(scene.image("v1", name=f"{scene.prefix}present"), scene.image(), name="again")
    scene.until_request("again", "Promoted")

    # The pods of one request are looked at together.
    eventually(lambda: other["metadata"]["uid"] not in _pods(scene, "other"), "the pod that waited for it is gone")
    assert set(_pods(scene, "checkout")) == {waiting["metadata"]["uid"]}


@pytest.mark.usefixtures("rights")
def test_pods_are_left_alone_when_the_policy_does_not_ask_for_it(scene: Scene) -> None:
    scene.policy(watch={"workloads": False})
    _deployment(scene, scene.image(), replicas=1)
    waiting = _waits(scene, "checkout")

    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    scene.request(scene.image("v1.5.0"), name="afterwards")
    scene.until_request("afterwards", "Promoted")

    assert set(_pods(scene, "checkout")) == {waiting["metadata"]["uid"]}


def test_without_the_rights_the_request_says_which_are_missing(scene: Scene) -> None:
    scene.policy(watch={"workloads": False, "recreateWaitingPods": True})

    request = scene.request(scene.image())

    note = _event(scene, request["metadata"]["uid"], "Denied")["note"]
    assert "pods that wait are not made anew" in note
    assert "check the operator's RBAC" in note, json.dumps(note)
    scene.until_request("by-hand", "Promoted")
