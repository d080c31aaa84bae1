"""Resources: what a rendering holds, whoever rendered it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transship.errors import NeedsHuman, Reason
from transship.kustomization.documents import Document, read_documents

STANDARD_INPUT = "-"
_NAMES = ("apiVersion", "kind")


@dataclass(frozen=True, slots=True, order=True)
class ResourceId:
    """What tells a resource from others of a rendering; namespace and name are empty where none is written."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        file: what it came from: the file that has it, the overlay where that is not known, or "-".
        content: all of it, as JSON would have it.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    file: str
    content: Mapping[str, Any]

    @property
    def id(self) -> ResourceId:
        """Kind, namespace and name."""
        return ResourceId(self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Rendered:
    """All resources of a rendering, in its order."""

    resources: tuple[Resource, ...]


def read_stream(text: str, file: str = STANDARD_INPUT) -> Rendered:
    """Read rendered YAML: of `helm template`, of `kubectl get -o yaml`, or written by hand.

    Args:
        text: any number of documents; a `List` counts as its items.
        file: where it came from, for messages and for the resources.

    Raises:
        NeedsHuman: InvalidRequest, with line and document.
    """
    found = (each for document in read_documents(text, file) for each in _resources(document, file))
    return Rendered(tuple(found))


def _resources(document: Document, file: str) -> Iterator[Resource]:
    content = document.content
    if content is None or content == {}:
        return
    if not isinstance(content, dict):
        raise _refused(document, file, "is no resource: a mapping with apiVersion and kind")
    if str(content.get("kind", "")).endswith("List") and isinstance(content.get("items"), list):
        for item in content["items"]:
            yield from _resources(Document(item, document.number, document.line), file)
        return
    yield _resource(document, content, file)


def _resource(document: Document, content: Mapping[str, Any], file: str) -> Resource:
    api_version, kind = (content.get(name) for name in _NAMES)
    if not (isinstance(api_version, str) and isinstance(kind, str) and api_version and kind):
        raise _refused(document, file, "is no resource: it needs apiVersion and kind")
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    namespace, name = (metadata.get(each) for each in ("namespace", "name"))
    return Resource(
        api_version=api_version,
        kind=kind,
        namespace=namespace if isinstance(namespace, str) else "",
        name=str(name or metadata.get("generateName") or ""),
        file=file,
        content=content,
    )


def _refused(document: Document, file: str, why: str) -> NeedsHuman:
    where = f"{file}, line {document.line}, document {document.number}"
    return NeedsHuman(Reason.INVALID_REQUEST, f"{where}: what is there {why}")
