"""The rights of each installation, as kustomize builds them, applied to the API server in the place of all others."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from localworld.cluster import Cluster
from localworld.paths import REPOSITORY

MANIFESTS = REPOSITORY / "manifests"
OWN = "transship-system"
OPERATOR = f"system:serviceaccount:{OWN}:transship"
WEBHOOK = f"system:serviceaccount:{OWN}:transship-admission"
CLUSTER_KINDS = ("clusterrolebindings", "clusterroles")
OURS = "--selector=app.kubernetes.io/part-of=transship"
RBAC = "rbac.authorization.k8s.io/v1"
OVERLAYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # resources and components, below manifests/
    "default": (("default",), ()),
    "gate": (("gate",), ()),
    "admission": (("admission",), ()),
    "cert-manager": (("admission/cert-manager",), ()),
    "waiting-pods": (("default", "waiting-pods"), ()),
    "namespaced": (("default",), ("namespaced/component",)),
    "namespaced-with-all": (
        ("default", "waiting-pods"),
        ("gate/component", "admission/component", "admission/self-managed", "namespaced/component"),
    ),
}
TENANTS: Mapping[str, tuple[str, ...]] = {
    "namespaced": ("namespaced/tenant",),
    "namespaced-with-all": (
        "namespaced/tenant",
        "namespaced/tenant/gate",
        "namespaced/tenant/admission",
        "namespaced/tenant/waiting-pods",
    ),
}


def build(cluster: Cluster, directory: Path, name: str, tenant: str) -> list[dict[str, Any]]:
    """All resources of an installation, with the rights in a tenant's namespace where it has those."""
    resources, components = OVERLAYS[name]
    # kustomize takes no absolute paths.
    root = Path(*[".."] * (len(directory.parts) - 1)) / MANIFESTS.relative_to("/")
    overlay: dict[str, Any] = {
        "resources": [str(root / each) for each in resources],
        "components": [str(root / each) for each in components],
        "configMapGenerator": [
            {
                "name": "transship-installation",
                "literals": [f"namespaces={tenant}"],
                "options": {"annotations": {"config.kubernetes.io/local-config": "true"}},
            }
        ],
    }
    if name in TENANTS:
        folder = directory / tenant
        folder.mkdir()
        above = {"namespace": tenant, "resources": [str(".." / root / each) for each in TENANTS[name]]}
        (folder / "kustomization.yaml").write_text(json.dumps(above))
        overlay["resources"].append(tenant)
    (directory / "kustomization.yaml").write_text(json.dumps(overlay))
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(directory))))


def parse(text: str) -> dict[str, Any]:
    """A kustomization, without what kustomize fills in."""
    content = dict(yaml.safe_load(text))
    return {name: each for name, each in content.items() if name not in {"apiVersion", "kind"}}


def rights_of(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are about rights, and the account that has them."""
    kinds = {"Namespace", "ServiceAccount"}
    return [each for each in resources if each["apiVersion"] == RBAC or each["kind"] in kinds]


def replace(cluster: Cluster, resources: list[dict[str, Any]]) -> None:
    """Have these rights, and none that another installation has given."""
    clear(cluster)
    content = {"apiVersion": "v1", "kind": "List", "items": rights_of(resources)}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(content))


def clear(cluster: Cluster) -> None:
    """Take all of our rights away."""
    for kind in CLUSTER_KINDS:
        cluster.kubectl("delete", kind, OURS, "--ignore-not-found")
    for kind in ("rolebindings", "roles"):
        cluster.kubectl("delete", kind, OURS, "--all-namespaces", "--ignore-not-found")


def may(cluster: Cluster, who: str, namespace: str) -> list[str]:
    """What `kubectl auth can-i --list` says somebody may in a namespace, beside what every ServiceAccount may."""
    everybody = set(_lines(cluster, f"system:serviceaccount:{OWN}:somebody-else", namespace))
    return sorted(set(_lines(cluster, who, namespace)) - everybody)


def _lines(cluster: Cluster, who: str, namespace: str) -> Iterator[str]:
    said = cluster.kubectl("auth", "can-i", "--list", f"--as={who}", f"--namespace={namespace}")
    for line in said.splitlines()[1:]:
        # Verbs come in the order of the roles that give them, which is any.
        what, _, verbs = " ".join(line.split()).rpartition(" [")
        yield f"{what} [{' '.join(sorted(verbs.rstrip(']').split()))}]"
