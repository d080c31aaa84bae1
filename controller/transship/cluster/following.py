"""PromotionRequests as somebody at a terminal looks at them: listed, and followed while they change."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transship.cluster.api import Api, NotFound
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.promotion.request import API_VERSION, RequestKey

_WATCH_SECONDS = 240.0
_PAUSE_SECONDS = 1.0
_PAGE = "500"


@dataclass(frozen=True, slots=True)
class Change:
    """A request as it is now, or as it was when it went."""

    resource: Mapping[str, Any]
    is_gone: bool = False

    @property
    def key(self) -> RequestKey:
        """Of the request."""
        metadata = self.resource["metadata"]
        return RequestKey(metadata["namespace"], metadata["name"])


class Requests:
    """The PromotionRequests of a cluster. Errors are those of `Api`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def all(self, namespace: str) -> list[dict[str, Any]]:
        """Those of a namespace, or of all when it is empty; by namespace and name."""
        found, _ = self._list(namespace)
        return found

    def current(self, namespace: str) -> Iterator[Change]:
        """The same, each as a change."""
        return (Change(each) for each in self.all(namespace))

    def follow(self, namespace: str, seconds_left: Callable[[], float]) -> Iterator[Change]:
        """Each request as it is, then each change, until no seconds are left; what breaks off is taken up again."""
        known: dict[RequestKey, str] = {}
        while seconds_left() > 0:
            try:
                found, version = self._list(namespace)
                yield from _new(known, found)
                yield from self._watch(known, namespace, version, min(_WATCH_SECONDS, seconds_left()))
            except RetryLater:
                time.sleep(max(0.0, min(_PAUSE_SECONDS, seconds_left())))

    def _watch(self, known: dict[RequestKey, str], namespace: str, version: str, seconds: float) -> Iterator[Change]:
        for event in self._api.watch(_path(namespace), version, seconds):
            if event["type"] == "ERROR":  # too old a version, mostly: the next list tells what was missed
                return
            change = Change(event["object"], is_gone=event["type"] == "DELETED")
            known[change.key] = change.resource["metadata"]["resourceVersion"]
            if change.is_gone:
                del known[change.key]
            yield change

    def _list(self, namespace: str) -> tuple[list[dict[str, Any]], str]:
        query, found = {"limit": _PAGE}, []
        while True:
            try:
                page = self._api.get(_path(namespace), query)
            except NotFound as error:
                raise NeedsHuman(
                    Reason.INVALID_REQUEST,
                    "the cluster does not serve PromotionRequests: apply manifests/crd, or name another --context",
                ) from error
            kind = {"apiVersion": API_VERSION, "kind": "PromotionRequest"}
            found += [kind | each for each in page["items"]]
            if not page["metadata"].get("continue"):
                return found, page["metadata"]["resourceVersion"]
            query = {"limit": _PAGE, "continue": page["metadata"]["continue"]}


def _new(known: dict[RequestKey, str], found: list[dict[str, Any]]) -> Iterator[Change]:
    now = {(change := Change(each)).key: change for each in found}
    for key in known.keys() - now.keys():
        version = known.pop(key)
        yield Change(
            {"metadata": {"namespace": key.namespace, "name": key.name, "resourceVersion": version}}, is_gone=True
        )
    for key, change in now.items():
        version = change.resource["metadata"]["resourceVersion"]
        if known.get(key) != version:
            known[key] = version
            yield change


def _path(namespace: str) -> str:
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{API_VERSION}{place}/promotionrequests"
