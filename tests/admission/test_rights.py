"""Webhook and operator may do what admission needs and nothing else, and what is installed fits together."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from admission import hook
from admission.hook import MANIFESTS
from localworld.cluster import Cluster
from localworld.paths import REPOSITORY
from localworld.world import World
from manifests import asking
from transship.promotion import admission
from transship.settings import Settings

WEBHOOK = {"user": hook.USER, "groups": list(hook.GROUPS)}
OPERATOR = {"user": asking.OPERATOR, "groups": list(asking.GROUPS)}
PODS = {"get", "list", "patch", "watch"}


def _names(cluster: Cluster, who: Mapping[str, Any], namespace: str, resource: str, name: str = "") -> set[str]:
    """The verbs somebody has on a resource, or on one object of it."""
    group, _, plural = resource.rpartition("/")
    place = {"namespace": namespace, "group": group, "resource": plural, "name": name}
    verbs = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

    def may(verb: str) -> bool:
        review = {"spec": {**who, "resourceAttributes": {**place, "verb": verb}}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(cluster.admin.create(path, review)["status"]["allowed"])

    return {verb for verb in verbs if may(verb)}


@pytest.mark.parametrize("is_own", [True, False], ids=["own namespace", "other namespace"])
def test_the_webhook_lists_what_decides_and_nothing_else(installed: World, namespace: str, *, is_own: bool) -> None:
    cluster, where = installed.cluster, hook.NAMESPACE if is_own else namespace
    asking.wait_until(lambda: _names(cluster, WEBHOOK, "", "namespaces") == {"list"}, "the webhook has its rights")

    assert _names(cluster, WEBHOOK, "", "transship.dev/promotionpolicies") == {"list"}
    for resource in ("pods", "secrets", "configmaps", "transship.dev/promotionrequests", "apps/deployments"):
        assert _names(cluster, WEBHOOK, where, resource) == set(), resource


def test_the_webhook_writes_its_own_secret_and_its_own_configuration_only(installed: World, namespace: str) -> None:
    cluster = installed.cluster
    kind = "admissionregistration.k8s.io/mutatingwebhookconfigurations"

    assert _names(cluster, WEBHOOK, hook.NAMESPACE, "secrets", "transship-admission-tls") == {"get", "update"}
    assert _names(cluster, WEBHOOK, namespace, "secrets", "transship-admission-tls") == set()
    assert _names(cluster, WEBHOOK, "", kind, "transship-admission") == {"get", "patch"}
    assert _names(cluster, WEBHOOK, "", kind, "another") == set()


def test_with_admission_the_operator_may_patch_pods_and_not_make_or_delete_them(
    installed: World, namespace: str
) -> None:
    cluster = installed.cluster

    assert _names(cluster, OPERATOR, namespace, "pods") == PODS
    assert _names(cluster, OPERATOR, namespace, "apps/replicasets") == {"get"}
    assert _names(cluster, OPERATOR, namespace, "secrets") == set()


@pytest.mark.parametrize("variant", ["", "cert-manager"])
def test_one_command_installs_all_of_it(installed: World, variant: str) -> None:
    cluster = installed.cluster
    built = cluster.kubectl("kustomize", str(MANIFESTS / variant))
    resources = {f"{each['kind']}/{each['metadata']['name']}": each for each in yaml.safe_load_all(built)}
    served = [each for each in resources.values() if "cert-manager.io" not in each["apiVersion"]]
    # The one of these tests names a URL, and a configuration cannot have both.
    resources["MutatingWebhookConfiguration/transship-admission"]["metadata"]["name"] += "-anew"

    applied = cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "--filename=-"),
        stdin=yaml.safe_dump_all(served),
    )

    assert len(applied.splitlines()) == len(served)
    (operator,) = resources["Deployment/transship"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "TRANSSHIP_ADMISSION", "value": "true"} in operator["env"]
    assert ("Secret/transship-admission-tls" in resources) == (not variant)
    assert ("Certificate/transship-admission" in resources) == bool(variant)


def test_the_deployment_fits_the_service_the_ports_and_the_certificate() -> None:
    deployment, *_ = yaml.safe_load_all((MANIFESTS / "component" / "deployment.yaml").read_text())
    service = yaml.safe_load((MANIFESTS / "component" / "service.yaml").read_text())
    certificates = list(yaml.safe_load_all((MANIFESTS / "cert-manager" / "certificate.yaml").read_text()))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"

    assert deployment["spec"]["replicas"] == 2
    assert container["image"] == f"transship:{version}"
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {
        "webhook": 8443,
        "http": Settings.model_fields["health_port"].default,
    }
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert name in certificates[-1]["spec"]["dnsNames"]
    assert hook.configuration(1)["webhooks"][0]["namespaceSelector"]["matchExpressions"][1]["values"] == [
        *("kube-system", "kube-public", "kube-node-lease", service["metadata"]["namespace"]),
    ]


def test_the_configuration_fails_open_and_says_so_much() -> None:
    (webhook,) = hook.configuration(1)["webhooks"]

    assert (webhook["failurePolicy"], webhook["sideEffects"], webhook["timeoutSeconds"]) == ("Ignore", "None", 2)
    assert set(webhook["namespaceSelector"]["matchExpressions"][1]["values"]) >= admission.NEVER
    assert {each["key"] for each in webhook["namespaceSelector"]["matchExpressions"]} >= {admission.NAMESPACE_LABEL}


def test_every_manifest_of_the_how_to_is_there() -> None:
    text = (REPOSITORY / "docs" / "how-to" / "admission.md").read_text()

    for path in re.findall(r"manifests/admission[\w/.-]*", text):
        assert (REPOSITORY / path.rstrip(".")).exists(), path
