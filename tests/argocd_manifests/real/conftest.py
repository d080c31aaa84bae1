"""The operator, a scene and an overlay for each test, as tests/argocd has them."""

from argocd.conftest import hear, operator, scene, shop

__all__ = ["hear", "operator", "scene", "shop"]  # fixtures
