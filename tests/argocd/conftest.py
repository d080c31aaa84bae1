"""The operator, a scene for each test, and an overlay in it that Argo CD deploys."""

import json
from collections.abc import Iterator

import pytest

from argocd.shop import Shop
from endtoend.conftest import Hear, digests, hear, operator, scene
from endtoend.scene import Scene
from localworld.application import APPLICATIONS
from localworld.argocd import ArgoCD
from localworld.controller import Controller

__all__ = ["digests", "hear", "operator", "scene"]  # fixtures


@pytest.fixture(scope="package", autouse=True)
def _nothing_secret_is_said(argocd: ArgoCD, hear: Hear) -> Iterator[None]:
    yield
    hear("Argo CD's logs", argocd.said())


@pytest.fixture
def shop(scene: Scene, argocd: ArgoCD, operator: Controller, hear: Hear) -> Iterator[Shop]:
    """An overlay in a git repository of this test, and its Applications."""
    shop = Shop(scene, argocd, operator)
    yield shop
    hear("the Applications", json.dumps(scene.admin.get(APPLICATIONS)))
    shop.close()
