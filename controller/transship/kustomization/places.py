"""Where the kustomizations of an overlay set images, each with the characters that do it.

Three kinds. An *entry* of `images:` sets every image of its name. A *line* names one container's image: in a resource,
in a patch, or in the value of a JSON patch. What is *opaque* sets images in a way that no text says: replacements,
plugins, charts. Nothing opaque is ever edited.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ruamel.yaml.nodes import MappingNode

from transship.kustomization.layers import Role

_META = re.compile(r"[\\*+?()\[\]{}|^$]")
ENTRY_FIELDS = ("name", "newName", "newTag", "digest")


class How(StrEnum):
    """By what a place decides which image a container gets."""

    IMAGES = "images"
    PATCH = "patch"
    JSON_PATCH = "JSON patch"
    RESOURCE = "resource"
    REPLACEMENT = "replacement"
    PLUGIN = "generator or transformer"
    HELM = "Helm chart"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is set.

    Attributes:
        file: as seen by whoever named the overlay.
        line: counted from 1.
        image: what is written there, as an image's name with what is known of tag and digest; empty if no text says.
        is_ours: it is in the overlay itself, not in a base or component.
    """

    file: Path
    line: int
    how: How
    image: str
    is_ours: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.how})"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `images:`.

    Attributes:
        node: its mapping.
        fields: what it says, by `ENTRY_FIELDS`.
    """

    place: Place
    file: Path
    role: Role
    node: MappingNode
    fields: dict[str, str]

    @property
    def names(self) -> set[str]:
        """What it may be called: the name it looks for, and the one it gives."""
        return {self.fields["name"], self.new_name}

    @property
    def new_name(self) -> str:
        """What the images it sets are called afterwards."""
        return self.fields.get("newName") or self.fields["name"]


@dataclass(frozen=True, slots=True)
class Line:
    """One container's image.

    Attributes:
        image: as written.
        target: kind, resource and container; the first two empty in a patch that does not say, and patterns in a
            JSON patch.
        spot: a container's list and its place there, as "containers/0", where the text says it.
        span: first and last character of the value in the file's text; None where they cannot be told.
    """

    place: Place
    file: Path
    image: str
    target: tuple[str, str, str]
    span: tuple[int, int] | None
    spot: str = ""

    @property
    def name(self) -> str:
        """The image's name."""
        return split(self.image)[0]

    def covers(self, other: "Line") -> bool:
        """Whether this patch sets the image of a resource's line, as far as their texts tell."""
        if self.place.how is not How.JSON_PATCH:
            return self.target == other.target
        is_spot = self.spot == other.spot if self.spot else self.target[2] == other.target[2]
        return is_spot and all(
            not pattern or may_match(pattern, text)
            for pattern, text in zip(self.target[:2], other.target[:2], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Opaque:
    """What sets images in a way that no text says; `concerns` tells whether one of these names is among them."""

    place: Place
    concerns: Callable[[set[str]], bool]


@dataclass(slots=True)
class Places:
    """All of them, the overlay's own first, then as its layers are walked."""

    entries: list[Entry] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    opaque: list[Opaque] = field(default_factory=list)
    spans: set[tuple[Path, tuple[int, int] | None]] = field(default_factory=set)


def is_pattern(name: str) -> bool:
    """Whether a name, which kustomize always takes for a regular expression, is more than a name with dots."""
    return _META.search(name) is not None


def may_match(pattern: str, text: str) -> bool:
    """Whether a regular expression could match: by how it begins, for one that a stranger wrote is not to be run."""
    found = _META.search(pattern := pattern.removeprefix("^"))
    if "|" in pattern:
        return True
    # What a quantifier follows need not be there.
    start = pattern[: max(0, found.start() - 1)] if found else pattern
    is_long_enough = len(text) >= len(start) if found else len(text) == len(start)
    return is_long_enough and all(one in {".", other} for one, other in zip(start, text, strict=False))


def split(image: str) -> tuple[str, str, str]:
    """Name, tag and digest of an image as kustomize tells them apart."""
    name, _, digest = image.partition("@")
    head, slash, tail = name.rpartition("/")
    last, _, tag = tail.partition(":")
    return head + slash + last, tag, digest


def joined(name: str, tag: str, digest: str) -> str:
    """An image of a name, with a tag and a digest where there are any."""
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def names_of(entries: Sequence[Entry], name: str) -> set[str]:
    """All names by which an image goes: an entry gives it another, by which further entries find it."""
    names = {name}
    while more := {one for each in entries if each.names & names for one in each.names} - names:
        names |= more
    return names
