"""Workloads: the objects with a pod template, reduced to the images their pods will pull.

A watch event's dict becomes a `Workload` here and the dict goes no further (design §2). Images are found in
containers, init containers and OCI image volumes of the pod template.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transship.promotion.argocd import Origin, parse_origin

HOOK_MANAGER = "transship.dev/promotion"
"""`spec.managedBy` of a hook Job that never runs: this operator is its controller (design §5.1)."""

_TEMPLATE_PATHS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),  # is what others have as a template
}
_MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image a pod will pull, by the name of the container (or volume) that asks for it. Not parsed yet."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class WorkloadKey:
    """What identifies a workload over time: kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Workload:
    """An object with a pod template.

    Attributes:
        uid: identity of this very object; a re-created one has another.
        images: what its pods pull, in the order of the template.
        is_hook: a Job that waits for this operator instead of the Job controller.
        needs_images: pods may still be started from it (not a finished Job, not a child whose parent is watched
            itself, and not while it is being deleted, but for a hook, which Argo CD may still wait for).
        origin: the Argo CD application it belongs to, and what its author asks for.
        created_at: creation time as the API server set it.
    """

    key: WorkloadKey
    api_version: str
    uid: str
    images: tuple[ContainerImage, ...]
    is_hook: bool
    needs_images: bool
    origin: Origin
    created_at: datetime

    @property
    def regarding(self) -> Mapping[str, str]:
        """How an event names it."""
        key = self.key
        return {
            "apiVersion": self.api_version,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": self.uid,
        }


def parse_workload(resource: Mapping[str, Any]) -> Workload:
    """Reduce a Deployment, StatefulSet, DaemonSet, ReplicaSet, CronJob, Job or Pod, as the API server sends it.

    Raises:
        KeyError: the kind is none of these.
    """
    metadata, kind = resource["metadata"], resource["kind"]
    template = _descend(resource, _TEMPLATE_PATHS[kind])
    is_hook = kind == "Job" and resource.get("spec", {}).get("managedBy") == HOOK_MANAGER
    return Workload(
        key=WorkloadKey(kind, metadata["namespace"], metadata["name"]),
        api_version=resource["apiVersion"],
        uid=metadata["uid"],
        images=pod_images(template.get("spec", {})),
        is_hook=is_hook,
        needs_images=not _is_finished_job(resource) and (is_hook or not _is_left_alone(metadata)),
        origin=parse_origin(resource),
        created_at=parse_time(metadata["creationTimestamp"]),
    )


def pod_images(pod: Mapping[str, Any]) -> tuple[ContainerImage, ...]:
    """The images that a pod's spec asks for, in the order in which they are needed."""
    return tuple(_named_uniquely(_images(pod)))


def parse_time(text: str) -> datetime:
    """A Kubernetes timestamp (RFC 3339, UTC) as a datetime."""
    return datetime.fromisoformat(text)


def _descend(resource: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    node: Any = resource
    for step in path:
        node = node.get(step) or {}
    return node  # type: ignore[no-any-return] # JSON: an object at every step, as the API server's schema has it


def _images(pod: Mapping[str, Any]) -> Iterator[ContainerImage]:
    for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
        if container.get("image"):
            yield ContainerImage(container["name"], container["image"])
    for volume in pod.get("volumes", []):
        if reference := (volume.get("image") or {}).get("reference"):
            yield ContainerImage(f"volume-{volume['name']}"[:_MAX_NAME].rstrip("-"), reference)


def _named_uniquely(images: Iterator[ContainerImage]) -> Iterator[ContainerImage]:
    # Containers cannot share a name, but a container may be called like our name for a volume.
    taken: set[str] = set()
    for each in images:
        name, count = each.name, 1
        while name in taken:
            count += 1
            name = f"{each.name[: _MAX_NAME - 4]}-{count}"
        taken.add(name)
        yield ContainerImage(name, each.image)


def _is_finished_job(resource: Mapping[str, Any]) -> bool:
    conditions = (resource.get("status") or {}).get("conditions") or []
    return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)


def _is_left_alone(metadata: Mapping[str, Any]) -> bool:
    # In a foreground deletion its requests go first: they would be made, and be collected, again and again.
    return "deletionTimestamp" in metadata or _has_watched_parent(metadata)


def _has_watched_parent(metadata: Mapping[str, Any]) -> bool:
    owners = metadata.get("ownerReferences", [])
    return any(owner.get("controller") and owner["kind"] == "CronJob" for owner in owners)
