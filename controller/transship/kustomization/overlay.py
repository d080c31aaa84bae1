"""One overlay, in which somebody names another image.

It is edited where it decides for itself: by an entry of `images:`, a patch or a line of a resource. What would take a
guess is refused, with everywhere the image is set: two places of the overlay that compete, a base or component that
has decided already, a replacement, a plugin, a chart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transship.errors import NeedsHuman, Reason
from transship.kustomization.around import MAX_NAMED, Around, listed
from transship.kustomization.changes import Pair, added, require_only
from transship.kustomization.entries import add_entry, change_entry, wanted_fields
from transship.kustomization.files import is_remote, read_text, refused, seen_from
from transship.kustomization.layers import Layer, read_layers
from transship.kustomization.named import strings
from transship.kustomization.places import How, Line, Place, Places, joined, split
from transship.kustomization.program import DEFAULT, Options
from transship.kustomization.search import find_places
from transship.kustomization.source import Source, Splice, spliced
from transship.kustomization.writing import unified_diff, write_together
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Tag

__all__ = ["Edit", "How", "Overlay", "Place", "Wanted"]

_UNSEEN = ("helmCharts", "helmChartInflationGenerator", "generators", "transformers")


@dataclass(frozen=True, slots=True)
class Edit:
    """What was changed at a place: `before` and `after` are images as that place sets them; `before` may be empty."""

    place: Place
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an image is to be once it is rendered; `tag` and `digest` both empty for whatever they were.

    Attributes:
        names: what it may have been called before.
        name: what it is called then.
    """

    names: frozenset[str]
    name: str
    tag: str
    digest: str

    def is_met(self, image: str) -> bool:
        """Whether a rendered image is what is wanted."""
        name, tag, digest = split(image)
        is_version = (tag, digest) == (self.tag, self.digest) or not (self.tag or self.digest)
        return name == self.name and is_version


class Overlay:
    """An overlay's files as they were read; edits are kept until they are written.

    Attributes:
        path: as it was named.
        layer: what it is made of.
        wanted: what the edits so far ask for.
    """

    def __init__(self, path: Path, layer: Layer, options: Options = DEFAULT) -> None:
        self.path, self.layer, self.options = path, layer, options
        self.wanted: list[Wanted] = []
        self._before: dict[Path, str] = {}
        self._after: dict[Path, str] = {}

    @classmethod
    def open(cls, path: Path, options: Options = DEFAULT) -> "Overlay":
        """Read the kustomizations an overlay is made of.

        Raises:
            NeedsHuman: InvalidRequest: one cannot be read, or asks for what is not allowed.
        """
        return cls(path, read_layers(path, options), options)

    @property
    def changed(self) -> dict[Path, str]:
        """The files that edits have changed, with their new text."""
        return {file: text for file, text in self._after.items() if text != self._before[file]}

    def where(self, name: str) -> tuple[Place, ...]:
        """Everywhere an image is set.

        What no text says comes first, then what is nearest to the overlay, entries before lines.

        Args:
            name: without tag and digest, as a container, patch or `images:` has it.

        Raises:
            NeedsHuman: InvalidImage: that is no name. InvalidRequest: a file cannot be read.
        """
        _require_name(name)
        around = Around.of(self._places(name), name)
        return around.places()

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
            override: add an entry to the overlay's `images:` even where a base or component has decided.

        Returns:
            What was changed; nothing if the overlay says so already.

        Raises:
            NeedsHuman: InvalidImage: what is to be named is no image. InvalidRequest: it cannot be done without
                guessing; the message says where the image is set.
        """
        _require_image(name, tag, digest, new_name)
        around = Around.of(self._places(name), name)
        around.require_text(name)
        if around.own_entries:
            return self._set_entry(around, name, wanted=(tag, digest, new_name))
        if lines := around.own_lines():
            around.require_last(name)
            return self._set_lines(lines, name, wanted=(tag, digest, new_name))
        return self._add(around, name, wanted=(tag, digest, new_name), override=override)

    def diff(self) -> str:
        """What `write` would change, as a unified diff that `git apply` takes; empty if nothing."""
        return "".join(
            line
            for file, after in self.changed.items()
            for line in unified_diff(str(self.shown(file)), self._before[file], after)
        )

    def write(self) -> list[Path]:
        """Write what was changed: all of it, or nothing.

        Returns:
            The files written, as they are called by whoever named the overlay.

        Raises:
            NeedsHuman: InvalidRequest: a file has changed since it was read, or cannot be written.
        """
        changed = self.changed
        for file in changed:
            if read_text(file, self.layer.folder, self.shown(file)) != self._before[file]:
                raise refused(f"{self.shown(file)} has changed since it was read; begin again")
        names = {each.resolve(): self.shown(each) for each in changed}
        write_together({each.resolve(): text for each, text in changed.items()}, names.__getitem__)
        self._before |= changed
        return [self.shown(file) for file in changed]

    def shown(self, file: Path) -> Path:
        """How whoever named the overlay would call a file."""
        return seen_from(self.path, self.layer.folder, file)

    def _read(self, file: Path, folder: Path) -> str:
        if file in self._after:
            return self._after[file]
        if file not in self._before:
            self._before[file] = read_text(file, folder, self.shown(file))
        return self._before[file]

    def _places(self, name: str = "") -> Places:
        return find_places(self.layer, name, self._read, self.shown)

    def _set_entry(self, around: Around, name: str, wanted: tuple[str, str, str]) -> list[Edit]:
        versions = [line for line in around.patches if line.place.is_ours and any(split(line.image)[1:])]
        if len(around.own_entries) > 1 or versions:
            places = [*(each.place for each in around.own_entries), *(each.place for each in versions)]
            raise refused(f"{name} is set in several places of {self.path}, {listed(places)}: leave one of them")
        entry = around.own_entries[0]
        fields = wanted_fields(entry, *wanted)
        source = Source(self._read(entry.file, self.layer.folder), entry.file, str(self.shown(entry.file)))
        pairs = [
            Pair(entry.fields.get(each), fields.get(each))
            for each in {**entry.fields, **fields}
            if entry.fields.get(each) != fields.get(each)
        ]
        self._apply(source, change_entry(source, entry, fields), pairs)
        final = fields.get("newName") or fields["name"]
        after = joined(final, fields.get("newTag", ""), fields.get("digest", ""))
        self._want(entry.names | {name}, final, fields.get("newTag", ""), fields.get("digest", ""))
        return [Edit(entry.place, entry.place.image, after)] if pairs else []

    def _set_lines(self, lines: Sequence[Line], name: str, wanted: tuple[str, str, str]) -> list[Edit]:
        if len({line.image for line in lines}) > 1:
            raise refused(
                f"{name} is set to several versions in {self.path}, {listed([each.place for each in lines])}: "
                "make them one"
            )
        for line in lines:
            if line.span is None:
                raise refused(f"{line.place} is written in a way that is not edited; change it by hand")
        tag, digest, new_name = wanted
        _, old_tag, old_digest = split(lines[0].image)
        version = (tag, digest) if tag or digest else (old_tag, old_digest)
        after = joined(new_name or lines[0].name, *version)
        by_file: dict[Path, list[Line]] = {}
        for line in lines:
            by_file.setdefault(line.file, []).append(line)
        for file, group in by_file.items():
            source = Source(self._read(file, self.layer.folder), file, str(self.shown(file)))
            self._apply(source, list(_line_splices(source, group, after)), [Pair(each.image, after) for each in group])
        self._want({name, lines[0].name}, new_name or lines[0].name, *version)
        return [Edit(each.place, each.image, after) for each in lines if each.image != after]

    def _add(self, around: Around, name: str, *, wanted: tuple[str, str, str], override: bool) -> list[Edit]:
        deciding = around.deciding()
        if deciding and not override:
            raise refused(
                f"{name} is set outside of {self.path}, in {listed([each.place for each in deciding])}: set it there"
            )
        if others := around.patched_away():
            names = ", ".join(sorted({each.name for each in others}))
            raise refused(f"{name} is patched to {names}, see {listed([each.place for each in others])}: name that")
        if not around.lines and not around.entries and not self._has_unseen():
            raise refused(f"{self.path} has no image {name}; {self._known()}")
        tag, digest, new_name = wanted
        start = around.entries[0].new_name if around.entries else name
        fields = {"name": start, "newName": new_name if new_name != start else "", "newTag": tag, "digest": digest}
        fields = {each: value for each, value in fields.items() if value}
        file = self.layer.file
        source = Source(self._read(file, self.layer.folder), file, str(self.shown(file)))
        root = source.roots()[0]
        self._apply(source, add_entry(source, root, fields), [added(fields)])
        self._want({name, start}, new_name or start, tag, digest)
        line = next(each.place.line for each in self._places(start).entries if each.fields == fields)
        after = joined(new_name or start, tag, digest)
        return [Edit(Place(self.shown(file), line, How.IMAGES, after, is_ours=True), "", after)]

    def _apply(self, source: Source, splices: Sequence[Splice], expected: Sequence[Pair]) -> None:
        text = spliced(source.text, splices)
        require_only(source.text, text, expected, source.name)
        self._before.setdefault(source.file, source.text)
        self._after[source.file] = text

    def _want(self, names: set[str], name: str, tag: str, digest: str) -> None:
        earlier = [each for each in self.wanted if each.name not in names]
        before = {one for each in self.wanted if each.name in names for one in each.names}
        self.wanted = [*earlier, Wanted(frozenset(names | before), name, tag, digest)]

    def _has_unseen(self) -> bool:
        """Whether images may come from where nothing was read: charts, plugins, what is fetched."""
        return any(
            any(layer.content.get(name) for name in _UNSEEN)
            or any(
                is_remote(each)
                for name in ("resources", "bases", "components")
                for each in strings(layer.content, name)
            )
            for layer in self.layer.walk()
        )

    def _known(self) -> str:
        places = self._places()
        names = sorted({each.name for each in places.lines} | {each.new_name for each in places.entries})
        return f"its images are {', '.join(names[:MAX_NAMED])}" if names else "no image was found in it"


def _line_splices(source: Source, lines: Sequence[Line], image: str) -> Iterator[Splice]:
    for line in lines:
        if line.span is not None:
            start, end = line.span
            quote = source.text[start] if source.text[start] in {"'", '"'} else ""
            yield Splice(start, end, f"{quote}{image}{quote}")


def _require_name(name: str) -> None:
    try:
        reference = Reference.parse(f"{name}:latest")
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; name the image without tag and digest") from error
    if reference.digest is not None or split(f"{name}:latest")[0] != name:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{name[:200]!r} has to be without tag and digest")


def _require_image(name: str, tag: str, digest: str, new_name: str) -> None:
    for each in (name, new_name) if new_name else (name,):
        _require_name(each)
    if not (tag or digest or new_name):
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{name} is to be set to nothing: give a tag, a digest or a new name")
    try:
        if tag:
            Tag.parse(tag)
        if digest:
            Digest.parse(digest)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, str(error)) from error
