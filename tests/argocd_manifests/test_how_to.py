"""Every example of the how-to is one that kustomize builds, or that the API server takes, as it stands on the page."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from argocd_manifests.rendering import MANIFESTS, Kustomize, Resource, images, of_kind
from localworld.cluster import Cluster
from transship.errors import Reason
from transship.promotion.argocd import MARK, POLICY, REVISION, TIMEOUT

PAGE = MANIFESTS.parent / "docs" / "how-to" / "argocd.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
FILES = {path: block for block in BLOCKS for path in re.findall(r"\A# (\S+)\n", block)}
CHART = FILES["chart/templates/promote-images.yaml"]
RESOURCES = [block for block in BLOCKS if block not in FILES.values()]
VALUES = {
    "{{ .Release.Name }}": "shop",
    "{{ .Values.revision | quote }}": '"3f2c9a1d"',
    "{{ .Values.image.repository }}": "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout",
    "{{ .Values.image.tag }}": "v1.4.2",
}
WORKLOAD = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  serviceName: {name}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: {name}, image: {image}}}]
"""


def rendered_chart() -> str:
    text = CHART
    for expression, value in VALUES.items():
        text = text.replace(expression, value)
    assert "{{" not in text
    return text


def page_id(block: str) -> str:
    resource = yaml.safe_load(block)
    metadata = resource["metadata"]
    return f"{resource['kind']} {metadata.get('name', metadata.get('generateName'))}"


@pytest.fixture
def repository(folders: Kustomize) -> Kustomize:
    """The files of the page at their paths, with a copy of our manifests where the page expects it."""
    shutil.copytree(MANIFESTS, folders.directory / "transship" / "manifests")
    for path, block in FILES.items():
        folder, _, name = path.rpartition("/")
        folders.write(folder, {name: block})
    return folders


@pytest.mark.parametrize("block", [*RESOURCES, pytest.param("chart")], ids=[*map(page_id, RESOURCES), "chart"])
def test_the_api_server_takes_every_resource_shown(applications: Cluster, namespace: str, block: str) -> None:
    text = rendered_chart() if block == "chart" else block

    said = applications.kubectl(
        "create", "--dry-run=server", "--validate=strict", f"-n={namespace}", "-f", "-", stdin=text
    )

    assert "created (server dry run)" in said


def test_the_hook_shown_is_the_one_of_the_sample_application() -> None:
    sample = MANIFESTS.parent / "overlays" / "base" / "promote-images.yaml"

    assert yaml.safe_load(RESOURCES[0]) == yaml.safe_load(sample.read_text())


def hooks() -> Iterator[Resource]:
    for text in (*RESOURCES, rendered_chart()):
        resource = yaml.safe_load(text)
        if resource["kind"] == "Job" and "managedBy" in resource["spec"]:
            yield resource


def test_every_hook_shown_is_marked_and_cannot_start_a_pod() -> None:
    shown = list(hooks())

    assert len(shown) == 3
    for hook in shown:
        assert hook["metadata"]["annotations"][MARK] == "true"
        assert (hook["spec"]["managedBy"], hook["spec"]["suspend"]) == ("transship.dev/promotion", True)


def test_the_overlay_with_the_component_builds_a_hook_with_the_deployments_image(repository: Kustomize) -> None:
    base = {"deployment.yaml": WORKLOAD.format(kind="Deployment", name="checkout", image="shop/checkout")}
    repository.write("shop/base", base | {"kustomization.yaml": "resources: [deployment.yaml]\n"})

    built = repository.build("shop/overlays/production")

    expected = {"checkout": "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout:v1.4.2"}
    assert images(of_kind(built, "Deployment")) == images(of_kind(built, "Job")) == expected


def test_the_overlay_with_replacements_builds_a_hook_with_the_images_of_both_workloads(repository: Kustomize) -> None:
    web = WORKLOAD.format(kind="Deployment", name="web", image="mall/web")
    search = WORKLOAD.format(kind="StatefulSet", name="search", image="mall/search:v7")
    kustomization = "resources: [web.yaml, search.yaml]\n"
    repository.write("mall/base", {"web.yaml": web, "search.yaml": search, "kustomization.yaml": kustomization})
    hook = yaml.safe_load(RESOURCES[0])
    hook["spec"]["template"]["spec"]["containers"] = [{"name": name, "image": "x"} for name in ("web", "search")]
    repository.write("mall/overlays/production", {"promote-images.yaml": yaml.safe_dump(hook)})

    built = repository.build("mall/overlays/production")
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "mall/search:v8"}]
    patches = {"patches": [{"target": {"kind": "StatefulSet"}, "patch": yaml.safe_dump(patch)}]}
    shown = yaml.safe_load(FILES["mall/overlays/production/kustomization.yaml"])
    repository.write("mall/overlays/production", {"kustomization.yaml": yaml.safe_dump(shown | patches)})
    patched = repository.build("mall/overlays/production")

    web_image = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/mall/web:v3.0.1"
    assert images(of_kind(built, "Job")) == {"web": web_image, "search": "mall/search:v7"}
    assert images(of_kind(patched, "Job")) == {"web": web_image, "search": "mall/search:v8"}


def test_the_kustomization_for_argo_cd_installs_check_and_notifications(
    repository: Kustomize, argocd_binary: Path
) -> None:
    own = (argocd_binary.parent / "argocd-cm.yaml").read_text()
    notifications = own.replace("name: argocd-cm", "name: argocd-notifications-cm")
    kustomization = "resources: [argocd-cm.yaml, notifications.yaml]\n"
    files = {"argocd-cm.yaml": own, "notifications.yaml": notifications, "kustomization.yaml": kustomization}
    repository.write("argo-cd", files)

    data = {each["metadata"]["name"]: each["data"] for each in repository.build("argocd")}

    assert "resource.customizations.health.transship.dev_PromotionRequest" in data["argocd-cm"]
    assert "trigger.on-promotion-failed" in data["argocd-notifications-cm"]


def test_no_example_is_left_untested() -> None:
    built = {
        "shop/overlays/production/kustomization.yaml",
        "mall/overlays/production/kustomization.yaml",
        "argocd/kustomization.yaml",
    }
    assert set(FILES) == {*built, "chart/templates/promote-images.yaml"}


def test_patching_by_hand_installs_the_check(definitions: Cluster, namespace: str) -> None:
    (shown,) = re.findall(r"^\$ kubectl (patch .*)$", TEXT, re.MULTILINE)
    arguments = shown.replace("--namespace argocd", f"--namespace {namespace}").split()
    arguments[-1] = str(MANIFESTS.parent / arguments[-1])
    definitions.kubectl("create", "configmap", "argocd-cm", f"-n={namespace}", "--from-literal=url=https://argocd")

    definitions.kubectl(*arguments)

    data = definitions.admin.get(f"/api/v1/namespaces/{namespace}/configmaps/argocd-cm")["data"]
    assert sorted(data) == ["resource.customizations.health.transship.dev_PromotionRequest", "url"]


def test_the_command_shown_prints_the_line_of_the_hook_that_failed(applications: Cluster, namespace: str) -> None:
    shown, printed = re.findall(r"^\$ kubectl get application shop .*? jsonpath='(.*)'\n(.*)$", TEXT, re.MULTILINE)[0]
    message = printed.removeprefix("Job/promote-images: ")
    line = {"group": "batch", "version": "v1", "namespace": namespace, "hookType": "PreSync"}
    application: dict[str, Any] = next(yaml.safe_load(each) for each in RESOURCES if "kind: Application" in each)
    application["status"] = {
        "operationState": {
            "operation": {},
            "phase": "Failed",
            "startedAt": "2026-08-03T09:12:41Z",
            "syncResult": {
                "revision": "3f2c9a1d",
                "resources": [
                    line | {"kind": "Job", "name": "migrate", "hookPhase": "Succeeded", "message": "done"},
                    line | {"kind": "Job", "name": "promote-images", "hookPhase": "Failed", "message": message},
                ],
            },
        }
    }
    applications.admin.create(f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications", application)

    said = applications.kubectl("get", "application", "shop", f"-n={namespace}", "-o", f"jsonpath={shown}")

    assert said == f"{printed}\n"


def test_every_option_is_described_and_no_other() -> None:
    (part,) = re.findall(r"### Options\n(.*?)\n## ", TEXT, re.DOTALL)

    assert set(re.findall(r"^\| `(\S+)` \|", part, re.MULTILINE)) == {TIMEOUT, POLICY, REVISION}


@pytest.mark.parametrize("reason", ["ManagedByMissing", "Uncovered", "GateNotEnforced"])
def test_every_reason_named_is_one_of_ours(reason: str) -> None:
    assert f"`{reason}`" in TEXT
    assert reason in set(Reason)


def test_every_trigger_of_the_notifications_is_described_and_no_other() -> None:
    config_map = yaml.safe_load((MANIFESTS / "argocd" / "notifications" / "argocd-notifications-cm.yaml").read_text())
    triggers = {key.removeprefix("trigger.") for key in config_map["data"] if key.startswith("trigger.")}

    assert set(re.findall(r"^\| `(on-\S+)` \|", TEXT, re.MULTILINE)) == triggers


@pytest.mark.parametrize("page", [PAGE, MANIFESTS.parent / "docs" / "design" / "hooks.md"], ids=["how-to", "design"])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, _, heading in (each.partition("#") for each in re.findall(r"\]\(([^)\s]+)\)", page.read_text())):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE) if found.suffix == ".md" else []
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, f"{target}#{heading}"
