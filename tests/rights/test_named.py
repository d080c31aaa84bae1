"""The operator and the webhook with the Roles of some namespaces and no right in any other."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from admission import hook as hooks
from admission import pods
from admission.hook import Hook
from endtoend.scene import Scene, condition
from endtoend.waiting import eventually
from localworld.cluster import Cluster
from localworld.controller import Controller
from localworld.errors import WorldError
from localworld.paths import REPOSITORY
from localworld.world import World
from manifests import asking
from rights import installations

TENANT = REPOSITORY / "manifests" / "namespaced" / "tenant"
REFUSED = re.compile(r'^authorization_attempts_total\{result="(?:denied|no-opinion)"\} (\S+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def named(cleared: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The API server with the rights of an installation for named namespaces, and the webhook's."""
    directory = tmp_path_factory.mktemp("overlay")
    built = installations.build(cleared, directory, "namespaced-with-all", "named-by-the-overlay")
    elsewhere = [each for each in built if each["metadata"].get("namespace") != "named-by-the-overlay"]
    installations.replace(cleared, elsewhere)
    secret = [each for each in built if each["kind"] == "Secret"]
    content = {"apiVersion": "v1", "kind": "List", "items": secret}
    cleared.kubectl("apply", "--server-side", "--force-conflicts", "-f=-", stdin=json.dumps(content))
    return cleared


@pytest.fixture
def shop(world: World, named: Cluster, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace that is named, with its Roles."""
    scene = Scene(world, digests)
    admit(named, scene.namespace)
    yield scene
    scene.close()


@pytest.fixture
def stranger(world: World, named: Cluster, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace that is not named."""
    scene = Scene(world, digests)
    yield scene
    scene.close()


def admit(cluster: Cluster, namespace: str) -> None:
    """Give the rights in a namespace by the command of the how-to, and wait until they count."""
    for folder in (TENANT, TENANT / "admission"):
        cluster.kubectl("apply", "--server-side", f"--namespace={namespace}", f"--kustomize={folder}")
    right = ("patch", "", "pods")
    asking.wait_until(
        lambda: asking.may(cluster, {"user": installations.OPERATOR}, namespace, right), f"rights in {namespace}"
    )


def settings(*namespaces: str) -> dict[str, str]:
    """Of an operator for these namespaces; the webhook is installed."""
    return {"TRANSSHIP_NAMESPACES": ",".join(namespaces), "TRANSSHIP_ADMISSION": "true"}


def refused(cluster: Cluster) -> float:
    """How often the API server has said 403, to anybody."""
    return sum(float(count) for count in REFUSED.findall(cluster.kubectl("get", "--raw=/metrics")))


def notes(operator: Controller, message: str) -> dict[str, str]:
    """What the operator has logged under a message, by namespace."""
    lines = [each for each in operator.log_lines() if each["message"] == message]
    return {each["namespace"]: each.get("note", "") for each in lines}


def test_a_hook_and_a_workload_in_a_named_namespace_are_promoted_and_others_are_not_touched(
    world: World, named: Cluster, shop: Scene, stranger: Scene
) -> None:
    both = {"names": [shop.namespace, stranger.namespace]}
    shop.policy(namespaces=both)
    only_theirs = stranger.policy()["metadata"]["name"]
    stranger.deploy(shop.image())
    stranger.hook(shop.image())
    before = refused(named)

    with Controller(world, settings(shop.namespace)) as operator:
        shop.hook(shop.image("v1.4.1"))
        shop.deploy(shop.image())
        shop.until_job("promote-images", "Complete")
        shop.until_request(shop.request_for("checkout")["metadata"]["name"], "Promoted")
        shop.until_policy(shop.namespace, "True", "Valid")
        said = operator.log_lines()

    assert shop.tags() == {"v1.4.1", "v1.4.2"}
    assert stranger.all("PromotionRequest") == []
    assert stranger.get("Job", "promote-images")["status"] == {}
    # A policy for nobody who is watched is another operator's.
    policy = stranger.admin.get(f"/apis/transship.dev/v1alpha1/promotionpolicies/{only_theirs}")
    assert condition(policy, "Ready") == {}
    assert [each for each in said if each["level"] == "error" or "403" in json.dumps(each)] == []
    assert refused(named) == before
    with pytest.raises(WorldError, match="cannot list resource"):  # or else this would say nothing
        named.kubectl("get", "deployments", f"-n={stranger.namespace}", f"--as={installations.OPERATOR}")
    assert refused(named) == before + 1


def test_a_namespace_without_rights_is_waited_for_comes_and_goes_and_the_others_are_served(
    world: World, named: Cluster, shop: Scene, digests: Mapping[str, str]
) -> None:
    shop.policy()
    late = Scene(world, digests)  # it is there, but without Roles that cannot be told from one that is not
    late.policy()
    late.deploy(late.image("v1.5.0"))
    try:
        with Controller(world, settings(late.namespace, "there-is-none", shop.namespace)) as operator:
            shop.deploy(shop.image())
            shop.until_request(shop.request_for("checkout")["metadata"]["name"], "Promoted")
            told = notes(operator, "namespace is not watched")
            assert told.keys() == {late.namespace, "there-is-none"}
            assert f"kubectl apply -n {late.namespace} -k manifests/namespaced/tenant" in told[late.namespace]

            admit(named, late.namespace)

            late.until_request(late.request_for("checkout")["metadata"]["name"], "Promoted")
            assert late.tags() == {"v1.5.0"}
            shop.deploy(shop.image("v1.4.1"), name="second")
            shop.until_request(shop.request_for("second")["metadata"]["name"], "Promoted")

            before = len(operator.log_lines())
            named.kubectl("delete", "rolebinding", f"--namespace={late.namespace}", installations.OURS)

            eventually(lambda: _is_told(operator, before, late.namespace), "it is told of")
            shop.hook(shop.image())
            shop.until_job("promote-images", "Complete")
            assert operator.get("/healthz") == (200, "ok\n")
            assert operator.is_ready()
    finally:
        late.close()


def _is_told(operator: Controller, before: int, namespace: str) -> bool:
    later = [each for each in operator.log_lines()[before:] if each["message"] == "namespace is not watched"]
    return [each["namespace"] for each in later] == [namespace]


def test_an_operator_with_no_namespace_to_watch_is_not_ready_and_says_why(world: World, named: Cluster) -> None:
    operator = Controller(world, settings("there-is-none"))
    try:
        with pytest.raises(WorldError):
            operator.start(seconds=5.0)
        status, said = operator.get("/readyz")
        assert (status, "none of those in TRANSSHIP_NAMESPACES can be watched" in said) == (503, True)
    finally:
        operator.stop()


def test_pods_are_held_in_a_named_namespace_and_in_no_other(
    world: World, named: Cluster, shop: Scene, stranger: Scene
) -> None:
    both = {"names": [shop.namespace, stranger.namespace]}
    shop.policy(namespaces=both, watch={"workloads": False})
    for scene in (shop, stranger):
        place = f"/api/v1/namespaces/{scene.namespace}"
        scene.admin.patch(place, {"metadata": {"labels": {"transship.dev/admission": "enabled"}}})
        accounts = partial(scene.admin.get, f"{place}/serviceaccounts")
        eventually(lambda accounts=accounts: accounts()["items"], "pods can be made")  # type: ignore[misc]
    webhook = Hook(world, {"TRANSSHIP_NAMESPACES": f"{shop.namespace},there-is-none"})
    hooks.configure(named, hooks.configuration(webhook.port))
    try:
        webhook.start()
        probe = pods.resource(shop.image("v0.0.0"), name="probe")
        eventually(lambda: pods.is_held(pods.create(shop, probe, "?dryRun=All")), "the webhook knows the policy")
        assert not pods.is_held(pods.create(stranger, probe, "?dryRun=All"))
        told = {each["namespace"] for each in webhook.log_lines() if "cannot be read" in each["message"]}
        assert told == {"there-is-none"}

        with Controller(world, settings(shop.namespace)):
            made = pods.create(shop, pods.resource(shop.image(), name="waits"))
            assert pods.is_held(made)
            pods.until_free(shop, "waits")
        assert shop.tags() == {"v1.4.2"}
    finally:
        hooks.forget(named)
        webhook.stop()


def test_the_how_to_shows_the_overlay_that_is_kept_as_a_sample() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "namespaced.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    sample = REPOSITORY / "manifests" / "samples" / "namespaced"

    def documented(number: int) -> object:
        return installations.parse(blocks[number].replace("<this folder>", "../.."))

    assert documented(0) == installations.parse((sample / "kustomization.yaml").read_text())
    shop = installations.parse((sample / "shop" / "kustomization.yaml").read_text().replace("../../..", "../.."))
    assert documented(1) == shop


@pytest.fixture
def everything_is_gone(named: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """The API server without any right of ours; they come back at the end."""
    installations.clear(named)
    yield named
    built = installations.build(named, tmp_path, "namespaced-with-all", "named-by-the-overlay")
    installations.replace(
        named, [each for each in built if each["metadata"].get("namespace") != "named-by-the-overlay"]
    )


def test_an_operator_without_its_rights_ends_and_names_them(world: World, everything_is_gone: Cluster) -> None:
    operator = Controller(world, {"TRANSSHIP_ADMISSION": "true"})
    try:
        with pytest.raises(WorldError):
            operator.start()
        said = operator.child.log.read_text()
    finally:
        operator.stop()

    (line,) = [each for each in said.splitlines() if each.startswith("transship: ")]
    assert line.startswith("transship: the operator may not: list, watch promotionpolicies.transship.dev; ")
    assert "get, list, watch jobs.batch; patch jobs.batch/status" in line
    assert line.endswith("; apply manifests/rbac and manifests/admission/component of this version")


def test_a_webhook_without_its_rights_ends_and_names_them(world: World, everything_is_gone: Cluster) -> None:
    webhook = Hook(world)
    try:
        with pytest.raises(WorldError):
            webhook.start()
        said = webhook.child.log.read_text()
    finally:
        webhook.stop()

    assert "transship: the webhook may not: list promotionpolicies.transship.dev; list namespaces in the whole" in said
