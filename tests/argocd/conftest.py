"""The operator, a scene for each test, and an overlay in it that Argo CD deploys."""

import json
from collections.abc import Iterator

import pytest
import yaml

from argocd.shop import Shop
from endtoend.conftest import SETTINGS, Hear, hear, running, scene
from endtoend.scene import OURS, Scene
from endtoend.waiting import eventually
from localworld.application import APPLICATIONS
from localworld.argocd import ArgoCD
from localworld.controller import Controller
from localworld.paths import REPOSITORY
from localworld.world import World

__all__ = ["hear", "scene"]  # fixtures


@pytest.fixture(scope="package")
def operator(world: World, hear: Hear) -> Iterator[Controller]:
    """The operator; it may be paused for as long as its Lease is good."""
    with running(world, hear, SETTINGS | {"TRANSSHIP_LEASE_SECONDS": "30"}) as controller:
        yield controller


@pytest.fixture(scope="package", autouse=True)
def _nothing_secret_is_said(argocd: ArgoCD, hear: Hear) -> Iterator[None]:
    yield
    hear("Argo CD's logs", argocd.said())


def _health_check() -> dict[str, str]:
    """What an administrator adds to argocd-cm."""
    resource = yaml.safe_load((REPOSITORY / "manifests/argocd/argocd-cm.yaml").read_text(encoding="utf-8"))
    return dict(resource["data"])


@pytest.fixture
def health_check(argocd: ArgoCD, collected: None) -> None:
    """Argo CD knows when a PromotionRequest is done."""
    argocd.configure(_health_check())


@pytest.fixture
def no_health_check(argocd: ArgoCD, collected: None) -> None:
    """Argo CD knows nothing about PromotionRequests."""
    argocd.configure(dict.fromkeys(_health_check()))


@pytest.fixture(scope="package")
def collected(world: World, operator: Controller) -> None:
    """The garbage collector knows PromotionRequests: it looks for new kinds twice a minute.

    Until then it does not finish the foreground deletions that Argo CD asks for.
    """
    admin = world.cluster.admin
    path = f"{OURS}/namespaces/default/promotionrequests"
    admin.create(
        path,
        {
            "apiVersion": "transship.dev/v1alpha1",
            "kind": "PromotionRequest",
            "metadata": {"name": "collected"},
            "spec": {"containers": [{"name": "c0", "image": "nowhere.invalid/nothing:v1"}]},
        },
    )
    admin.delete(f"{path}/collected", {"propagationPolicy": "Foreground"})
    eventually(lambda: admin.get(path)["items"] == [], "a PromotionRequest is deleted in the foreground", seconds=60)


@pytest.fixture
def shop(scene: Scene, argocd: ArgoCD, operator: Controller, hear: Hear) -> Iterator[Shop]:
    """An overlay in a git repository of this test, and its Applications."""
    shop = Shop(scene, argocd, operator)
    yield shop
    hear("the Applications", json.dumps(scene.admin.get(APPLICATIONS)))
    shop.close()
