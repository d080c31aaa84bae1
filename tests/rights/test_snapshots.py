"""What each installation gives, word for word as `kubectl auth can-i --list` has it.

A snapshot that is to change is written anew by a run with TRANSSHIP_WRITE_SNAPSHOTS=1; its difference is then read and
committed by a person.
"""

import os
from pathlib import Path

import pytest

from endtoend.waiting import eventually
from localworld.cluster import Cluster
from manifests import asking
from rights import installations
from rights.installations import OPERATOR, OVERLAYS, OWN, WEBHOOK

SNAPSHOTS = Path(__file__).with_name("snapshots")
WITH_WEBHOOK = {"admission", "cert-manager", "namespaced-with-all"}
NEVER = [
    ("create", "", "pods/exec"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/attach"),
    ("create", "", "pods/portforward"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    ("get", "", "configmaps"),
    ("patch", "apps", "deployments"),
    ("create", "batch", "jobs"),
    ("delete", "batch", "jobs"),
    ("patch", "transship.dev", "promotionrequests"),
    ("create", "transship.dev", "promotionpolicies"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "", "secrets"),
    ("list", "", "secrets"),
    ("*", "*", "*"),
]
SECRETS = [(verb, "", "secrets") for verb in ("get", "update", "patch", "delete")]


@pytest.fixture(params=list(OVERLAYS))
def installed(request: pytest.FixtureRequest, cleared: Cluster, namespace: str, tmp_path: Path) -> str:
    """The name of the installation whose rights are in force, with the test's namespace as its tenant."""
    name = str(request.param)
    installations.replace(cleared, installations.build(cleared, tmp_path, name, namespace))
    return name


def _said(cluster: Cluster, name: str, tenant: str) -> str:
    """All rights of an installation, by who has them and where."""
    accounts = {"the operator": OPERATOR} | ({"the webhook": WEBHOOK} if name in WITH_WEBHOOK else {})
    places = {"any namespace": "default", "its own namespace": OWN}
    if name in installations.TENANTS:
        places["a namespace that is named"] = tenant
    return "\n".join(
        "\n".join([f"# {account} in {place}", *installations.may(cluster, who, where), ""])
        for account, who in accounts.items()
        for place, where in places.items()
    )


def test_an_installation_gives_these_rights_and_no_other(installed: str, cleared: Cluster, namespace: str) -> None:
    snapshot = SNAPSHOTS / f"{installed}.txt"
    if os.environ.get("TRANSSHIP_WRITE_SNAPSHOTS"):
        eventually(lambda: "promotionpolicies" in _said(cleared, installed, namespace), "rights count")
        snapshot.write_text(_said(cleared, installed, namespace))
    expected = snapshot.read_text()

    def look() -> bool:
        assert _said(cleared, installed, namespace) == expected
        return True

    eventually(look, f"the rights of {snapshot.name}", seconds=10)

    refused = [(OPERATOR, where, right) for where in (OWN, namespace) for right in (*NEVER, *SECRETS)]
    refused += [(WEBHOOK, namespace, right) for right in (*NEVER, *SECRETS)]
    refused += [(WEBHOOK, OWN, right) for right in NEVER]
    assert [each for each in refused if asking.may(cleared, {"user": each[0]}, *each[1:])] == []


def test_a_snapshot_is_of_an_installation_that_there_is() -> None:
    assert {each.stem for each in SNAPSHOTS.iterdir()} == OVERLAYS.keys()
