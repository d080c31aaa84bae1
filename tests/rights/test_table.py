"""The rights that are checked at the start are those that the manifests give, and none of them is too wide."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import installation
from transship.promotion import rights
from transship.promotion.rights import Right

MANIFESTS = installation.MANIFESTS
ROLES = [
    (path.relative_to(MANIFESTS), each)
    for path in sorted(MANIFESTS.rglob("*.yaml"))
    for each in yaml.safe_load_all(path.read_text())
    if each and each.get("kind") in {"Role", "ClusterRole"} and "rules" in each
]
Given = set[tuple[str, str, str, str]]


def _rules(folder: str, kind: str, *names: str) -> Given:
    """What the roles of these names in a folder give: verb, group, resource and name."""
    found = [each for path, each in ROLES if str(path.parent) == folder and each["kind"] == kind]
    chosen = [each for each in found if each["metadata"]["name"] in names]
    assert len(chosen) == len(names), folder
    return {right for role in chosen for rule in role["rules"] for right in _each(rule)}


def _each(rule: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for verb in rule["verbs"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    yield verb, group, resource, name


def _table(*wanted: Iterable[Right]) -> Given:
    return {(each.verb, each.group, each.resource, each.name) for part in wanted for each in part}


def test_for_all_namespaces_the_operator_is_given_what_it_looks_for() -> None:
    lease = "transship"

    assert _rules("rbac", "ClusterRole", "transship-operator") == _table(
        rights.NAMESPACED, rights.of_all_namespaces(lease)
    )
    assert _rules("rbac", "ClusterRole", "transship-policies") == _table(rights.POLICIES)
    assert _rules("rbac", "Role", "transship-leader") == _table(rights.of_leader(lease))
    assert _rules("gate/component", "ClusterRole", "transship-operator-gate") == _table(rights.NAMESPACED_GATE)
    assert _rules("admission/component", "ClusterRole", "transship-operator-admission") == _table(
        rights.NAMESPACED_ADMISSION
    )


def test_in_a_namespace_that_is_named_it_is_given_the_same_and_nothing_of_the_cluster() -> None:
    assert _rules("namespaced/tenant", "Role", "transship-operator") == _table(rights.NAMESPACED)
    assert _rules("namespaced/tenant/gate", "Role", "transship-operator-gate") == _table(rights.NAMESPACED_GATE)
    assert _rules("namespaced/tenant/admission", "Role", "transship-operator-admission") == _table(
        rights.NAMESPACED_ADMISSION
    )
    waiting = "transship-waiting-pods"
    assert _rules("namespaced/tenant/waiting-pods", "Role", waiting) == _rules("waiting-pods", "ClusterRole", waiting)


def test_the_webhook_is_given_what_it_looks_for() -> None:
    wanted = [right for _, right in rights.of_webhook(())]
    named = [right for _, right in rights.of_webhook(("shop",))]
    own = list(rights.of_certificate("transship-system", "transship-admission-tls", "transship-admission"))
    certificate = "transship-admission-certificate"

    component = "admission/component"
    assert _rules(component, "ClusterRole", "transship-admission", "transship-admission-policies") == _table(wanted)
    assert _rules(component, "ClusterRole", "transship-admission-policies") == _table(named)
    assert _rules("namespaced/tenant/admission", "Role", "transship-admission") == _table(
        rights.of_webhook_in_namespace()
    )
    for kind, is_namespaced in (("Role", True), ("ClusterRole", False)):
        expected = [right for namespace, right in own if bool(namespace) == is_namespaced]
        assert _rules("admission/self-managed", kind, certificate) == _table(expected)


def test_every_right_is_given_by_the_folder_it_says() -> None:
    everything = (
        *rights.of_operator("transship-system", "transship", (), gate=True, admission=True),
        *rights.of_webhook(()),
        *rights.of_certificate("transship-system", "transship-admission-tls", "transship-admission"),
    )

    for right in [right for _, right in everything] + list(rights.of_webhook_in_namespace()):
        folder = MANIFESTS.parent / right.given_by
        given = {
            each
            for path, role in ROLES
            if MANIFESTS / path.parent == folder
            for rule in role["rules"]
            for each in _each(rule)
        }
        assert (right.verb, right.group, right.resource, right.name) in given, right


@pytest.mark.parametrize(("path", "role"), ROLES, ids=lambda each: str(each) if isinstance(each, Path) else "")
def test_no_role_has_a_wildcard_or_reaches_into_pods_or_secrets(path: Path, role: dict[str, Any]) -> None:
    for rule in role["rules"]:
        words = [*rule["verbs"], *rule["apiGroups"], *rule["resources"], *rule.get("resourceNames", [])]
        assert [each for each in words if "*" in each] == [], path
        assert "nonResourceURLs" not in rule, path
        assert not {"pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token"} & set(rule["resources"])
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]) or _is_for_people(role)
        assert "secrets" not in rule["resources"] or rule.get("resourceNames") == ["transship-admission-tls"], path


def _is_for_people(role: dict[str, Any]) -> bool:
    return any("aggregate-to-" in label for label in role["metadata"]["labels"])


def test_what_is_missing_is_told_by_place_and_resource() -> None:
    missing = [
        ("shop", Right("list", "batch", "jobs")),
        ("shop", Right("watch", "batch", "jobs")),
        ("shop", Right("patch", "batch", "jobs/status")),
        ("", Right("update", "coordination.k8s.io", "leases", "transship", "manifests/other")),
    ]

    assert rights.describe(missing) == (
        "list, watch jobs.batch; patch jobs.batch/status in namespace shop; "
        "update leases.coordination.k8s.io transship in the whole cluster"
    )
    assert rights.advice(missing) == "apply manifests/rbac and manifests/other of this version"
