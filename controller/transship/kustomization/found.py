"""Images of rendered resources, with the resource and the container they belong to.

A pod is known by its shape, not by the kind around it: a mapping with a list of containers that have images. So kinds
nobody has told us of are understood, and custom resources that hold several pods. What has the shape by accident, as
patterns of policies do, has no image in it that could be pulled, and is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transship.kustomization.resources import Rendered, Resource, ResourceId
from transship.oci.reference import Reference
from transship.promotion.request import API_VERSION as OURS
from transship.promotion.request import KIND as PROMOTION_REQUEST
from transship.promotion.workload import HOOK_MANAGER, ContainerImage, pod_images

MAX_DEPTH = 32
"""How deep a pod may hide."""
_PARTS = ("initContainers", "containers", "ephemeralContainers")
_PODS_BY_KIND = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout"})
# Holds what others are like, and no pod.
_WITHOUT_PODS = frozenset({"CustomResourceDefinition"})


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image, and where it was found.

    Attributes:
        image: as it is written; not parsed.
        container: the container's name, "volume-<name>" for an image volume.
        file: where the resource came from.
        is_hook: a Job that never runs, or a PromotionRequest: it asks for images, and no pod pulls by it.
    """

    image: str
    container: str
    resource: ResourceId
    file: str
    is_hook: bool


def images(rendered: Rendered) -> tuple[FoundImage, ...]:
    """All images, in the order of the resources and within a pod in which they are needed."""
    by_id = {each.id: each for each in rendered.resources}
    return tuple(found for resource in rendered.resources for found in _of_resource(resource, by_id))


def _of_resource(resource: Resource, by_id: Mapping[ResourceId, Resource]) -> Iterator[FoundImage]:
    is_hook = _is_hook(resource)
    for each in _asked_for(resource):
        yield FoundImage(each.image, each.name, resource.id, resource.file, is_hook)
    # A Rollout may leave its pods to a Deployment, which is there for nothing else.
    reference = _mapping(_mapping(resource.content, "spec"), "workloadRef")
    if resource.kind == "Rollout" and reference:
        named = ResourceId(str(reference.get("kind")), resource.namespace, str(reference.get("name")))
        if named in by_id and named.kind != "Rollout":
            yield from (replace(each, resource=resource.id) for each in _of_resource(by_id[named], {}))


def _asked_for(resource: Resource) -> Iterator[ContainerImage]:
    if resource.kind in _WITHOUT_PODS:
        return
    is_meant = resource.kind in _PODS_BY_KIND or resource.api_version == OURS
    for pod in _pods(resource.content, MAX_DEPTH):
        for each in pod_images(pod):
            if is_meant or _is_image(each.image):
                yield each


def _is_hook(resource: Resource) -> bool:
    if resource.kind == PROMOTION_REQUEST and resource.api_version == OURS:
        return True
    return resource.kind == "Job" and _mapping(resource.content, "spec").get("managedBy") == HOOK_MANAGER


def _is_image(text: str) -> bool:
    try:
        Reference.parse(text)
    except ValueError:
        return False
    return True


def _pods(node: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """Whatever has the shape of a pod, as the API server would hold it: nothing missing, nothing of a wrong type."""
    if depth == 0:
        return
    if isinstance(node, list):
        for each in node:
            yield from _pods(each, depth - 1)
    elif isinstance(node, dict):
        init, containers, ephemeral = ([*_containers(node, part)] for part in _PARTS)
        if init or containers or ephemeral:
            volumes = [*_volumes(node)]
            yield {"initContainers": init, "containers": [*containers, *ephemeral], "volumes": volumes}
        for name, value in node.items():
            if name not in _PARTS:
                yield from _pods(value, depth - 1)


def _containers(pod: Mapping[str, Any], part: str) -> Iterator[Mapping[str, Any]]:
    for each in _mappings(pod, part):
        if isinstance(image := each.get("image"), str) and image:
            yield {"name": str(each.get("name", "")), "image": image}


def _volumes(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in _mappings(pod, "volumes"):
        reference = _mapping(each, "image").get("reference")
        if isinstance(reference, str) and reference:
            yield {"name": str(each.get("name", "")), "image": {"reference": reference}}


def _mapping(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = node.get(name)
    return value if isinstance(value, dict) else {}


def _mappings(node: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = node.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
