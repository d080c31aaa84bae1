"""Images of rendered resources, with the resource and the container they belong to.

A pod template is known by its shape, not by the kind around it: a mapping with a list `containers` of mappings. So
kinds nobody has told us of are understood, and custom resources that hold several templates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transship.kustomization.resources import Rendered, Resource, ResourceId
from transship.promotion.request import KIND as PROMOTION_REQUEST
from transship.promotion.workload import HOOK_MANAGER

MAX_DEPTH = 32
"""How deep a pod template may hide."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


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
    return tuple(found for resource in rendered.resources for found in _of_resource(resource))


def _of_resource(resource: Resource) -> Iterator[FoundImage]:
    is_request = resource.kind == PROMOTION_REQUEST
    named = _of_request(resource.content) if is_request else _of_templates(resource.content)
    is_hook = is_request or _is_hook(resource.content)
    for container, image in named:
        yield FoundImage(image, container, resource.id, resource.file, is_hook)


def _is_hook(content: Mapping[str, Any]) -> bool:
    spec = content.get("spec")
    return content.get("kind") == "Job" and isinstance(spec, dict) and spec.get("managedBy") == HOOK_MANAGER


def _of_request(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spec = content.get("spec")
    yield from _named(_mappings(spec, "containers"))


def _of_templates(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for pod in _pods(content, MAX_DEPTH):
        for part in _CONTAINERS:
            yield from _named(_mappings(pod, part))
        for volume in _mappings(pod, "volumes"):
            image = volume.get("image")
            reference = image.get("reference") if isinstance(image, dict) else None
            if isinstance(reference, str) and reference:
                yield f"volume-{volume.get('name', '')}", reference


def _pods(node: object, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth == 0:
        return
    if isinstance(node, dict):
        if _mappings(node, "containers"):
            yield node
            return
        for value in node.values():
            yield from _pods(value, depth - 1)
    elif isinstance(node, list):
        for value in node:
            yield from _pods(value, depth - 1)


def _mappings(node: object, name: str) -> Sequence[Mapping[str, Any]]:
    value = node.get(name) if isinstance(node, dict) else None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _named(containers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for container in containers:
        image = container.get("image")
        if isinstance(image, str) and image:
            yield str(container.get("name", "")), image
