"""The API server with the rights of one installation at a time."""

from collections.abc import Iterator

import pytest

from localworld.cluster import Cluster
from localworld.controller import install
from localworld.world import World
from rights import installations


@pytest.fixture(scope="package")
def cleared(world: World) -> Iterator[Cluster]:
    """The API server with our kinds, and at the end with the rights that others expect."""
    install(world)
    yield world.cluster
    installations.clear(world.cluster)
    install(world)
