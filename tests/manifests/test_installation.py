"""What is installed fits together: folders, image, ports, names, and the operator's own settings."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import installation
from transship.settings import Settings

DEPLOYMENT = installation.resource(installation.MANIFESTS / "operator" / "deployment.yaml", "Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
OPERATOR = POD["containers"][0]
DOCKERFILE = (installation.REPOSITORY / "Dockerfile").read_text()
CLUSTER_ROLES = {"view", "edit", "admin"}
KUSTOMIZATIONS = [
    file
    for file in sorted(installation.MANIFESTS.glob("*/[kK]ustomization*"))
    if yaml.safe_load(file.read_text())["kind"] == "Kustomization"
]


def _of(name: str) -> Any:
    return Settings.model_fields[name].default


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=lambda file: file.parent.name)
def test_a_kustomization_names_every_file_of_its_folder(file: Path) -> None:
    listed = yaml.safe_load(file.read_text())["resources"]
    files = {each.name for each in file.parent.glob("*.yaml")} - {file.name}

    assert {each for each in listed if not each.startswith("../")} == files


def test_the_default_has_every_folder_but_the_samples_and_what_one_opts_in_to() -> None:
    listed = yaml.safe_load((installation.MANIFESTS / "default" / "kustomization.yaml").read_text())["resources"]
    folders = {f"../{each.name}" for each in installation.MANIFESTS.iterdir() if each.is_dir()}

    opted_in = {
        f"../{name}"
        for name in ("admission", "argocd", "components", "gate", "monitoring", "namespaced", "waiting-pods")
    }
    assert {each for each in listed if each.startswith("../")} == folders - {"../samples", "../default"} - opted_in


def test_the_deployment_runs_the_version_of_this_tree() -> None:
    project = tomllib.loads((installation.REPOSITORY / "pyproject.toml").read_text())["project"]

    assert OPERATOR["image"] == f"transship:{project['version']}"
    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE
    assert 'image.version="${VERSION}"' in DOCKERFILE
    assert f'image.licenses="{project["license"]}"' in DOCKERFILE


def test_the_image_runs_as_the_user_the_deployment_asks_for() -> None:
    context = POD["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in DOCKERFILE
    assert context["runAsUser"] > 0


def test_the_image_starts_the_package_without_a_shell() -> None:
    assert 'ENTRYPOINT ["/usr/bin/python3", "-m", "transship"]' in DOCKERFILE
    assert OPERATOR["args"] == ["operator"]


def test_the_image_is_built_from_hashes_only() -> None:
    installs = re.findall(r"pip install (.*)", DOCKERFILE)

    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-deps --no-index" in each for each in installs)


def test_what_the_dockerfile_copies_reaches_the_build() -> None:
    ignored = (installation.REPOSITORY / ".dockerignore").read_text().split()
    allowed = {each.removeprefix("!") for each in ignored if each.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)

    assert {name.partition("/")[0] for line in copied for name in line.split()} == allowed


def test_the_ports_are_those_the_operator_listens_on() -> None:
    service = installation.resource(installation.MANIFESTS / "operator" / "service.yaml", "Service")

    assert [port["containerPort"] for port in OPERATOR["ports"]] == [_of("health_port")]
    assert [port["port"] for port in service["spec"]["ports"]] == [_of("health_port")]
    assert service["spec"]["selector"].items() <= DEPLOYMENT["spec"]["template"]["metadata"]["labels"].items()


def test_the_lease_is_in_the_namespace_where_the_operator_may_have_it() -> None:
    role = installation.resource(installation.MANIFESTS / "rbac" / "operator.yaml", "Role")

    assert role["metadata"]["namespace"] == DEPLOYMENT["metadata"]["namespace"] == _of("namespace")


def test_a_pod_has_longer_to_end_than_the_copies_in_it() -> None:
    assert POD.get("terminationGracePeriodSeconds", 30) > _of("shutdown_grace")


def test_the_roles_for_people_join_those_of_the_cluster() -> None:
    roles = installation.resources(installation.MANIFESTS / "rbac" / "users.yaml")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    joined = {
        role["metadata"]["name"]: {label.removeprefix(prefix) for label in role["metadata"]["labels"]} & CLUSTER_ROLES
        for role in roles
    }

    assert joined == {"transship-view": {"view", "edit", "admin"}, "transship-edit": {"edit", "admin"}}


def test_nobody_but_the_operator_writes_a_status_or_a_policy() -> None:
    roles = installation.resources(installation.MANIFESTS / "rbac" / "users.yaml")
    written = {
        name
        for role in roles
        for rule in role["rules"]
        for name in rule["resources"]
        if not {"get", "list", "watch"}.issuperset(rule["verbs"])
    }

    assert written == {"promotionrequests"}
