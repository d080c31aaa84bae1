"""Another version in an overlay: chosen, set, pinned where that is asked for, proven, and shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transship.cli.choosing import Choice, choices_from, parse_choice, pinned
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.output import Colour, Output, clean, paint
from transship.cli.overlay_options import PolicyOptions, Rendering
from transship.cli.planning import WantedImage, wanted_images
from transship.cli.registries import build_registries
from transship.errors import NeedsHuman, Reason
from transship.kustomization.found import images
from transship.kustomization.overlay import Edit, Overlay
from transship.kustomization.places import joined, split
from transship.kustomization.proof import prove
from transship.kustomization.render import Rendered, Renderer

_COLOURS = {"+": Colour.GOOD, "-": Colour.BAD}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be edited, and how.

    Attributes:
        overlay: the folder.
        names: images, with versions unless `source` has them.
        source: another overlay that has the versions.
        pin: digests are to be written.
        override: entries may be added to `images:` where a base has decided already.
    """

    overlay: Path
    names: tuple[str, ...]
    source: Path | None
    pin: bool
    override: bool


def edit(
    asked: Asked, rendering: Rendering, policies: PolicyOptions, kube: Kube, out: Output
) -> tuple[Overlay, list[Edit]]:
    """Edit an overlay, and render it with the edit; nothing is written.

    Raises:
        PolicyError, NeedsHuman, RetryLater: it cannot be done without guessing, or what it needs cannot be read.
    """
    _require_sense(asked.names, asked.source, pin=asked.pin)
    renderer, edited = Renderer(rendering.options), Overlay.open(asked.overlay, rendering.options)
    choices = _chosen(asked, renderer, policies, kube, out)
    edits = [edit for choice in choices for edit in _set(edited, choice, override=asked.override)]
    if asked.pin:
        found = policies.read(asked.overlay, kube, out)
        registries = build_registries(load_settings(Exit.ERROR))
        rendered = _wanted(_rendered(edited, renderer), kube)
        fixed = [pinned(each, _names(edited, each.name), rendered, found, registries) for each in choices]
        # From the start again: what was set to see what it renders to is no edit of its own.
        edited = Overlay.open(asked.overlay, rendering.options)
        edits = [edit for choice in fixed for edit in _set(edited, choice, override=asked.override)]
    if not edited.changed:
        return edited, []
    prove(edited, renderer)
    return edited, edits


def _require_sense(names: Sequence[str], source: Path | None, *, pin: bool) -> None:
    if not names and source is None:
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "name an image and its version, as NAME:TAG, or an overlay with --from"
        )
    choices = [parse_choice(each) for each in names]
    named = dict[str, Choice]()
    for each in choices:
        if (other := named.setdefault(each.name, each)) != each:
            raise _twice(each.name, other, each)
    if source is None and not pin and not all(each.tag or each.digest for each in choices):
        raise NeedsHuman(Reason.INVALID_REQUEST, "name a tag or digest, or say --pin or --from")
    if source is not None and any(each.tag or each.digest for each in choices):
        raise NeedsHuman(Reason.INVALID_REQUEST, "with --from the other overlay says the version; name images alone")


def _chosen(asked: Asked, renderer: Renderer, policies: PolicyOptions, kube: Kube, out: Output) -> list[Choice]:
    if asked.source is None:
        return [parse_choice(each) for each in asked.names]
    wanted = _wanted(renderer.render(asked.overlay), kube)
    others = _wanted(renderer.render(asked.source), kube)
    return choices_from(wanted, others, policies.read(asked.overlay, kube, out), asked.names)


def _set(overlay: Overlay, choice: Choice, *, override: bool) -> list[Edit]:
    if not choice.tag and not choice.digest:
        return []  # to be pinned as it is
    for each in overlay.wanted:  # an image has a name before and after `images:`
        if choice.name in {*each.names, each.name} and (choice.tag, choice.digest) != (each.tag, each.digest):
            raise _twice(choice.name, joined(each.name, each.tag, each.digest), choice)
    return overlay.set_image(choice.name, tag=choice.tag, digest=choice.digest, override=override)


def _twice(name: str, *asked: object) -> NeedsHuman:
    both = " and as ".join(map(str, asked))
    return NeedsHuman(Reason.INVALID_REQUEST, f"{name} is asked for twice, as {both}; name one version of it")


def _names(overlay: Overlay, name: str) -> set[str]:
    """What an image may be called once it is rendered: an entry of `images:` may give it another name."""
    asked = {each.name for each in overlay.wanted if name in each.names}
    return asked or {name, *(split(each.image)[0] for each in overlay.where(name) if each.image)}


def _rendered(overlay: Overlay, renderer: Renderer) -> Rendered:
    return prove(overlay, renderer) if overlay.changed else renderer.render(overlay.path)


def _wanted(rendered: Rendered, kube: Kube) -> list[WantedImage]:
    return wanted_images(images(rendered), kube.namespace or "")


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of an edit: taken down before it is written, and said after.

    Attributes:
        edits: what was changed.
        diff: the same of the files.
        files: those that are different.
    """

    edits: tuple[Edit, ...]
    diff: str
    files: tuple[str, ...]

    @classmethod
    def of(cls, overlay: Overlay, edits: Sequence[Edit]) -> "Told":
        """Of an overlay that has not been written yet."""
        return cls(tuple(edits), overlay.diff(), tuple(str(overlay.shown(each)) for each in overlay.changed))


def show(told: Told, out: Output) -> None:
    """Print what was edited."""
    document = {
        "edits": [
            {"file": str(each.place.file), "line": each.place.line, "before": each.before, "after": each.after}
            for each in told.edits
        ],
        "diff": told.diff,
    }
    out.show(document, lambda: "\n".join(_coloured(told.diff)), told.files)
    if not told.edits:
        out.say("transship: the overlay says so already")


def _coloured(diff: str) -> Iterator[str]:
    for line in diff.splitlines():
        # A byte order mark is behind the sign, and no part of what the line says.
        yield paint(clean(line[:1] + line[1:].removeprefix("\ufeff")), _COLOURS.get(line[:1]))
