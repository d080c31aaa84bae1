"""The operator may do what it needs and nothing else; the whole of it can be applied."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests import asking, examples, installation

READ = {"get", "list", "watch"}
EVERYWHERE = {
    "/namespaces": READ,
    "apps/daemonsets": READ,
    "apps/deployments": READ,
    "apps/statefulsets": READ,
    "batch/cronjobs": READ,
    "batch/jobs": READ,
    "batch/jobs/status": {"patch"},
    "transship.dev/promotionpolicies": {"list", "watch"},
    "transship.dev/promotionpolicies/status": {"patch"},
    "transship.dev/promotionrequests": READ | {"create", "delete"},
    "transship.dev/promotionrequests/status": {"patch"},
    "events.k8s.io/events": {"create", "patch"},
    "coordination.k8s.io/leases transship": {"list", "watch"},
}
# Every authenticated identity may ask about itself.
OF_EVERYBODY = {"authentication.k8s.io", "authorization.k8s.io"}


def _rights(control_plane: Cluster, namespace: str) -> dict[str, set[str]]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    groups = [f"--as-group={group}" for group in asking.GROUPS]
    answer = control_plane.kubectl(
        "create", f"--as={asking.OPERATOR}", *groups, "-f=-", "-o=json", "--validate=false", stdin=json.dumps(review)
    )
    found: dict[str, set[str]] = {}
    for rule in json.loads(answer)["status"]["resourceRules"]:
        for group in set(rule["apiGroups"]) - OF_EVERYBODY:
            names = [f" {name}" for name in rule.get("resourceNames", [])] or [""]
            for resource, name in product(rule["resources"], names):
                found.setdefault(f"{group}/{resource}{name}", set()).update(rule["verbs"])
    return found


def test_in_any_namespace_the_operator_has_exactly_these_rights(rights: Cluster, namespace: str) -> None:
    assert _rights(rights, namespace) == EVERYWHERE


def test_in_its_own_namespace_the_operator_may_hold_a_lease_as_well(rights: Cluster) -> None:
    of_its_own = {
        "coordination.k8s.io/leases": {"create"},
        "coordination.k8s.io/leases transship": {"get", "list", "update", "watch"},
    }

    assert _rights(rights, "transship-system") == EVERYWHERE | of_its_own


def test_the_operator_may_watch_its_own_lease_across_namespaces_and_no_other(rights: Cluster) -> None:
    def look(name: str) -> str:
        only = f"--field-selector=metadata.name={name}"
        return rights.kubectl("get", "leases", "--all-namespaces", only, "-o=name", f"--as={asking.OPERATOR}")

    look("transship")
    with pytest.raises(WorldError, match='cannot list resource "leases"'):
        look("another")


@pytest.mark.parametrize("is_own", [True, False], ids=["own namespace", "other namespace"])
@pytest.mark.parametrize(
    ("verb", "group", "resource"),
    [
        ("get", "", "secrets"),
        ("list", "", "pods"),
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("create", "", "serviceaccounts/token"),
        ("delete", "apps", "deployments"),
        ("patch", "apps", "deployments"),
        ("create", "batch", "jobs"),
        ("delete", "batch", "jobs"),
        ("patch", "transship.dev", "promotionrequests"),
        ("create", "transship.dev", "promotionpolicies"),
        ("list", "coordination.k8s.io", "leases"),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ],
)
def test_the_operator_may_not(  # noqa: PLR0913 - three words name a right, the others where it is asked for
    rights: Cluster, namespace: str, *, is_own: bool, verb: str, group: str, resource: str
) -> None:
    where = "transship-system" if is_own else namespace

    assert not asking.may(
        rights, {"user": asking.OPERATOR, "groups": list(asking.GROUPS)}, where, (verb, group, resource)
    )


@pytest.fixture
def editor(rights: Cluster, namespace: str, unique: str) -> str:
    """Somebody who may edit the requests of the test's namespace."""
    who = f"--user={unique}"
    rights.kubectl("create", "rolebinding", "edit", f"-n={namespace}", "--clusterrole=transship-edit", who)
    right = ("patch", "transship.dev", "promotionrequests")
    asking.wait_until(lambda: asking.may(rights, {"user": unique}, namespace, right), "an editor may edit")
    return unique


def test_an_editor_makes_and_changes_requests(rights: Cluster, namespace: str, editor: str) -> None:
    place = (f"-n={namespace}", f"--as={editor}")

    rights.kubectl("create", "-f=-", *place, "--validate=false", stdin=json.dumps(examples.request()))
    rights.kubectl("patch", "preq", "release", "--type=merge", '-p={"spec": {"suspend": true}}', *place)
    rights.kubectl("delete", "preq", "release", *place)


@pytest.mark.parametrize("verb", ["patch", "update"])
@pytest.mark.parametrize("resource", ["promotionrequests/status", "promotionpolicies", "promotionpolicies/status"])
def test_an_editor_writes_neither_a_status_nor_a_policy(
    rights: Cluster, namespace: str, editor: str, verb: str, resource: str
) -> None:
    assert not asking.may(rights, {"user": editor}, namespace, (verb, "transship.dev", resource))


def test_everything_is_applied_without_a_warning(rights: Cluster) -> None:
    """The namespace asks for warnings about pods that break the restricted Pod Security Standard."""
    whole = f"-k={installation.MANIFESTS / 'default'}"

    applied = rights.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", whole
    )

    assert len(applied.splitlines()) == len(rights.kubectl("kustomize", whole.removeprefix("-k=")).split("\n---\n"))
    assert "deployment.apps/transship serverside-applied" in applied


def test_the_operators_pod_meets_the_restricted_standard(rights: Cluster) -> None:
    template = _deployment()["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": template["spec"]}
    rights.kubectl("create", "--dry-run=server", "-n=transship-system", "-f=-", stdin=json.dumps(pod))

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(WorldError, match="violates PodSecurity"):
        rights.kubectl("create", "--dry-run=server", "-n=transship-system", "-f=-", stdin=json.dumps(pod))


def _deployment() -> dict[str, Any]:
    return installation.resource(_operator("deployment.yaml"), "Deployment")


def _operator(name: str) -> Path:
    return installation.MANIFESTS / "operator" / name


@pytest.mark.parametrize("sample", ["promotionpolicy.yaml", "promotionrequest.yaml"])
def test_a_sample_is_accepted(rights: Cluster, namespace: str, sample: str) -> None:
    path = installation.SAMPLES / sample

    answer = rights.kubectl("apply", "--server-side", "--dry-run=server", f"-n={namespace}", f"-f={path}")

    assert "serverside-applied (server dry run)" in answer
