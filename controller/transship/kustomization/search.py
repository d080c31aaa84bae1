"""Searching the kustomizations of an overlay for the places that set images."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from transship.kustomization.documents import read_documents
from transship.kustomization.files import refused
from transship.kustomization.layers import Layer, Role
from transship.kustomization.named import is_written_out
from transship.kustomization.places import (
    ENTRY_FIELDS,
    Entry,
    How,
    Line,
    Opaque,
    Place,
    Places,
    is_pattern,
    joined,
    may_match,
    names_of,
)
from transship.kustomization.source import Block, Source, inner, items, pairs, scalar, value_of

MAX_DEPTH = 32
_Spot = tuple[str, str, str, str, ScalarNode]
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_OF_CONTAINER = re.compile(r"/((?:initContainers|containers|ephemeralContainers)/[^/]+)/image\Z")
_OF_VOLUME = re.compile(r"/(volumes/[^/]+)/image/reference\Z")
_CONTAINER = re.compile(r"/(?:initContainers|containers|ephemeralContainers)/[^/]+\Z")
_LIST = re.compile(r"/(initContainers|containers|ephemeralContainers|volumes)\Z")
_FIELD_PATH = re.compile(
    r"(?:.*\.)?(?:(?:initContainers|containers|ephemeralContainers)\.(?P<container>.+)\.image"
    r"|volumes\.(?P<volume>.+)\.image\.reference)\Z"
)
_BY_NAME = re.compile(r"\[name=(?P<name>.+)\]\Z")


def find_places(top: Layer, name: str, read: Callable[[Path, Path], str], shown: Callable[[Path], Path]) -> Places:
    """Find where images are set.

    Args:
        top: the overlay.
        name: of the image that is looked for; empty for all. Of others the overlay's own places are found as well.
        read: the text of a file that has to be in a folder.
        shown: how a file is called in messages.

    Raises:
        NeedsHuman: InvalidRequest: a file cannot be read.
    """
    places = Places()
    layers = {each.folder: each for each in top.walk() if each.role is not Role.PLUGINS}.values()
    finders = [_Finder(layer, list(layers), places, read, shown) for layer in layers]
    for each in finders:
        each.find_entries()
    # Reading where everything is written takes time, and most files have nothing to do with the image.
    names = names_of(places.entries, name) if name and not places.opaque else {""}
    for each in finders:
        each.find_lines(names)
    return places


@dataclass(slots=True)
class _Finder:
    layer: Layer
    layers: list[Layer]
    places: Places
    read: Callable[[Path, Path], str]
    shown: Callable[[Path], Path]

    def find_entries(self) -> None:
        """Find what the kustomization itself says: entries, and what is opaque."""
        source = self._source(self.layer.file)
        root = source.roots()[0]
        self._entries(source, root)
        self._replacements(source, root)
        self._plugins(source, root)

    def find_lines(self, names: set[str]) -> None:
        """Find the lines of patches and resources in files that mention one of these names."""
        source = self._source(self.layer.file)
        root = source.roots()[0]
        for name in ("patchesStrategicMerge", "patches", "patchesJson6902"):
            for each in items(value_of(root, name)):
                self._patch(source, each, names)
        for file in self.layer.resources:
            resources = self._source(file)
            if _may_mention(resources.text, names):
                for document in resources.roots():
                    self._lines(resources, _shaped(document), How.RESOURCE)

    def _source(self, file: Path) -> Source:
        return Source(self.read(file, self.layer.folder), file, str(self.shown(file)))

    def _place(self, source: Source, start: int, how: How, image: str) -> Place:
        return Place(self.shown(source.file), source.line(start), how, image, self.layer.role is Role.OVERLAY)

    def _entries(self, source: Source, root: Node) -> None:
        for each in (entry for name in ("images", "imageTags") for entry in items(value_of(root, name))):
            fields = {name.value: scalar(value) for name, value in pairs(each)}
            if not isinstance(each, MappingNode) or not fields.get("name"):
                continue
            unknown = set(fields) - {*ENTRY_FIELDS, "tagSuffix"}
            if unknown:
                where = f"{source.name}:{source.line(each.start_mark.index)}"
                raise refused(f"{where}: an entry of images has no {min(unknown)[:80]!r}; check its spelling")
            image = joined(fields.get("newName") or fields["name"], fields.get("newTag", ""), fields.get("digest", ""))
            place = self._place(source, each.start_mark.index, How.IMAGES, image)
            if is_pattern(fields["name"]):
                self.places.opaque.append(Opaque(place, _matched(fields["name"], fields.get("newName", ""))))
                continue
            self.places.entries.append(Entry(place, source.file, self.layer.role, each, fields))

    def _patch(self, source: Source, node: Node, names: set[str]) -> None:
        path = node if isinstance(node, ScalarNode) else value_of(node, "path")
        text = node if isinstance(node, ScalarNode) and is_written_out(node.value) else value_of(node, "patch")
        target = value_of(node, "target")
        if text is not None and scalar(text):
            self._patches(Block.of(source, text), target)
        elif isinstance(path, ScalarNode):
            other = self._source(self.layer.folder / scalar(path))
            if self.layer.role is Role.OVERLAY or _may_mention(other.text, names):
                self._patches(other, target)

    def _patches(self, source: Source, target: Node | None) -> None:
        for document in source.roots():
            if isinstance(document, SequenceNode):
                kind, name = scalar(value_of(target, "kind")), scalar(value_of(target, "name"))
                spots = ((kind, name, *each) for each in _of_operations(document))
                self._lines(source, spots, How.JSON_PATCH)
            else:
                self._lines(source, _shaped(document), How.PATCH)

    def _lines(self, source: Source, spots: Iterator[_Spot], how: How) -> None:
        for kind, name, container, at, node in spots:
            span = source.span(node)
            start = span[0] if span else source.outer(node.start_mark.index)
            place = self._place(source, start, how, scalar(node))
            # What an alias repeats is written once; so is a file that two layers name.
            if span is None or (source.file, span) not in self.places.spans:
                self.places.spans.add((source.file, span))
                self.places.lines.append(Line(place, source.file, scalar(node), (kind, name, container), span, at))

    def _replacements(self, source: Source, root: Node) -> None:
        for each in items(value_of(root, "replacements")):
            path = value_of(each, "path")
            if path is None:
                self._replacement(source, each)
                continue
            other = self._source(self.layer.folder / scalar(path))
            for document in other.roots():
                for one in items(document) if isinstance(document, SequenceNode) else [document]:
                    self._replacement(other, one)

    def _replacement(self, source: Source, node: Node) -> None:
        origin = value_of(node, "source")
        given = scalar(value_of(node, "sourceValue")), scalar(value_of(origin, "kind"))
        for target in items(value_of(node, "targets")):
            select = value_of(target, "select")
            chosen = scalar(value_of(select, "kind")), scalar(value_of(select, "name"))
            for each in items(value_of(target, "fieldPaths")):
                if found := _FIELD_PATH.match(scalar(each)):
                    place = self._place(source, each.start_mark.index, How.REPLACEMENT, "")
                    self.places.opaque.append(Opaque(place, self._replaces(given, chosen, found)))

    def _replaces(
        self, given: tuple[str, str], chosen: tuple[str, str], path: re.Match[str]
    ) -> Callable[[set[str]], bool]:
        """Whether a replacement sets an image: it has its name below the replacement, or comes from there."""
        value, source_kind = given
        by_name = _BY_NAME.match(path["container"] or "")

        def concerns(names: set[str]) -> bool:
            targets = {
                line.name
                for line in self.places.lines
                if line.place.how is How.RESOURCE
                and all(asked in {"", has} for asked, has in zip(chosen, line.target, strict=False))
                and (by_name is None or by_name["name"] == line.target[2])
            }
            if not targets or names & targets:
                return True
            return any(name in text for name in names for text in (value, *self._sources(source_kind)))

        return concerns

    def _sources(self, kind: str) -> Iterator[str]:
        """What a replacement may take its value from, as text."""
        for layer in self.layers:
            yield from (repr(layer.content.get(each, "")) for each in ("configMapGenerator", "secretGenerator"))
            for file in layer.resources:
                for document in read_documents(self.read(file, layer.folder), str(self.shown(file))):
                    if isinstance(document.content, dict) and document.content.get("kind") == kind:
                        yield repr(document.content)

    def _plugins(self, source: Source, root: Node) -> None:
        configured = [each for one in self.layer.below if one.role is Role.PLUGINS for each in one.walk()]
        files = [*self.layer.plugins, *(file for one in configured for file in one.resources)]
        for file in files:
            text = self.read(file, file.parent)
            place = Place(self.shown(file), 1, How.PLUGIN, "", self.layer.role is Role.OVERLAY)
            self.places.opaque.append(Opaque(place, _mentioned(text)))
        for name, how in (
            *((each, How.PLUGIN) for each in ("generators", "transformers", "validators")),
            *((each, How.HELM) for each in ("helmCharts", "helmChartInflationGenerator")),
        ):
            for each in items(value_of(root, name)):
                text = source.text[each.start_mark.index : each.end_mark.index]
                place = self._place(source, each.start_mark.index, how, "")
                self.places.opaque.append(Opaque(place, _mentioned(text)))


def _matched(pattern: str, new_name: str) -> Callable[[set[str]], bool]:
    return lambda names: new_name in names or any(may_match(pattern, name) for name in names)


def _mentioned(text: str) -> Callable[[set[str]], bool]:
    return lambda names: any(name in text for name in names)


def _shaped(root: Node) -> Iterator[_Spot]:
    """Kind, resource, container, its spot and its image, wherever a pod's shape is found below a node."""
    yield from _below(root, "", "", MAX_DEPTH)


def _below(node: Node, kind: str, name: str, depth: int) -> Iterator[_Spot]:
    if depth == 0:
        return
    if value_of(node, "kind") is not None and isinstance(value_of(node, "metadata"), MappingNode):
        kind, name = scalar(value_of(node, "kind")), scalar(value_of(value_of(node, "metadata"), "name"))
        if kind == "CustomResourceDefinition":
            return
    for each in _of_pod(node):
        yield kind, name, *each
    for below in inner(node):
        yield from _below(below, kind, name, depth - 1)


def _of_pod(node: Node) -> Iterator[tuple[str, str, ScalarNode]]:
    for part in _CONTAINERS:
        yield from _of_list(value_of(node, part), part)
    yield from _of_list(value_of(node, "volumes"), "volumes")


def _of_list(node: Node | None, part: str) -> Iterator[tuple[str, str, ScalarNode]]:
    for at, each in enumerate(items(node)):
        name, image = scalar(value_of(each, "name")), value_of(each, "image")
        if part == "volumes":
            name, image = f"volume-{name}", value_of(image, "reference")
        if isinstance(image, ScalarNode) and image.value:
            yield name, f"{part}/{at}", image


def _of_operations(patch: SequenceNode) -> Iterator[tuple[str, str, ScalarNode]]:
    for operation in items(patch):
        path, value = scalar(value_of(operation, "path")), value_of(operation, "value")
        if value is None or scalar(value_of(operation, "op")) not in {"add", "replace"}:
            continue
        if isinstance(value, ScalarNode):
            if found := _OF_CONTAINER.search(path) or _OF_VOLUME.search(path):
                yield path, found[1], value
        elif found := _LIST.search(path):
            yield from _of_list(value, found[1])
        elif _CONTAINER.search(path) and isinstance(image := value_of(value, "image"), ScalarNode):
            yield scalar(value_of(value, "name")), "", image
        else:
            yield from ((container, at, node) for _, _, container, at, node in _shaped(value))


def _may_mention(text: str, names: set[str]) -> bool:
    """Whether a file is worth reading closely; a backslash may stand for any letter of a name."""
    return "\\" in text or any(name in text for name in names)
