"""Only with the gate may the operator write lists, nobody else may, and what is documented is what is installed."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from endtoend.waiting import eventually
from gate.scene import COMPONENT, GATE
from localworld import paths
from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests import asking

LISTS = "promotedimages"
OPERATOR = {"user": asking.OPERATOR, "groups": list(asking.GROUPS)}
EXPECTED = {"create", "delete", "get", "list", "update", "watch"}
VERBS = EXPECTED | {"patch", "deletecollection"}


def _may(cluster: Cluster, who: dict[str, object], namespace: str, verb: str) -> bool:
    return asking.may(cluster, who, namespace, (verb, "transship.dev", LISTS))


def test_with_the_gate_the_operator_may_keep_lists_and_no_more(gate: Cluster, namespace: str) -> None:
    assert {verb for verb in VERBS if _may(gate, OPERATOR, namespace, verb)} == EXPECTED
    assert not asking.may(gate, OPERATOR, namespace, ("update", "admissionregistration.k8s.io", "*"))
    assert not asking.may(gate, OPERATOR, namespace, ("patch", "", "namespaces"))


def test_without_the_gate_nothing_speaks_of_lists() -> None:
    base = [each for folder in ("crd", "rbac", "operator", "default") for each in (GATE.parent / folder).iterdir()]

    assert [each.name for each in base if "promotedimages" in each.read_text() or "GATE" in each.read_text()] == []


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_people_read_lists_and_do_not_write_them(gate: Cluster, namespace: str, role: str) -> None:
    who = {"user": f"{role}-of-{namespace}"}
    gate.kubectl("create", "rolebinding", role, f"-n={namespace}", f"--clusterrole={role}", f"--user={who['user']}")

    eventually(lambda: _may(gate, who, namespace, "get"), "it may read")

    assert {verb for verb in VERBS if _may(gate, who, namespace, verb)} == {"get", "list", "watch"}


def test_one_command_installs_all_of_it(gate: Cluster) -> None:
    built = list(yaml.safe_load_all(gate.kubectl("kustomize", str(GATE))))
    base = list(yaml.safe_load_all(gate.kubectl("kustomize", str(GATE.parent / "default"))))
    (deployment,) = (each for each in built if each["kind"] == "Deployment")

    gate.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", f"-k={GATE}"
    )

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "TRANSSHIP_GATE", "value": "true"} in container["env"]
    component = [each for path in COMPONENT.glob("[!k]*.yaml") for each in yaml.safe_load_all(path.read_text())]
    names = {(each["kind"], each["metadata"]["name"]) for each in built}
    assert names == {(each["kind"], each["metadata"]["name"]) for each in base + component}


def test_the_names_in_the_policy_are_those_that_are_installed() -> None:
    policy = (COMPONENT / "policy.yaml").read_text()
    account = next(
        each
        for each in yaml.safe_load_all((GATE.parent / "rbac" / "operator.yaml").read_text())
        if each["kind"] == "ServiceAccount"
    )["metadata"]

    assert f"'system:serviceaccount:{account['namespace']}:{account['name']}'" in policy
    assert f"values: [kube-system, {account['namespace']}]" in policy


def documented(page: Path, start: str) -> str:
    """The YAML block of a page that begins with a line."""
    blocks = page.read_text().split("```yaml\n")[1:]
    return next(block.partition("```")[0] for block in blocks if block.startswith(start))


def documented_overlay(gate: Cluster, tmp_path: Path, start: str) -> list[dict[str, Any]]:
    """What kustomize makes of an overlay that the page shows."""
    overlay = documented(paths.REPOSITORY / "docs" / "how-to" / "hard-gate.md", start)
    # kustomize takes no absolute paths.
    relative = Path(*[".."] * (len(tmp_path.parts) - 1)) / GATE.parent.relative_to("/")
    (tmp_path / "kustomization.yaml").write_text(overlay.replace("<this folder>", str(relative)))
    return list(yaml.safe_load_all(gate.kubectl("kustomize", str(tmp_path))))


def test_the_documented_exemption_is_a_patch_that_fits(gate: Cluster, tmp_path: Path) -> None:
    built = documented_overlay(gate, tmp_path, "# kustomization.yaml\n")

    policy = next(each for each in built if each["metadata"]["name"] == "transship-gate")
    exempt = policy["spec"]["variables"][0]
    assert exempt == {"name": "exempt", "expression": "['registry.k8s.io/', 'quay.io/istio/']"}
    gate.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f=-", stdin=json.dumps(policy))


def test_the_documented_installation_in_another_namespace_leaves_nothing_of_the_first(
    gate: Cluster, tmp_path: Path
) -> None:
    built = documented_overlay(gate, tmp_path, "# kustomization.yaml, for the namespace delivery\n")

    assert [each["metadata"]["name"] for each in built if "transship-system" in json.dumps(each)] == []
    policies = {each["metadata"]["name"]: each for each in built if each["kind"] == "ValidatingAdmissionPolicy"}
    operator = policies["transship-promotedimages"]["spec"]["variables"][0]
    assert operator == {"name": "operator", "expression": "'system:serviceaccount:delivery:transship'"}
    applied = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(policies.values())})
    gate.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f=-", stdin=applied)


def test_the_reference_page_has_every_field_and_an_example_that_is_accepted(gate: Cluster) -> None:
    page = paths.REPOSITORY / "docs" / "reference" / "promotedimages.md"
    (definition,) = yaml.safe_load_all((COMPONENT / "promotedimages.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    example = yaml.safe_load(documented(page, "apiVersion: transship.dev"))
    example["metadata"]["namespace"] = "default"

    gate.kubectl("create", "--dry-run=server", f"--as={asking.OPERATOR}", "-f=-", stdin=json.dumps(example))

    rows = [line.split("`")[1] for line in page.read_text().splitlines() if line.startswith("| `spec.")]
    assert rows == [f"spec.{name}" for name in schema["properties"]["spec"]["properties"]]


def test_there_is_one_list_in_a_namespace(gate: Cluster, namespace: str) -> None:
    other = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotedImages",
        "metadata": {"name": "another"},
        "spec": {"references": {}},
    }

    with pytest.raises(WorldError, match="its name is transship"):
        gate.kubectl("create", f"-n={namespace}", f"--as={asking.OPERATOR}", "-f=-", stdin=json.dumps(other))
