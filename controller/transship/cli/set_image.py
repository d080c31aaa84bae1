"""`transship set-image`: another version in an overlay, written where the overlay says it, and shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from transship.cli.choosing import Choice, choices_from, parse_choice, pinned
from transship.cli.command import command
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import PolicyOptions, Rendering
from transship.cli.kube import Kube
from transship.cli.output import Colour, Output, clean, paint
from transship.cli.planning import WantedImage, wanted_images
from transship.cli.registries import build_registries
from transship.errors import NeedsHuman, Reason
from transship.kustomization.found import images
from transship.kustomization.overlay import Edit, Overlay
from transship.kustomization.places import split
from transship.kustomization.proof import prove
from transship.kustomization.render import Rendered, Renderer

_COLOURS = {"+": Colour.GOOD, "-": Colour.BAD}


@command
def set_image_command(  # noqa: PLR0913 - a command's options
    overlay: Annotated[Path, typer.Argument(metavar="OVERLAY", help="folder with a kustomization")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE", help="NAME:TAG, NAME@DIGEST or both; NAME as the overlay has it", show_default=False
        ),
    ] = None,
    *,
    pin: Annotated[bool, typer.Option("--pin", help="write the digest that the tag has at the source now")] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="OVERLAY", help="take the versions that another overlay runs, of all images"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="write nothing; exit code 2 if something would be")
    ] = False,
    override: Annotated[
        bool, typer.Option("--override", help="add an entry to images: where a base or component has decided already")
    ] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Name another version of an image in an overlay, and show what changes.

    Only the image changes: by `images:`, a patch or a line of a resource, wherever the overlay sets it. What would take
    a guess is refused. The overlay is rendered with the edit before anything is written.
    """
    _require_sense(names or [], source, pin=pin)
    renderer, edited = Renderer(rendering.options), Overlay.open(overlay, rendering.options)
    choices = _chosen(names or [], source, renderer, overlay, policies, kube, out)
    edits = [edit for choice in choices for edit in _set(edited, choice, override=override)]
    if pin:
        found = policies.read(overlay, kube, out)
        registries = build_registries(load_settings(Exit.ERROR))
        rendered = _wanted(_rendered(edited, renderer), kube)
        fixed = [pinned(each, _names(edited, each.name), rendered, found, registries) for each in choices]
        # From the start again: what was set to see what it renders to is no edit of its own.
        edited = Overlay.open(overlay, rendering.options)
        edits = [edit for choice in fixed for edit in _set(edited, choice, override=override)]
    edits = edits if edited.changed else []
    if edited.changed:
        prove(edited, renderer)
    _show(edited, edits, out)
    if not dry_run:
        edited.write()
    raise typer.Exit(Exit.SOMETHING_TO_DO if dry_run and edited.changed else Exit.OK)


def _require_sense(names: Sequence[str], source: Path | None, *, pin: bool) -> None:
    if not names and source is None:
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "name an image and its version, as NAME:TAG, or an overlay with --from"
        )
    choices = [parse_choice(each) for each in names]
    if source is None and not pin and not all(each.tag or each.digest for each in choices):
        raise NeedsHuman(Reason.INVALID_REQUEST, "name a tag or digest, or say --pin or --from")
    if source is not None and any(each.tag or each.digest for each in choices):
        raise NeedsHuman(Reason.INVALID_REQUEST, "with --from the other overlay says the version; name images alone")


def _chosen(  # noqa: PLR0913, PLR0917 - as the command
    names: Sequence[str],
    source: Path | None,
    renderer: Renderer,
    overlay: Path,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> list[Choice]:
    if source is None:
        return [parse_choice(each) for each in names]
    wanted = _wanted(renderer.render(overlay), kube)
    others = _wanted(renderer.render(source), kube)
    return choices_from(wanted, others, policies.read(overlay, kube, out), names)


def _set(overlay: Overlay, choice: Choice, *, override: bool) -> list[Edit]:
    if not choice.tag and not choice.digest:
        return []  # to be pinned as it is
    return overlay.set_image(choice.name, tag=choice.tag, digest=choice.digest, override=override)


def _names(overlay: Overlay, name: str) -> set[str]:
    """What an image may be called once it is rendered: an entry of `images:` may give it another name."""
    asked = {each.name for each in overlay.wanted if name in each.names}
    return asked or {name, *(split(each.image)[0] for each in overlay.where(name) if each.image)}


def _rendered(overlay: Overlay, renderer: Renderer) -> Rendered:
    return prove(overlay, renderer) if overlay.changed else renderer.render(overlay.path)


def _wanted(rendered: Rendered, kube: Kube) -> list[WantedImage]:
    return wanted_images(images(rendered), kube.namespace or "")


def _show(overlay: Overlay, edits: Sequence[Edit], out: Output) -> None:
    diff = overlay.diff()
    document = {
        "edits": [
            {"file": str(each.place.file), "line": each.place.line, "before": each.before, "after": each.after}
            for each in edits
        ],
        "diff": diff,
    }
    out.show(document, lambda: "\n".join(_coloured(diff)), [str(overlay.shown(each)) for each in overlay.changed])
    if not edits:
        out.say("transship: the overlay says so already")


def _coloured(diff: str) -> Iterator[str]:
    for line in diff.splitlines():
        # A byte order mark is behind the sign, and no part of what the line says.
        yield paint(clean(line[:1] + line[1:].removeprefix("\ufeff")), _COLOURS.get(line[:1]))
