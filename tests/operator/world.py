"""The Cluster port in memory, as far as reconcilers use it: objects by name, and what was written to them."""

import copy
import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from transship.promotion.request import RequestKey
from transship.promotion.waiting import WaitingPod
from transship.promotion.workload import WorkloadKey

CREATED = "2026-01-02T03:04:05Z"
DESTINATION = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
IMAGE = f"{DESTINATION}/shop/checkout:v1"

Resource = dict[str, Any]


class MemoryCluster:
    """Objects are dicts as the API server has them; `failure` is raised by every call while it is set."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Resource] = {}
        self.job_statuses: list[Mapping[str, Any]] = []
        self.policy_statuses: list[Mapping[str, Any]] = []
        self.events: list[str] = []
        self.failure: Exception | None = None
        self._versions = itertools.count(1)

    def put(self, kind: str, resource: Mapping[str, Any]) -> Resource:
        """Have an object there; it gets a new resourceVersion."""
        metadata = {"namespace": "", **resource["metadata"], "resourceVersion": str(next(self._versions))}
        stored = copy.deepcopy({**resource, "metadata": metadata})
        self.objects[kind, metadata["namespace"], metadata["name"]] = stored
        return copy.deepcopy(stored)

    def lease(self, namespace: str, name: str) -> Resource | None:
        return self._get("Lease", namespace, name)

    def write_lease(self, lease: Mapping[str, Any]) -> Resource | None:
        return self.put("Lease", lease)

    def policies(self) -> list[Resource]:
        self._answer()
        return [copy.deepcopy(each) for (kind, _, _), each in self.objects.items() if kind == "PromotionPolicy"]

    def namespaces(self, name: str | None = None) -> list[Resource]:
        self._answer()
        found = [each for (kind, _, _), each in self.objects.items() if kind == "Namespace"]
        return [copy.deepcopy(each) for each in found if name in {None, each["metadata"]["name"]}]

    def workload(self, key: WorkloadKey) -> Resource | None:
        return self._get(key.kind, key.namespace, key.name)

    def request(self, key: RequestKey) -> Resource | None:
        return self._get("PromotionRequest", key.namespace, key.name)

    def create_request(self, resource: Mapping[str, Any]) -> Resource | None:
        self._answer()
        metadata = resource["metadata"]
        if ("PromotionRequest", metadata["namespace"], metadata["name"]) in self.objects:
            return None
        made = {"uid": f"uid-of-{metadata['name']}", "generation": 1, "creationTimestamp": CREATED, **metadata}
        return self.put("PromotionRequest", {**resource, "metadata": made})

    def delete_request(self, key: RequestKey, uid: str) -> None:
        self._answer()
        self.objects.pop(("PromotionRequest", key.namespace, key.name), None)

    def write_request_status(self, key: RequestKey, uid: str, status: Mapping[str, Any]) -> Resource | None:
        found = self._get("PromotionRequest", key.namespace, key.name)
        if found is None or found["metadata"]["uid"] != uid:
            return None
        return self.put("PromotionRequest", found | {"status": dict(status)})

    def write_policy_status(self, name: str, uid: str, status: Mapping[str, Any]) -> Resource | None:
        self._answer()
        self.policy_statuses.append(status)
        return None

    def write_job_status(self, key: WorkloadKey, uid: str, status: Mapping[str, Any]) -> Resource | None:
        self._answer()
        self.job_statuses.append(status)
        return None

    def emit_event(self, regarding: Mapping[str, str], *, warning: bool, reason: str, note: str, now: datetime) -> None:
        self._answer()
        self.events.append(reason)

    def pending_pods(self, namespace: str) -> list[Resource]:
        self._answer()
        places = self.objects.items()
        return [copy.deepcopy(each) for (kind, space, _), each in places if (kind, space) == ("Pod", namespace)]

    def evict_pod(self, pod: WaitingPod) -> bool:
        self._answer()
        return self.objects.pop(("Pod", pod.namespace, pod.name), None) is not None

    def _get(self, kind: str, namespace: str, name: str) -> Resource | None:
        self._answer()
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure


def metadata(name: str, *, uid: str = "", namespace: str = "shop", version: int = 1, **more: Any) -> Resource:
    """Metadata as the API server has it."""
    return {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-of-{name}",
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": CREATED,
        **more,
    }


def namespace(name: str = "shop", **labels: str) -> Resource:
    return {"metadata": {"name": name, "labels": labels}}


def policy(name: str = "shop", *, uid: str = "", generation: int = 1, **spec: Any) -> Resource:
    return {
        "metadata": {"name": name, "uid": uid or f"uid-of-{name}", "generation": generation},
        "spec": {
            "source": {"registry": "111111111111.dkr.ecr.eu-west-1.amazonaws.com"},
            "destination": {"registry": DESTINATION},
            "namespaces": {"names": ["shop"]},
            "repositories": ["shop/*"],
            **spec,
        },
    }


def deployment(name: str = "checkout", *, uid: str = "", image: str = IMAGE) -> Resource:
    pod = {"spec": {"containers": [{"name": "app", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, uid=uid),
        "spec": {"template": pod},
    }


def hook(name: str = "promote-images", *, uid: str = "", image: str = IMAGE, created: str = CREATED) -> Resource:
    pod = {"spec": {"containers": [{"name": "app", "image": image}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(name, uid=uid, creationTimestamp=created),
        "spec": {"managedBy": "transship.dev/promotion", "template": pod},
    }


def request(name: str = "release", *, uid: str = "", version: int = 1, generation: int = 1, **more: Any) -> Resource:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": metadata(name, uid=uid, version=version) | {"generation": generation},
        "spec": {"containers": [{"name": "app", "image": IMAGE}]},
        **more,
    }
