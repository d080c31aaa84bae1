"""Where the policy finds images, also where this API server would drop the field before anybody looks.

The policy's own expressions are put upon a kind whose schema takes everything.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from endtoend.waiting import eventually
from gate.scene import COMPONENT
from localworld.cluster import Cluster
from localworld.controller import Controller
from localworld.errors import WorldError
from manifests import asking
from transship.promotion.promoted import to_resource

GROUP = "shapes.gate.example"
LISTED, OTHER = "registry.example/shop/listed:v1", "registry.example/shop/other:v1"
CONTAINER = {"name": "app", "image": LISTED}


def _definition() -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": "Shape", "listKind": "ShapeList", "plural": "shapes", "singular": "shape"}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"shapes.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _policy() -> list[dict[str, Any]]:
    """The policy and a binding, as they are but for what they match."""
    rules = [{"apiGroups": [GROUP], "apiVersions": ["*"], "resources": ["shapes"], "operations": ["CREATE", "UPDATE"]}]
    found = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all((COMPONENT / "policy.yaml").read_text())
    }
    policy = found["ValidatingAdmissionPolicy", "transship-gate"]
    binding = found["ValidatingAdmissionPolicyBinding", "transship-gate"]
    policy["metadata"]["name"] = binding["metadata"]["name"] = binding["spec"]["policyName"] = "shapes-gate"
    policy["spec"]["matchConstraints"] = {"resourceRules": rules}
    del binding["spec"]["matchResources"]
    return [policy, binding]


@pytest.fixture(scope="module")
def shapes(gate: Cluster, operator: Controller) -> Iterator[Cluster]:
    """The policy in force for shapes in the namespace `gate-shapes`, where one reference is listed."""
    operator.kill()  # it deletes the lists of namespaces that have no label
    gate.kubectl("apply", "--server-side", "-f=-", stdin=json.dumps(_definition()))
    gate.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/shapes.{GROUP}")
    gate.kubectl("create", "namespace", "gate-shapes")
    listed = to_resource("gate-shapes", {LISTED: ""})
    gate.kubectl("create", f"--as={asking.OPERATOR}", "-f=-", stdin=json.dumps(listed))
    for each in _policy():
        gate.kubectl("apply", "--server-side", "-f=-", stdin=json.dumps(each))
    eventually(lambda: "is not promoted" in refusal(gate, {"containers": [{"image": OTHER}]}), "the policy counts")
    yield gate
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        gate.kubectl("delete", kind, "shapes-gate")
    gate.kubectl("delete", "--wait=false", "namespace/gate-shapes", f"crd/shapes.{GROUP}")
    operator.start()


def refusal(cluster: Cluster, spec: dict[str, Any]) -> str:
    shape = {"apiVersion": f"{GROUP}/v1", "kind": "Shape", "metadata": {"generateName": "shape-"}, "spec": spec}
    try:
        cluster.kubectl("create", "-n=gate-shapes", "-f=-", "--validate=false", stdin=json.dumps(shape))
    except WorldError as error:
        return str(error)
    return ""


def wrapped(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    template = {"template": {"spec": pod}}
    return {"Pod": pod, "Deployment": template, "CronJob": {"jobTemplate": {"spec": template}}}[kind]


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
@pytest.mark.parametrize(
    "place",
    [
        {"containers": [{"name": "x", "image": OTHER}]},
        {"containers": [CONTAINER, {"name": "x", "image": OTHER}]},
        {"initContainers": [{"name": "x", "image": OTHER}]},
        {"ephemeralContainers": [{"name": "x", "image": OTHER}]},
        {"volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "model", "image": {"reference": OTHER}}]},
    ],
    ids=["container", "another container", "init container", "ephemeral container", "image volume"],
)
def test_an_image_is_found_wherever_a_pod_names_one(shapes: Cluster, kind: str, place: dict[str, Any]) -> None:
    told = refusal(shapes, wrapped({"containers": [CONTAINER], **place}, kind))

    assert f"image {OTHER} is not promoted for namespace gate-shapes; sync with" in told


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
def test_what_is_listed_comes_in_wherever_it_is(shapes: Cluster, kind: str) -> None:
    volumes = [{"name": "model", "image": {"reference": LISTED}}, {"name": "late", "image": {}}, {"name": "tmp"}]
    pod = {"containers": [CONTAINER, {"name": "later"}], "initContainers": [CONTAINER], "volumes": volumes}

    assert refusal(shapes, wrapped(pod, kind)) == ""


def test_an_image_with_a_line_break_is_refused_without_repeating_it(shapes: Cluster) -> None:
    told = refusal(shapes, {"containers": [{"name": "x", "image": "evil:v1\nimage all is well"}]})

    assert "denied request: an image is not promoted for this namespace; sync with the promotion hook" in told
    assert "all is well" not in told
