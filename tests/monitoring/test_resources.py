"""What is made for the Prometheus operator is what it reads: by its own definitions, types and names."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from argocd_manifests.rendering import MANIFESTS, Kustomize
from charts.chart import Helm
from endtoend.waiting import eventually
from localworld.apiserver import ApiError
from localworld.cluster import Cluster
from localworld.errors import WorldError
from localworld.paths import REPOSITORY
from monitoring.queries import RULES, alerts

RESOURCES = sorted(
    path
    for path in (MANIFESTS / "monitoring").rglob("*.yaml")
    if "apiVersion: monitoring.coreos.com" in path.read_text()
)
PAGE = REPOSITORY / "docs/how-to/monitoring.md"
FAIL_OPEN = "apiserver_admission_webhook_fail_open_count"
REJECTION = "apiserver_admission_webhook_rejection_count"


@pytest.fixture(scope="session")
def definitions(control_plane: Cluster, prometheus_operator: Path) -> Cluster:
    """A control plane that knows what the Prometheus operator reads."""
    for path in prometheus_operator.glob("*.yaml"):
        control_plane.kubectl("apply", "--server-side", f"--filename={path}")
    kinds = ("prometheusrules", "servicemonitors", "podmonitors")
    names = [f"crd/{each}.monitoring.coreos.com" for each in kinds]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    return control_plane


@pytest.fixture
def take(definitions: Cluster, namespace: str) -> Callable[[dict[str, Any]], str]:
    """Have a resource judged by the API server."""

    def apply(resource: dict[str, Any]) -> str:
        given = {**resource, "metadata": {**resource["metadata"], "namespace": namespace}}
        return definitions.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f=-", stdin=json.dumps(given)
        )

    return apply


@pytest.mark.parametrize("path", RESOURCES, ids=lambda path: path.stem)
def test_the_api_server_takes_what_kustomize_installs(take: Callable[[dict[str, Any]], str], path: Path) -> None:
    resource = yaml.safe_load(path.read_text())

    assert "serverside-applied" in take(resource)

    resource["spec"]["nobody-knows"] = "this"
    with pytest.raises(WorldError, match=r"unknown field|not declared in schema"):
        take(resource)


def test_the_api_server_takes_what_the_chart_renders(
    take: Callable[[dict[str, Any]], str], helms: Mapping[str, Path], tmp_path: Path
) -> None:
    kinds = ("serviceMonitor", "podMonitor", "prometheusRule")
    values = {"monitoring": {each: {"enabled": True, "labels": {"release": "prometheus"}} for each in kinds}}
    whole = Helm(helms["helm4"], tmp_path).template(values)
    rendered = [each for each in whole if each["apiVersion"].startswith("monitoring.coreos.com/")]

    assert len(rendered) == len(kinds)
    assert all("serverside-applied" in take(each) for each in rendered)


def test_the_prometheus_operator_makes_the_same_of_the_rules(prometheus_operator: Path, tmp_path: Path) -> None:
    rules = {"kind": "ConfigMap", "metadata": {"name": "transship"}, "data": {"rules": RULES.read_text()}}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    command = [
        str(prometheus_operator / "po-rule-migration"),
        "-rule-config-map=rules.json",
        "-rule-crds-destination=.",
    ]

    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    made = yaml.safe_load((tmp_path / "transship-rules").read_text())
    ours = yaml.safe_load((MANIFESTS / "monitoring/alerts/prometheusrule.yaml").read_text())
    assert (made["apiVersion"], made["kind"], made["spec"]) == (ours["apiVersion"], ours["kind"], ours["spec"])


@pytest.mark.parametrize(("policy", "metric"), [("Ignore", FAIL_OPEN), ("Fail", REJECTION)])
def test_the_api_server_counts_by_the_name_of_the_alert_that_the_webhook_did_not_answer(
    control_plane: Cluster, namespace: str, policy: str, metric: str
) -> None:
    (alert,) = (each for each in alerts() if each["alert"] == "TransshipWebhookUnavailable")
    installed = yaml.safe_load((MANIFESTS / "admission/component/webhook.yaml").read_text())
    (hook,) = installed["webhooks"]
    (asked,) = re.findall(rf"{metric}\{{(.*?)\}}", alert["expr"])
    wanted = set(asked.split(", "))
    assert f'name="{hook["name"]}"' in wanted

    # The same webhook, for this namespace alone, where nobody listens.
    hook |= {"failurePolicy": policy, "clientConfig": {"url": "https://127.0.0.1:1/pods"}}
    hook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    hook.pop("matchConditions", None)
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    control_plane.admin.create(path, {**installed, "metadata": {"name": namespace}})
    container = {"name": "app", "image": "registry.example/app:v1"}
    pod = {"metadata": {"generateName": "app-"}, "spec": {"containers": [container]}}
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={namespace}", "--timeout=30s")

    def is_counted() -> bool:
        with suppress(ApiError) if policy == "Fail" else nullcontext():
            control_plane.admin.create(f"/api/v1/namespaces/{namespace}/pods", pod)
        counted = control_plane.kubectl("get", "--raw=/metrics")
        found = re.findall(rf"^{metric}\{{(.*)\}} ", counted, re.MULTILINE)
        return any(wanted <= set(each.split(",")) for each in found)

    try:
        eventually(is_counted, "the API server counts it", poll=0.5)
    finally:
        control_plane.admin.delete(f"{path}/{namespace}")


def test_the_overlay_of_the_page_has_everything_with_its_label(kustomize: Path, tmp_path: Path) -> None:
    folders = Kustomize(kustomize, tmp_path)
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    text = example.replace("<manifests>", folders.manifests("", "it"))
    folders.write("it", {"kustomization.yaml": f"resources: [{folders.manifests('default', 'it')}]\n{text}"})

    built = folders.build("it")

    found = {each["kind"]: each["metadata"]["labels"] for each in built if each["apiVersion"].startswith("monitoring.")}
    assert found.keys() == {"ServiceMonitor", "PrometheusRule"}
    assert all(labels["release"] == "prometheus" for labels in found.values())
    dashboards = [each for each in built if each["metadata"]["name"] == "transship-dashboard"]
    assert [each["metadata"]["labels"]["grafana_dashboard"] for each in dashboards] == ["1"]


def test_the_values_of_the_page_are_those_of_the_chart(helms: Mapping[str, Path], tmp_path: Path) -> None:
    chosen = re.findall(r"--set (\S+)", PAGE.read_text())

    rendered = Helm(helms["helm4"], tmp_path).template({}, *(f"--set={each}" for each in chosen))

    assert len(chosen) == 5
    kinds = {each["kind"]: each["metadata"]["labels"].get("release") for each in rendered}
    assert (kinds["ServiceMonitor"], kinds["PrometheusRule"]) == ("prometheus", "prometheus")
    assert "transship-dashboard" in {each["metadata"]["name"] for each in rendered}
