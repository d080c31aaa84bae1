"""Installed, upgraded and uninstalled in a real control plane of its own: definitions have one name in a cluster."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from charts.chart import CHART, NAMESPACE, Helm, HelmError
from localworld import cluster, network
from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests import asking, examples, installation

KINDS = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingadmissionpolicies,"
    "validatingadmissionpolicybindings"
)
NAMESPACED = (
    "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,secrets,configmaps"
)
EVERYTHING = {"admission": {"enabled": True}, "gate": {"enabled": True}, "waitingPods": {"enabled": True}}
BUNDLE = base64.b64encode(b"a certificate").decode()
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/transship-admission"
CERTIFICATE = f"/api/v1/namespaces/{NAMESPACE}/secrets/transship-admission-tls"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/transship"
REQUEST = "/apis/transship.dev/v1alpha1/namespaces/default/promotionrequests/kept"
DEFAULTS = {"timeout": "30m", "suspend": False}


@pytest.fixture(scope="module")
def own_cluster(control_plane: Cluster) -> Iterator[Cluster]:
    """A control plane in which nothing of ours is installed."""
    with cluster.choose(own_network=network.is_own()) as chosen:
        namespace = installation.MANIFESTS / "default" / "namespace.yaml"
        chosen.kubectl("apply", "--server-side", f"-f={namespace}")
        yield chosen


@pytest.fixture
def here(helm: Helm, own_cluster: Cluster) -> Helm:
    """Helm, for that control plane."""
    return replace(helm, options=(f"--kubeconfig={own_cluster.kubeconfig}", f"--namespace={NAMESPACE}"))


def ours(own_cluster: Cluster) -> set[str]:
    """Everything of ours but definitions, by kind and name: what is left over may have lost its labels."""
    columns = "-o=jsonpath={range .items[*]}{.kind} {.metadata.name}{'\\n'}{end}"
    found = own_cluster.kubectl("get", KINDS, columns)
    found += own_cluster.kubectl("get", NAMESPACED, columns, f"-n={NAMESPACE}")
    kinds = (line.partition(" ") for line in found.splitlines() if "transship" in line)
    return {f"{kind.lower()} {name}" for kind, _, name in kinds}


def keep_a_request(own_cluster: Cluster) -> None:
    """A PromotionRequest, once they are served."""
    own_cluster.kubectl("wait", "--for=condition=Established", "crd/promotionrequests.transship.dev", "--timeout=30s")
    request = json.dumps(examples.request("kept"))
    asking.wait_until(lambda: _is_applied(own_cluster, request), "a request is taken")


def _is_applied(own_cluster: Cluster, request: str) -> bool:
    try:
        own_cluster.kubectl("apply", "--server-side", "-n=default", "-f=-", stdin=request)
    except WorldError:
        return False
    return True


def is_kept(own_cluster: Cluster) -> bool:
    """Whether that request is still there, as it was written."""
    return bool(own_cluster.admin.get(REQUEST)["spec"] == examples.request("kept")["spec"] | DEFAULTS)


def test_everything_comes_is_upgraded_and_goes_but_for_definitions_and_what_is_of_them(
    own_cluster: Cluster, here: Helm
) -> None:
    wanted = {
        f"{each['kind'].lower()} {each['metadata']['name']}"
        for each in replace(here, options=()).template(EVERYTHING)
        if each["kind"] != "CustomResourceDefinition"
    }

    # The second Helm finds the definitions that the first has left, and needs no persuasion to have them.
    here.run("install", "transship", str(CHART), values=EVERYTHING)
    assert wanted <= ours(own_cluster)
    keep_a_request(own_cluster)

    # What the webhook writes into its Secret and its configuration stays, whatever the chart is upgraded to.
    trust = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": BUNDLE}]
    own_cluster.kubectl("patch", *WEBHOOK.split("/")[-2:], "--type=json", f"-p={json.dumps(trust)}")
    own_cluster.admin.patch(CERTIFICATE, {"data": {"tls.crt": BUNDLE}})
    here.run("upgrade", "transship", str(CHART), values={**EVERYTHING, "replicas": 2})
    assert own_cluster.admin.get(DEPLOYMENT)["spec"]["replicas"] == 2
    assert own_cluster.admin.get(WEBHOOK)["webhooks"][0]["clientConfig"]["caBundle"] == BUNDLE
    assert own_cluster.admin.get(CERTIFICATE)["data"] == {"tls.crt": BUNDLE}

    here.run("upgrade", "transship", str(CHART), "--reset-values")
    assert not any("gate" in each or "admission" in each for each in ours(own_cluster))

    here.run("uninstall", "transship")
    assert ours(own_cluster) == set()
    assert is_kept(own_cluster)
    assert here.run("list", "--short") == ""


def test_helm_takes_over_what_kustomize_has_installed(own_cluster: Cluster, here: Helm) -> None:
    own_cluster.kubectl("apply", "--server-side", "--force-conflicts", f"-k={installation.MANIFESTS / 'default'}")
    keep_a_request(own_cluster)
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        here.run("install", "transship", str(CHART))
    own_cluster.kubectl("delete", "deployment", f"-n={NAMESPACE}", "-l=app.kubernetes.io/part-of=transship")

    # Helm 4 applies on the server, where kubectl owns the selectors.
    force = ["--force-conflicts"] if here.binary.name == "helm4" else []
    here.run("install", "transship", str(CHART), "--take-ownership", *force)

    assert is_kept(own_cluster)
    assert own_cluster.admin.get(DEPLOYMENT)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    here.run("uninstall", "transship")
    assert ours(own_cluster) == set()
    assert is_kept(own_cluster)
