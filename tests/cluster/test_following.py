"""PromotionRequests followed over watches that end: nothing is missed, and nothing is told twice."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from localworld.cluster import Cluster
from transship.cluster import connect_as, following
from transship.cluster.following import Change, Requests
from transship.errors import NeedsHuman

CRDS = "manifests/crd"
Resource = dict[str, Any]


@dataclass
class Shop:
    """A namespace with requests in it, and two ways to it: the adapter's, and an independent one."""

    cluster: Cluster
    namespace: str
    requests: Requests

    def path(self, name: str = "") -> str:
        return f"/apis/transship.dev/v1alpha1/namespaces/{self.namespace}/promotionrequests/{name}".rstrip("/")

    def create(self, name: str) -> None:
        spec = {"containers": [{"name": "c0", "image": "registry.example/shop/checkout:v1"}]}
        kind = {"apiVersion": "transship.dev/v1alpha1", "kind": "PromotionRequest"}
        self.cluster.admin.create(self.path(), {**kind, "metadata": {"name": name}, "spec": spec})

    def suspend(self, name: str) -> None:
        self.cluster.admin.patch(self.path(name), {"spec": {"suspend": True}})

    def delete(self, name: str) -> None:
        self.cluster.admin.delete(self.path(name))


@pytest.fixture
def shop(control_plane: Cluster, namespace: str, pytestconfig: pytest.Config) -> Iterator[Shop]:
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={pytestconfig.rootpath / CRDS}")
    control_plane.kubectl("wait", "--for=condition=Established", "crd/promotionrequests.transship.dev", "--timeout=30s")
    person = connect_as(control_plane.kubeconfig)
    yield Shop(control_plane, namespace, Requests(person.api))
    person.api.close()


def patient(seconds: float = 30.0) -> Callable[[], float]:
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def names(changes: list[Change]) -> list[tuple[str, bool]]:
    return [(each.key.name, each.is_gone) for each in changes]


def test_all_pages_of_a_list_are_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAGE", "2")
    wanted = [f"request-{number}" for number in range(5)]
    for name in wanted:
        shop.create(name)
    assert [each["metadata"]["name"] for each in shop.requests.all(shop.namespace)] == wanted


def test_what_happens_between_two_watches_is_told_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_WATCH_SECONDS", 1.0)
    shop.create("first")
    changes = shop.requests.follow(shop.namespace, patient())
    told = [next(changes)]
    time.sleep(1.5)  # a watch begins with the next question, and ends after a second
    shop.create("second")
    told.append(next(changes))
    shop.suspend("first")
    told.append(next(changes))
    shop.delete("first")
    told.append(next(changes))

    assert names(told) == [("first", False), ("second", False), ("first", False), ("first", True)]
    assert told[2].resource["spec"]["suspend"] is True


def test_one_that_went_between_two_lists_is_told_to_be_gone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object) -> Iterator[Change]:
        shop.delete("first")
        yield from ()

    shop.create("first")
    monkeypatch.setattr(shop.requests, "_watch", break_off)
    changes = shop.requests.follow(shop.namespace, patient())
    assert names([next(changes), next(changes)]) == [("first", False), ("first", True)]


def test_it_ends_when_the_time_is_over(shop: Shop) -> None:
    begun = time.monotonic()
    assert list(shop.requests.follow(shop.namespace, patient(1.0))) == []
    assert time.monotonic() - begun >= 1.0


def test_where_our_kinds_are_not_served_it_is_said_what_to_apply(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "API_VERSION", "elsewhere.example/v1")
    with pytest.raises(NeedsHuman, match="does not serve PromotionRequests: apply manifests/crd"):
        shop.requests.all(shop.namespace)
