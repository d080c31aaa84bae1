"""Under the gate a workload comes in when its images have been promoted, and what runs is left alone."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from endtoend.scene import Resource, hook_resource, template
from endtoend.waiting import eventually
from gate.scene import GatedScene
from localworld.apiserver import ApiError
from localworld.controller import USER, Controller

ELSEWHERE = "quay.example/somebody/sidecar:v1"


def deployment(*images: str, name: str = "checkout", replicas: int = 0, **pod: Any) -> Resource:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": template(*images, app=name, **pod),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def object_of(kind: str, image: str) -> Resource:
    """An object of a kind whose pods run an image."""
    apps = {"selector": {"matchLabels": {"app": "checkout"}}, "template": template(image)}
    once = {"template": template(image, restartPolicy="Never")}
    api_version, spec = {
        "Deployment": ("apps/v1", apps),
        "StatefulSet": ("apps/v1", {**apps, "serviceName": "checkout"}),
        "DaemonSet": ("apps/v1", apps),
        "ReplicaSet": ("apps/v1", apps),
        "ReplicationController": ("v1", {"replicas": 0, "selector": {"app": "checkout"}, "template": template(image)}),
        "Job": ("batch/v1", once),
        "CronJob": ("batch/v1", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": once}}),
        "Pod": ("v1", template(image)["spec"]),
    }[kind]
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "checkout"}, "spec": spec}


KINDS = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod"]


def test_a_workload_is_refused_until_its_hook_has_promoted_what_it_names(scene: GatedScene) -> None:
    scene.ask_for_gate()

    refused = scene.refusal(deployment(scene.image()))
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")

    # At once: whoever is told that the promotion is complete goes on with the workload.
    assert scene.refusal(deployment(scene.image())) == ""
    assert (
        'deployments.apps "checkout" is forbidden: '
        "ValidatingAdmissionPolicy 'transship-gate' with binding 'transship-gate' denied request: "
        f"image {scene.image()} is not promoted for namespace {scene.namespace}; sync with the promotion hook, or "
        "create a PromotionRequest that names it, wait until it is Ready and try again "
        f"(kubectl get primg transship -n {scene.namespace} -o yaml lists what is promoted)"
    ) in refused


def test_the_list_is_written_before_the_hook_and_the_request_are_told(scene: GatedScene) -> None:
    scene.ask_for_gate()

    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")

    (request,) = scene.requests_of("promote-images")
    assert scene.image() in scene.listed()
    written = [scene.find_list(), request, scene.get("Job", "promote-images")]
    # All kinds count their versions together.
    versions = [int(each["metadata"]["resourceVersion"]) for each in written if each is not None]
    assert versions == sorted(versions)


def test_what_a_request_has_promoted_may_be_written_as_it_was_asked_for_and_pinned(scene: GatedScene) -> None:
    scene.ask_for_gate()
    digest = scene.digests["v1.4.2"]
    repository = scene.image().removesuffix(":v1.4.2")

    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")

    pinned, both = f"{repository}@{digest}", f"{scene.image()}@{digest}"
    assert scene.listed() == dict.fromkeys([scene.image(), pinned, both], digest)
    for number, image in enumerate((scene.image(), pinned, both)):
        assert scene.refusal(deployment(image, name=f"d{number}")) == ""
    other = f"{repository}@{scene.digests['v1.5.0']}"
    assert f"image {other} is not promoted" in scene.refusal(deployment(other, name="other"))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_makes_pods_is_held_to_the_list(scene: GatedScene, kind: str) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")

    assert f"image {scene.image('v1.5.0')} is not promoted" in scene.refusal(object_of(kind, scene.image("v1.5.0")))
    assert scene.refusal(object_of(kind, scene.image())) == ""


def test_every_container_counts_and_the_message_says_how_many_more(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    init = {"initContainers": [{"name": "migrate", "image": scene.image("v1.5.0")}]}

    assert f"image {scene.image('v1.5.0')} is not promoted" in scene.refusal(deployment(scene.image(), **init))
    assert f"image {ELSEWHERE} (and 1 more) is not promoted" in scene.refusal(deployment(ELSEWHERE, "x.example/y:v1"))


def test_a_container_added_for_debugging_is_held_to_the_list(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.request(scene.image())
    scene.until_request("by-hand", "Promoted")
    eventually(lambda: scene.admin.get(f"/api/v1/namespaces/{scene.namespace}/serviceaccounts/default"), "an account")
    scene.kubectl("create", "-f=-", stdin=json.dumps(object_of("Pod", scene.image())))
    path = f"/api/v1/namespaces/{scene.namespace}/pods/checkout/ephemeralcontainers"

    def debug(image: str) -> Resource:
        pod = scene.admin.get(path.removesuffix("/ephemeralcontainers"))
        pod["spec"]["ephemeralContainers"] = [{"name": "debug", "image": image, "terminationMessagePolicy": "File"}]
        return scene.admin.replace(path, pod)

    with pytest.raises(ApiError, match=f"image {ELSEWHERE} is not promoted"):
        debug(ELSEWHERE)
    debug(scene.image())


def test_an_image_that_is_not_promoted_cannot_be_set_and_everything_else_can_be_changed(scene: GatedScene) -> None:
    old = deployment(scene.image("v1.4.1"), ELSEWHERE)
    scene.kubectl("create", "-f=-", stdin=json.dumps(old))
    scene.ask_for_gate()

    refused = scene.refusal_of("set", "image", "deployment/checkout", f"c0={scene.image('v1.5.0')}")

    assert f"image {scene.image('v1.5.0')} is not promoted for namespace {scene.namespace}" in refused
    scene.kubectl("scale", "deployment/checkout", "--replicas=1")
    scene.kubectl("patch", "deployment/checkout", "--type=merge", '-p={"spec": {"replicas": 0}}')
    scene.kubectl("label", "deployment/checkout", "team=shop")
    scene.kubectl("set", "env", "deployment/checkout", "LEVEL=debug")
    scene.kubectl("rollout", "restart", "deployment/checkout")


def test_self_heal_puts_back_a_workload_that_was_deleted(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")
    assert scene.refusal(deployment(scene.image())) == ""

    scene.kubectl("delete", "deployment/checkout", "--wait")

    assert scene.refusal(deployment(scene.image())) == ""


def test_a_namespace_that_asks_for_the_gate_later_keeps_what_runs(scene: GatedScene) -> None:
    scene.deploy(scene.image())
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    scene.kubectl("create", "-f=-", stdin=json.dumps(deployment(scene.image(), ELSEWHERE, name="old", replicas=1)))
    scene.kubectl("delete", "promotionrequests.transship.dev", "--all", "--wait")

    scene.ask_for_gate()

    eventually(lambda: scene.image() in scene.listed(), "an image that is there and that a workload names is listed")
    # Its pods come and go, though one image is nobody's to promote.
    gone = scene.kubectl("delete", "pod", "-l=app=old", "-o=name")
    assert eventually(lambda: scene.kubectl("get", "pod", "-l=app=old", "-o=name"), "another pod") not in {"", gone}
    assert scene.refusal(deployment(scene.image(), name="again")) == ""
    assert f"image {ELSEWHERE} is not promoted" in scene.refusal(deployment(scene.image(), ELSEWHERE, name="more"))


def test_with_warn_a_workload_comes_in_with_a_warning(scene: GatedScene) -> None:
    scene.ask_for_gate("warn")
    spec = json.dumps(deployment(scene.image("v9.9.9")))

    with pytest.raises(Exception, match=f"image {scene.image('v9.9.9')} is not promoted"):
        scene.kubectl("create", "--warnings-as-errors", "-f=-", stdin=spec)

    assert scene.get("Deployment", "checkout")


def test_without_the_label_the_list_goes_and_everything_comes_in(scene: GatedScene) -> None:
    scene.ask_for_gate()
    assert scene.refusal(deployment(ELSEWHERE)) != ""

    scene.ask_for_gate(None)

    assert eventually(lambda: scene.refusal(deployment(ELSEWHERE)) == "", "nothing is refused")


def test_a_dry_run_is_not_refused(scene: GatedScene) -> None:
    scene.ask_for_gate()

    scene.kubectl("create", "--dry-run=server", "-f=-", stdin=json.dumps(deployment(ELSEWHERE)))

    assert scene.find("Deployment", "checkout") is None


def test_the_hook_and_requests_come_in_before_there_is_a_list(scene: GatedScene) -> None:
    """Nobody keeps lists for a namespace in which nothing was asked for yet: as if the operator were down."""
    namespace = f"/api/v1/namespaces/{scene.namespace}"
    scene.admin.patch(namespace, {"metadata": {"labels": {"transship.dev/gate": "enforce"}}})

    assert scene.refusal(hook_resource(scene.image())) == ""
    scene.request(scene.image())
    scene.until_job("promote-images", "Complete")


def test_a_gated_namespace_can_be_deleted(scene: GatedScene) -> None:
    scene.ask_for_gate()
    scene.hook(scene.image())
    scene.until_job("promote-images", "Complete")
    held = deployment(scene.image())
    held["metadata"]["finalizers"] = ["example.com/held"]
    assert scene.refusal(held) == ""

    scene.admin.delete(f"/api/v1/namespaces/{scene.namespace}")
    eventually(lambda: scene.find_list() is None, "the list goes with the namespace")
    scene.kubectl("patch", "deployment/checkout", "--type=merge", '-p={"metadata": {"finalizers": null}}')

    eventually(lambda: scene.find("Deployment", "checkout") is None, "the workload goes, too")


@pytest.fixture
def exempt(scene: GatedScene) -> Iterator[str]:
    """The beginning of references that nobody promotes, as an installation says it."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/transship-gate"
    policy = scene.admin.get(path)
    variables = policy["spec"]["variables"]
    beginning = f"quay.example/{scene.namespace}/"
    scene.admin.patch(
        path, {"spec": {"variables": [{"name": "exempt", "expression": f"['{beginning}']"}, *variables[1:]]}}
    )
    yield beginning
    scene.admin.patch(path, {"spec": {"variables": variables}})


def test_what_nobody_promotes_can_be_let_in_by_how_it_begins(scene: GatedScene, exempt: str) -> None:
    scene.ask_for_gate()

    eventually(lambda: scene.refusal(deployment(f"{exempt}sidecar:v1")) == "", "the exemption counts")

    assert f"image {ELSEWHERE} is not promoted" in scene.refusal(deployment(ELSEWHERE, name="other"))
    assert f"image x{exempt}a:v1 is not promoted" in scene.refusal(deployment(f"x{exempt}a:v1", name="another"))


def test_a_full_list_and_the_largest_pod_are_within_what_the_api_server_spends(
    scene: GatedScene, operator: Controller
) -> None:
    scene.ask_for_gate()
    operator.kill()  # or it would correct the list
    digest = scene.digests["v1.4.2"]
    references = {f"{scene.image(f'v{number}')}@{digest}": digest for number in range(3500)}
    found = scene.find_list()
    assert found is not None
    found["spec"]["references"] = references
    found["metadata"].pop("managedFields")
    written = scene.kubectl("replace", f"--as={USER}", "-f=-", "-o=json", stdin=json.dumps(found))
    images = [*list(references)[-60:], *(f"quay.example/sidecar:v{number}" for number in range(4))]

    version = json.loads(written)["metadata"]["resourceVersion"]
    assert len(json.loads(written)["spec"]["references"]) == 3500
    refused = eventually(lambda: _of_list(scene, images), f"the list of version {version} counts")
    operator.start()

    assert "image quay.example/sidecar:v0 (and 3 more) is not promoted" in refused


def _of_list(scene: GatedScene, images: list[str]) -> str:
    """What a Deployment of these images is told, once the API server holds it to a list that has the first."""
    told = scene.refusal(deployment(*images))
    return told if images[0] not in told else ""
