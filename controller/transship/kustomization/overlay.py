"""One overlay, in which somebody names another image."""

import difflib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from transship.kustomization.layers import Layer, read_layers, read_text, refused, seen_from
from transship.kustomization.program import DEFAULT, Options
from transship.kustomization.source import Source, Splice, items, scalar, spliced, value_of


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
        image: what is written there, as an image's name with what is known of tag and digest.
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
class Edit:
    """What was changed at a place: `before` and `after` are images as that place sets them; `before` may be empty."""

    place: Place
    before: str
    after: str


class Overlay:
    """An overlay's files, read once; edits are kept until they are written."""

    def __init__(self, path: Path, layer: Layer) -> None:
        self.path = path
        self._layer = layer
        self._before: dict[Path, str] = {}
        self._after: dict[Path, str] = {}

    @classmethod
    def open(cls, path: Path, options: Options = DEFAULT) -> "Overlay":
        """Read the kustomizations an overlay is made of.

        Raises:
            NeedsHuman: InvalidRequest: one cannot be read, or asks for what is not allowed.
        """
        return cls(path, read_layers(path, options))

    def where(self, name: str) -> tuple[Place, ...]:
        """Everywhere an image is set, what decides in the end first.

        Args:
            name: without tag and digest, as a container, patch or `images:` has it.
        """
        return tuple(place for place, _ in self._entries(name))

    def set_image(
        self, name: str, *, tag: str = "", digest: str = "", new_name: str = "", override: bool = False
    ) -> list[Edit]:
        """Name another tag, digest or repository for an image, where the overlay sets it.

        A tag without a digest drops the digest and the other way round, as in kustomize; without both they stay.

        Args:
            name: without tag and digest, as a container, patch or `images:` has it.
            tag: the tag to name.
            digest: the digest to name.
            new_name: the repository to name.
            override: add an entry to the overlay's `images:` even where a base or component decides by itself.

        Raises:
            NeedsHuman: InvalidImage: what is to be named is no image. InvalidRequest: it cannot be done without
                guessing; the message says where the image is set.
        """
        found = self._entries(name)
        if len(found) != 1 or digest or new_name or override or not tag:
            raise refused(f"{self.path} does not set {name} in one place")
        place, splice = found[0]
        file = self._layer.file
        self._after[file] = spliced(self._text(file), [Splice(*splice, tag)])
        return [Edit(place, place.image, f"{place.image.partition(':')[0]}:{tag}")]

    def diff(self) -> str:
        """What `write` would change, as a unified diff; empty if nothing."""
        return "".join(
            line
            for file, after in self._after.items()
            for line in difflib.unified_diff(
                self._before[file].splitlines(keepends=True),
                after.splitlines(keepends=True),
                str(self._shown(file)),
                str(self._shown(file)),
            )
        )

    def write(self) -> list[Path]:
        """Write what was changed, each file at once.

        Returns:
            The files written.
        """
        for file, text in self._after.items():
            file.write_bytes(text.encode())
        return list(self._after)

    def _shown(self, file: Path) -> Path:
        return seen_from(self.path, self._layer.folder, file)

    def _text(self, file: Path) -> str:
        if file not in self._before:
            self._before[file] = read_text(file, self._layer.folder)
        return self._after.get(file, self._before[file])

    def _entries(self, name: str) -> list[tuple[Place, tuple[int, int]]]:
        file, found = self._layer.file, list[tuple[Place, tuple[int, int]]]()
        source = Source(self._text(file), str(file))
        for each in items(value_of(source.roots()[0], "images")):
            names = {scalar(value_of(each, "name")), scalar(value_of(each, "newName"))}
            tag = value_of(each, "newTag")
            if name in names and tag is not None:
                start, end = tag.start_mark.index, tag.end_mark.index
                place = Place(self._shown(file), source.line(start), How.IMAGES, f"{name}:{tag.value}", is_ours=True)
                found.append((place, (start, end)))
        return found
