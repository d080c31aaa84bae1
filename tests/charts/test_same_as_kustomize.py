"""Helm and kustomize install the same, whatever is chosen."""

from typing import Any

import pytest
import yaml

from argocd_manifests.rendering import MANIFESTS, Kustomize
from charts.chart import NAMESPACE, Helm, Resource, normalised

DIGEST = f"sha256:{'5' * 64}"
ROLE = "arn:aws:iam::222222222222:role/transship"
PARAMETERS = {
    "roleArn": ROLE,
    "admissionRoleArn": f"{ROLE}-admission",
    "httpsProxy": "http://proxy.example.com:3128",
    "noProxy": ".example.com",
    "namespaces": "shop,billing",
}
ADMISSION = ("admission/component", "admission/self-managed")
IRSA = {"annotations": {"eks.amazonaws.com/role-arn": ROLE}}
SAME: dict[str, tuple[dict[str, Any], list[str], dict[str, Any]]] = {
    "the default": ({}, [], {}),
    "admission": ({"admission": {"enabled": True}}, [*ADMISSION], {}),
    "admission with cert-manager": (
        {"admission": {"enabled": True, "certificate": {"by": "cert-manager"}}},
        ["admission/cert-manager"],
        {},
    ),
    "the gate": ({"gate": {"enabled": True}}, ["gate/component"], {}),
    "waiting pods": ({"waitingPods": {"enabled": True}}, ["waiting-pods"], {}),
    "a ServiceMonitor": ({"monitoring": {"serviceMonitor": {"enabled": True}}}, ["monitoring"], {}),
    "a PodMonitor": ({"monitoring": {"podMonitor": {"enabled": True}}}, ["monitoring/pod-monitor"], {}),
    "alerts and the dashboard": (
        {"monitoring": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}},
        ["monitoring/alerts", "monitoring/dashboard"],
        {},
    ),
    "IAM roles for service accounts": ({"serviceAccount": IRSA}, ["components/irsa"], {}),
    "Pod Identity": ({"podIdentity": {"enabled": True}}, ["components/pod-identity"], {}),
    "a proxy": (
        {"proxy": {"https": "http://proxy.example.com:3128", "noProxy": [".example.com"]}},
        ["components/proxy"],
        {},
    ),
    "a proxy that wants a password": (
        {"proxy": {"secret": "transship-proxy", "noProxy": [".example.com"]}},
        ["components/proxy-secret"],
        {},
    ),
    "authorities": ({"ca": {"configMap": "transship-ca"}}, ["components/custom-ca"], {}),
    "passwords": ({"dockerConfig": {"secret": "transship-registries"}}, ["components/docker-config"], {}),
    "an image by digest": (
        {"image": {"repository": "registry.example.com/transship", "digest": DIGEST}, "replicas": 2},
        [],
        {
            "images": [{"name": "transship", "newName": "registry.example.com/transship", "digest": DIGEST}],
            "replicas": [{"name": "transship", "count": 2}],
        },
    ),
    "two namespaces": ({"namespaces": ["shop", "billing"]}, ["namespaced/component"], {"tenants": [""]}),
    "two namespaces with everything": (
        {
            "namespaces": ["shop", "billing"],
            "admission": {"enabled": True},
            "gate": {"enabled": True},
            "waitingPods": {"enabled": True},
        },
        [*ADMISSION, "gate/component", "waiting-pods", "namespaced/component"],
        {"tenants": ["", "admission", "gate", "waiting-pods"]},
    ),
    "everything": (
        {
            "admission": {
                "enabled": True,
                "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": f"{ROLE}-admission"}},
            },
            "gate": {"enabled": True},
            "waitingPods": {"enabled": True},
            "monitoring": {each: {"enabled": True} for each in ("serviceMonitor", "prometheusRule", "dashboard")},
            "serviceAccount": IRSA,
            "podIdentity": {"enabled": True},
            "proxy": {"https": "http://proxy.example.com:3128", "noProxy": [".example.com"]},
            "ca": {"configMap": "transship-ca"},
            "dockerConfig": {"secret": "transship-registries"},
        },
        [
            *ADMISSION,
            *("gate/component", "waiting-pods", "monitoring", "monitoring/alerts", "monitoring/dashboard"),
            *("components/irsa", "components/irsa-admission"),
            *("components/proxy", "components/pod-identity", "components/custom-ca", "components/docker-config"),
        ],
        {},
    ),
}


def overlay(folders: Kustomize, parts: list[str], **more: Any) -> list[Resource]:
    """What kustomize makes of the default with parts: components, and folders of their own."""
    kinds = {part: _kind(part) for part in parts}
    tenants = [
        f"{namespace}-{number}" for number, _ in enumerate(more.get("tenants", [])) for namespace in ("shop", "billing")
    ]
    whole = {
        "resources": [
            *([folders.manifests("default", "it")] if "admission/cert-manager" not in parts else []),
            *(folders.manifests(part, "it") for part, kind in kinds.items() if kind == "Kustomization"),
            *(f"../{each}" for each in tenants),
        ],
        "components": [folders.manifests(part, "it") for part, kind in kinds.items() if kind == "Component"],
        "configMapGenerator": [
            {
                "name": "transship-installation",
                "literals": [f"{name}={value}" for name, value in PARAMETERS.items()],
                "options": {"annotations": {"config.kubernetes.io/local-config": "true"}},
            }
        ],
        **{name: value for name, value in more.items() if name != "tenants"},
    }
    for each in tenants:
        namespace, _, number = each.rpartition("-")
        part = "/".join(["namespaced/tenant", more["tenants"][int(number)]]).rstrip("/")
        tenant = {"namespace": namespace, "resources": [folders.manifests(part, each)]}
        folders.write(each, {"kustomization.yaml": yaml.safe_dump(tenant)})
    folders.write("it", {"kustomization.yaml": yaml.safe_dump(whole)})
    return folders.build("it")


def _kind(part: str) -> str:
    return str(yaml.safe_load((MANIFESTS / part / "kustomization.yaml").read_text())["kind"])


@pytest.mark.parametrize("chosen", SAME)
def test_helm_renders_what_kustomize_builds(helm: Helm, folders: Kustomize, chosen: str) -> None:
    values, parts, more = SAME[chosen]

    built = normalised(overlay(folders, parts, **more))
    namespace = built.pop(f"Namespace /{NAMESPACE}")
    rendered = normalised(helm.template(values))

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert rendered.keys() == built.keys()
    for key, resource in built.items():
        assert rendered[key] == resource, key
