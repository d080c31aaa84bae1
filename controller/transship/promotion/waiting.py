"""Pods that wait for an image: which of them would start at once if they were made anew.

A kubelet that could not pull an image tries again after ten seconds, then after ever more, up to five minutes; the wait
hangs on the pod, so a new pod has none (docs/facts/kubernetes.md). Only a pod that has never run anything, that
somebody will make again, and that waits for nothing else may go.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})
_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class WaitingPod:
    """A pod that may be evicted.

    Attributes:
        version: the resourceVersion it was judged by; a pod that has changed since is not the one that was judged.
        images: what it waits for.
    """

    namespace: str
    name: str
    uid: str
    version: str
    images: tuple[str, ...]


def waiting_pod(resource: Mapping[str, Any], promoted: Collection[str]) -> WaitingPod | None:
    """A pod, as the API server sends it, if it waits for images that have been promoted and for nothing else."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    if status.get("phase") != "Pending" or "deletionTimestamp" in metadata:
        return None
    if _MIRROR in (metadata.get("annotations") or {}) or not _has_controller(metadata):
        return None
    states = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    if any(_has_run(each) for each in states):
        return None
    images = _images_by_container(resource.get("spec") or {})
    waited_for = {images.get(each["name"], "") for each in states if _is_pulling(each)}
    if not waited_for or not waited_for <= set(promoted):
        return None
    return WaitingPod(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        tuple(sorted(waited_for)),
    )


def waiting_pods(resources: list[dict[str, Any]], promoted: Collection[str]) -> Iterator[WaitingPod]:
    """Those of some pods that may be evicted."""
    for resource in resources:
        found = waiting_pod(resource, promoted)
        if found is not None:
            yield found


def _has_controller(metadata: Mapping[str, Any]) -> bool:
    # Without one nobody would make it again; a Node is the owner of mirror pods.
    owners = metadata.get("ownerReferences") or []
    return any(owner.get("controller") and owner["kind"] != "Node" for owner in owners)


def _has_run(status: Mapping[str, Any]) -> bool:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    return bool(status.get("restartCount") or last or "running" in state or "terminated" in state)


def _is_pulling(status: Mapping[str, Any]) -> bool:
    return ((status.get("state") or {}).get("waiting") or {}).get("reason") in _PULLING


def _images_by_container(pod: Mapping[str, Any]) -> dict[str, str]:
    # As written: the status may hold another spelling of it.
    return {each["name"]: each.get("image", "") for each in [*pod.get("initContainers", []), *pod["containers"]]}
