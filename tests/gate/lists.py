"""The port of lists in memory, with versions as the API server gives them."""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

Resource = dict[str, Any]


class MemoryLists:
    """`failure` is raised by every call while it is set; `writes` counts."""

    def __init__(self) -> None:
        self.objects: dict[str, Resource] = {}
        self.writes = 0
        self.failure: Exception | None = None
        self._versions = itertools.count(1)

    def promoted_images(self, namespace: str) -> Resource | None:
        self._answer()
        return copy.deepcopy(self.objects.get(namespace))

    def write_promoted_images(self, resource: Mapping[str, Any]) -> Resource | None:
        self._answer()
        namespace, version = resource["metadata"]["namespace"], resource["metadata"].get("resourceVersion")
        there = self.objects.get(namespace)
        if version != (there["metadata"]["resourceVersion"] if there is not None else None):
            return None
        self.writes += 1
        number = str(next(self._versions))
        uid = there["metadata"]["uid"] if there is not None else f"uid-{number}"
        metadata = {**resource["metadata"], "resourceVersion": number, "uid": uid}
        self.objects[namespace] = copy.deepcopy({**resource, "metadata": metadata})
        return copy.deepcopy(self.objects[namespace])

    def delete_promoted_images(self, namespace: str, uid: str) -> None:
        self._answer()
        if namespace in self.objects and self.objects[namespace]["metadata"]["uid"] == uid:
            del self.objects[namespace]

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure
