"""The image runs as a pod: built from the Dockerfile, deployed by the chart, with its ServiceAccount's rights.

These come before the tests that have an operator as a process: only one at a time may promote here.
"""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from charts.chart import Helm
from endtoend.scene import Scene, condition
from endtoend.waiting import eventually
from image.building import Built
from localworld.accounts import PRODUCTION, identities, registry
from localworld.apiserver import Resource
from localworld.cluster import LocalCluster
from localworld.node import Node
from localworld.pki import SERVICE_ADDRESS
from localworld.world import World
from node.reaching import forwarded

pytestmark = pytest.mark.timeout(600)  # the image is built, if no other test has
NAMESPACE = "from-image"
HOST = registry(PRODUCTION)
USER = identities()["transship-controller"]
TWIN_ADDRESS = "10.77.0.2"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where it is mounted


@pytest.fixture(scope="module")
def pushed(node_world: World, image: Built) -> str:
    """The digest of the image in the registry that the node pulls from."""
    registries = node_world.registries
    with registries.ecr(USER) as ecr:
        ecr.create_repository(repositoryName="transship")
    return registries.crane(USER, "push", str(image.layout), f"{HOST}/transship:built").rpartition("@")[2]


@pytest.fixture(scope="module")
def proxy(node_world: World, node: Node) -> Iterator[str]:
    """The way out of a pod: the API server answers at its Service's address, the twin's proxy at this one."""
    assert isinstance(node_world.cluster, LocalCluster)
    api_port = urlsplit(node_world.cluster.control_plane.server).port or 0
    proxy_port = urlsplit(node_world.registries.proxy).port or 0
    with (
        forwarded("lo:2", SERVICE_ADDRESS, 443, api_port),
        forwarded("lo:3", TWIN_ADDRESS, 0, proxy_port) as port,
    ):
        yield f"http://{TWIN_ADDRESS}:{port}"


def values(digest: str, proxy: str) -> dict[str, Any]:
    """What a platform team writes: the image by digest, whom to trust, the way out; by a name of its own."""
    return {
        "fullnameOverride": NAMESPACE,
        "crds": {"enabled": False},
        "rbac": {"people": False},
        "image": {"repository": f"{HOST}/transship", "digest": digest},
        "proxy": {"https": proxy},
        "ca": {"configMap": "aws"},
        "extraEnv": [{"name": name, "value": value} for name, value in USER.environment().items()],
    }


@pytest.fixture(scope="module")
def helm(helms: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(helms["helm4"], tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def pod(node_world: World, node: Node, pushed: str, proxy: str, helm: Helm) -> Iterator[Resource]:
    """The pod, once it is Ready."""
    kubectl = node_world.cluster.kubectl
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    trusted = {"ca.crt": node_world.registries.certificate_authority.read_text()}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws", "namespace": NAMESPACE}, "data": trusted},
        *map(named, helm.template(values(pushed, proxy), namespace=NAMESPACE)),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("apply", "--server-side", "-f=-", stdin=text)
    try:
        yield eventually(lambda: ready(node_world, node), "the operator's pod is Ready", seconds=90)
    finally:
        kubectl("delete", "--wait=false", "-f=-", stdin=text)
        eventually(lambda: not pods(node_world), "the operator's pod has ended", seconds=60)


def named(resource: Resource) -> Resource:
    """The same, with the one name that kopf asks the cluster's DNS for: there is none here."""
    if resource["kind"] == "Deployment":
        aliases = [{"ip": SERVICE_ADDRESS, "hostnames": ["kubernetes.default.svc"]}]
        resource["spec"]["template"]["spec"]["hostAliases"] = aliases
    return resource


def pods(node_world: World) -> list[Resource]:
    return list(node_world.cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"])


def ready(node_world: World, node: Node) -> Resource:
    (pod,) = pods(node_world) or [{}]
    assert condition(pod, "Ready").get("status") == "True", f"{json.dumps(pod.get('status', {}))}\n{logged(node)}"
    return pod


def logged(node: Node) -> str:
    """The end of what its containers wrote: the kubelet serves no logs."""
    files = node._directory.glob(f"var/log/pods/{NAMESPACE}_*/operator/*.log")
    return "\n".join(file.read_text()[-1500:] for file in sorted(files))


def metrics(pod: Resource) -> dict[str, float]:
    """What it counts."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{pod['status']['podIP']}:8080/metrics", timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_it_is_the_image_that_was_built_and_nothing_in_it_is_loosened(pod: Resource, pushed: str) -> None:
    (container,) = pod["spec"]["containers"]
    (status,) = pod["status"]["containerStatuses"]

    assert status["imageID"].endswith(pushed)
    assert status["restartCount"] == 0
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_it_leads_and_watches_with_the_rights_of_its_service_account(pod: Resource) -> None:
    assert any(mount["mountPath"] == TOKEN for mount in pod["spec"]["containers"][0]["volumeMounts"])
    assert eventually(lambda: metrics(pod).get("transship_leader") == 1.0, "it leads")


def test_it_promotes(pod: Resource, node_world: World, digests: Mapping[str, str]) -> None:
    scene = Scene(node_world, digests)
    try:
        scene.policy()
        image = scene.image("v1.4.2", "shop/runnable")
        scene.hook(image)
        request = scene.request_for("promote-images")
        scene.until_request(request["metadata"]["name"], "Promoted")

        assert scene.digest(image) == digests["v1.4.2"]
        assert metrics(pod)['transship_promotions_total{reason="Promoted",result="success"}'] >= 1.0
    finally:
        scene.close()
