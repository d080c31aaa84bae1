"""Lists are read and written alike in memory and at the API server."""

from pathlib import Path

import pytest

from gate.lists import MemoryLists
from localworld.controller import kubeconfig
from transship.cluster import Cluster, connect
from transship.operator.ports import PromotedLists
from transship.promotion.promoted import to_resource

FIRST, SECOND = {"shop/a:v1": f"sha256:{'1' * 64}"}, {"shop/b:v1": f"sha256:{'2' * 64}"}


@pytest.fixture(params=["memory", "API server"])
def lists(request: pytest.FixtureRequest, tmp_path: Path) -> PromotedLists:
    if request.param == "memory":
        return MemoryLists()
    world = request.getfixturevalue("world")
    request.getfixturevalue("gate")
    return Cluster(connect(kubeconfig(world, tmp_path)), "test")


def test_a_list_is_created_replaced_and_deleted(lists: PromotedLists, namespace: str) -> None:
    assert lists.promoted_images(namespace) is None
    made = lists.write_promoted_images(to_resource(namespace, FIRST))
    assert made is not None
    replaced = lists.write_promoted_images(to_resource(namespace, SECOND, made["metadata"]["resourceVersion"]))
    assert replaced is not None
    found = lists.promoted_images(namespace)
    assert found is not None
    assert found["spec"]["references"] == SECOND
    assert int(found["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])

    lists.delete_promoted_images(namespace, found["metadata"]["uid"])

    assert lists.promoted_images(namespace) is None


def test_a_list_that_is_not_as_it_was_is_not_written(lists: PromotedLists, namespace: str) -> None:
    made = lists.write_promoted_images(to_resource(namespace, FIRST))
    assert made is not None
    version = made["metadata"]["resourceVersion"]

    assert lists.write_promoted_images(to_resource(namespace, SECOND)) is None
    assert lists.write_promoted_images(to_resource(namespace, SECOND, version)) is not None
    assert lists.write_promoted_images(to_resource(namespace, FIRST, version)) is None
    lists.delete_promoted_images(namespace, "another-uid")
    found = lists.promoted_images(namespace)
    assert found is not None
    lists.delete_promoted_images(namespace, found["metadata"]["uid"])
    lists.delete_promoted_images(namespace, found["metadata"]["uid"])
    assert lists.write_promoted_images(to_resource(namespace, FIRST, version)) is None
