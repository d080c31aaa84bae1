"""The links lead where they say.

Argo CD evaluates links in its API server only. Its notifications use the same two languages (expr-lang/expr for
conditions, Go templates with sprig for texts), so each link is asked there, with the resource in the place of the
application.
"""

from typing import Any

import pytest
import yaml

from argocd_manifests.asking import ArgoCommand, Resource
from argocd_manifests.rendering import MANIFESTS

LINKS = yaml.safe_load(yaml.safe_load((MANIFESTS / "argocd" / "links.yaml").read_text())["data"]["resource.links"])
ECR, LAST_SYNC, DASHBOARD = (each["title"] for each in LINKS)
IMAGE = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout"
CONSOLE = (
    "https://eu-west-1.console.aws.amazon.com/ecr/repositories/private/222222222222/shop/checkout?region=eu-west-1"
)
OPERATION = "/applications/argocd/shop?operation=true"
PLACEHOLDER = "https://grafana.example.com/d/transship?var-namespace=shop"


def resource(kind: str, spec: Any, api_version: str = "v1") -> Resource:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec}


def templated(kind: str, image: str = f"{IMAGE}:v1", **spec: Any) -> Resource:
    return resource(kind, {"template": {"spec": {"containers": [{"name": "x", "image": image}]}}, **spec})


def request(image: str) -> Resource:
    return resource("PromotionRequest", {"containers": [{"name": "x", "image": image}]}, "transship.dev/v1alpha1")


def links_of(argo: ArgoCommand, seen: Resource) -> dict[str, str]:
    """The links that Argo CD shows on a resource, by title."""
    # What belongs to the application is put beside the resource's own fields.
    asked = seen | {"application": {"metadata": {"name": "shop", "namespace": "argocd"}}}
    data = {}
    for index, link in enumerate(LINKS):
        condition = yaml.safe_dump([{"when": link["if"].replace("resource.", "app."), "send": [f"link-{index}"]}])
        url = link["url"].replace(".resource.", ".app.").replace(".application.", ".app.application.")
        data |= {f"trigger.link-{index}": condition, f"template.link-{index}": yaml.safe_dump({"message": url})}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-notifications-cm"},
        "data": data,
    }
    return {
        link["title"]: argo.notification(f"link-{index}", asked, config_map)["message"].strip()
        for index, link in enumerate(LINKS)
        if argo.triggered(f"link-{index}", asked, config_map)
    }


@pytest.mark.parametrize(
    ("seen", "links"),
    [
        (templated("Job", managedBy="transship.dev/promotion"), {ECR: CONSOLE, LAST_SYNC: OPERATION}),
        (request(f"{IMAGE}@sha256:{'a' * 64}"), {ECR: CONSOLE, LAST_SYNC: OPERATION, DASHBOARD: PLACEHOLDER}),
        (request("ghcr.io/shop/checkout:v1"), {LAST_SYNC: OPERATION, DASHBOARD: PLACEHOLDER}),
        (templated("Deployment"), {ECR: CONSOLE}),
        (templated("Deployment", "ghcr.io/shop/checkout:v1"), {}),
        (templated("Deployment", "evil.example/222222222222.dkr.ecr.eu-west-1.amazonaws.com/x"), {}),
        (templated("Job"), {ECR: CONSOLE}),
        (resource("Service", {"ports": []}), {}),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop"}}, {}),
    ],
    ids=[
        "hook Job",
        "request by digest",
        "request for another registry",
        "Deployment",
        "Deployment from another registry",
        "Deployment from a host that only looks like ECR",
        "any other Job",
        "Service",
        "without a spec",
    ],
)
def test_a_resource_has_the_links_that_fit_it(argo: ArgoCommand, seen: Resource, links: dict[str, str]) -> None:
    assert links_of(argo, seen) == links
