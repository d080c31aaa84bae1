"""Who asks for a promotion by `transship promote --wait`, where the request is there already."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from command_line.command import Said
from commands.conftest import REGISTRY, Asker, arrived, told
from manifests.examples import minimal_policy

POLICIES = "/apis/transship.dev/v1alpha1/promotionpolicies"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
IMAGE = f"{REGISTRY}/shop/checkout:v1"
Promote = Callable[..., str]


@pytest.fixture
def promote(transship: Asker, stop: Callable[[Any], Said]) -> Iterator[Promote]:
    """Ask for one image as somebody, where no operator looks at it, and leave it once it has been asked for."""
    name = transship.namespace
    transship.cluster.admin.create(POLICIES, minimal_policy(name, namespaces={"names": [name]}))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "checkout"}}
    for checkout in ("mine", "theirs"):
        (transship.home / checkout).mkdir()
        text = yaml.safe_dump({**pod, "spec": {"containers": [{"name": "app", "image": IMAGE}]}})
        (transship.home / checkout / "release.yaml").write_text(text)

    def run(who: str, checkout: str = "mine", **environment: str) -> str:
        arguments = ("--wait", "-n", name, "-f", str(transship.home / checkout / "release.yaml"))
        known = {"GITHUB_ACTOR": "whoever-pushed", "GITHUB_TRIGGERING_ACTOR": who, **environment}
        heard = ""
        with transship.start("promote", *arguments, **known) as child:
            while not heard.splitlines()[-1:] or not heard.splitlines()[-1].startswith(f"PromotionRequest {name}/"):
                line = child.stderr.readline()
                assert line, heard
                heard += line
            stop(child)
        return heard

    yield run
    transship.cluster.admin.delete(f"{POLICIES}/{name}")


def only(transship: Asker) -> Any:
    (request,) = transship.cluster.admin.get(transship.path)["items"]
    return request


def askers(transship: Asker) -> dict[str, str]:
    found: dict[str, str] = only(transship)["metadata"].get("annotations") or {}
    return {name.removeprefix("transship.dev/"): text for name, text in found.items()}


def test_whoever_joins_a_promotion_is_written_on_it_and_the_first_is_kept(promote: Promote, transship: Asker) -> None:
    mine, theirs = (str(transship.home / each / "release.yaml") for each in ("mine", "theirs"))
    promote("mary")
    promote("mary")
    assert askers(transship) == {"asked-by": "mary", "overlay": mine}
    for who in ("paul", "anna"):
        promote(who, "theirs")
    assert askers(transship) == {"asked-by": "anna", "overlay": theirs, "first-asked-by": "mary"}
    assert only(transship)["metadata"]["generation"] == 1, "it goes on, and is not begun anew"


def test_whoever_asks_again_is_told_by_history_with_the_first(promote: Promote, transship: Asker) -> None:
    promote("mary")
    images = [arrived("app", IMAGE, "2026-03-03T04:05:06Z")]
    transship.tell(only(transship), **told("Promoted", "Promoted", images=images))

    promote("paul")

    assert only(transship)["metadata"]["generation"] == 2, "it is looked at again"
    said = transship.here("history", "checkout").out
    assert f"paul with {transship.home}/mine/release.yaml, first mary" in said
    (found,) = json.loads(transship.here("history", "checkout", "-o", "json").out)
    assert (found["by"].split()[0], found["firstAskedBy"]) == ("paul", "mary")


def test_a_request_that_nobody_is_written_on_is_followed_and_written_on(promote: Promote, transship: Asker) -> None:
    promote("mary")
    request = only(transship)
    path = f"{transship.path}/{request['metadata']['name']}"
    transship.cluster.admin.request(
        "PATCH", path, {"metadata": {"annotations": None}}, content_type="application/merge-patch+json"
    )
    assert askers(transship) == {}
    promote("paul")
    assert askers(transship)["asked-by"] == "paul"


def test_who_may_not_change_a_request_follows_it_all_the_same(promote: Promote, transship: Asker) -> None:
    name, admin = transship.namespace, transship.cluster.admin
    promote("mary")
    rules = [
        {"apiGroups": ["transship.dev"], "resources": ["promotionpolicies"], "verbs": ["list"]},
        {
            "apiGroups": ["transship.dev"],
            "resources": ["promotionrequests"],
            "verbs": ["create", "get", "list", "watch"],
        },
    ]
    metadata = {"metadata": {"name": name}}
    admin.create(f"{RIGHTS}/clusterroles", {**metadata, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"pipeline-{name}"}
    admin.create(f"{RIGHTS}/clusterrolebindings", {**metadata, "roleRef": role, "subjects": [subject]})
    kubeconfig = transship.cluster.issue_kubeconfig(f"pipeline-{name}", f"pipeline-{name}", ())

    said = promote("paul", KUBECONFIG=str(kubeconfig))

    assert "keeps who asked for it before" in said
    assert askers(transship)["asked-by"] == "mary"
    for kind in ("clusterrolebindings", "clusterroles"):
        admin.delete(f"{RIGHTS}/{kind}/{name}")
