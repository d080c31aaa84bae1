"""The manifests and documents as the tests read them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "manifests"
SAMPLES = MANIFESTS / "samples"
KINDS = ("promotionrequests", "promotionpolicies")


def resources(path: Path) -> list[dict[str, Any]]:
    """The Kubernetes resources of one file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def resource(path: Path, kind: str) -> dict[str, Any]:
    """The one resource of that kind in a file."""
    (found,) = (each for each in resources(path) if each["kind"] == kind)
    return dict(found)


def version(plural: str) -> dict[str, Any]:
    """The one version of a custom resource definition."""
    definition = resource(MANIFESTS / "crd" / f"{plural}.yaml", "CustomResourceDefinition")
    (only,) = definition["spec"]["versions"]
    return dict(only)


def schema(plural: str, *path: str) -> dict[str, Any]:
    """The schema of a field; lists are passed through."""
    node = version(plural)["schema"]["openAPIV3Schema"]
    for name in path:
        node = node["properties"][name]
        node = node.get("items", node)
    return dict(node)


def fields(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field below a schema with its path, as `kubectl explain` writes it; list items have `[]` at the end."""
    for name, child in node.get("properties", {}).items():
        if f"{path}{name}" != "metadata":
            yield f"{path}{name}", child
            yield from _inside(child, f"{path}{name}")


def _inside(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from fields(node, f"{path}.")
    for inner in ("items", "additionalProperties"):
        if inner in node:
            yield f"{path}[]", node[inner]
            yield from _inside(node[inner], path)


def with_defaults(node: Mapping[str, Any], value: Any) -> Any:
    """A value with the schema's defaults, filled in as the API server does it: from the outside to the inside."""
    if isinstance(value, list):
        return [with_defaults(node["items"], each) for each in value]
    if not isinstance(value, dict):
        return value
    properties = node.get("properties", {})
    defaults = {name: child["default"] for name, child in properties.items() if "default" in child}
    return {name: with_defaults(properties.get(name, {}), each) for name, each in (defaults | value).items()}


class Recorder(dict[str, Any]):
    """A resource that knows which of its fields were read."""

    def __init__(self, content: Mapping[str, Any], path: str = "", read: set[str] | None = None) -> None:
        self.read: set[str] = set() if read is None else read
        self._path = path
        super().__init__({name: self._recorded(name, value) for name, value in content.items()})

    def _recorded(self, name: str, value: Any) -> Any:
        path = f"{self._path}.{name}".lstrip(".")
        if isinstance(value, dict):
            return Recorder(value, path, self.read)
        if isinstance(value, list):
            return [Recorder(each, path, self.read) if isinstance(each, dict) else each for each in value]
        return value

    def _note(self, name: str) -> None:
        self.read.add(f"{self._path}.{name}".lstrip("."))

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._note(name)
        return super().get(name, default)
