"""`transship diff`: what runs there and not here, of two overlays or two registries."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from transship.cli.ages import age, now
from transship.cli.command import command
from transship.cli.comparing import Difference, Kind, Place, Places, Version, differences, is_overlay
from transship.cli.configuration import find
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import PolicyOptions, Rendering, read_inputs
from transship.cli.kube import Kube
from transship.cli.output import Cell, Colour, Output, clean, table
from transship.cli.registries import build_registries
from transship.errors import NeedsHuman, Reason
from transship.promotion.policy import PromotionPolicy

_SHORT = len("sha256:") + 12
_COLOURS = {Kind.ONLY_FIRST: Colour.GOOD, Kind.ONLY_SECOND: Colour.BAD, Kind.DIFFERENT: Colour.BUSY}


@command
def diff_command(  # noqa: PLR0913 - a command's options
    first: Annotated[str, typer.Argument(metavar="THERE", help="an overlay, or a registry with or without a path")],
    second: Annotated[str, typer.Argument(metavar="HERE", help="what to compare it with, of the same kind")],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="ask no registry; overlays only")] = False,
    rendering: Rendering,
    policies: PolicyOptions,
    kube: Kube,
    out: Output,
) -> None:
    """Compare two overlays, or two registries: images, tags, digests and ages.

    Images are the same where the policies say that one is promoted to the other, or where their paths are the same.
    Of a registry that is not ECR one repository is compared, and it tells no age.

    Exit code 0: no difference, 2: a difference, 1: an error.
    """
    if is_overlay(first) != is_overlay(second):
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "one of them is a folder and the other is not; name two overlays or two registries"
        )
    registries = None if offline else build_registries(load_settings(Exit.ERROR))
    places = Places(registries, _policies(first, second, policies, kube, out))
    if is_overlay(first):
        here, there = (_of_overlay(places, Path(each), rendering) for each in (first, second))
    else:
        here, there = places.of_registry(first), places.of_registry(second)
    found = differences(here, there)
    _show(found, (first, second), out)
    if not _tell_problems((*here.values(), *there.values()), out):
        raise typer.Exit(Exit.ERROR)
    raise typer.Exit(Exit.SOMETHING_TO_DO if found else Exit.OK)


def _tell_problems(versions: Iterable[Sequence[Version]], out: Output) -> bool:
    """Say what registries did not tell; whether all of them could be asked."""
    wrong = [each for some in versions for each in some if each.problem]
    for each in wrong:
        out.say(f"transship: {clean(each.reference)}: {clean(each.problem)}")
    return not any(each.is_unknown for each in wrong)


def _policies(first: str, second: str, options: PolicyOptions, kube: Kube, out: Output) -> Sequence[PromotionPolicy]:
    """Policies help to compare, and are not needed: who has none compares by paths, as who runs it."""
    folders = [Path(each) for each in (second, first) if is_overlay(each)] or [Path()]
    if options.policy or options.from_cluster:
        return options.read(folders[0], kube, out).policies
    folder = next((each for each in folders if find(each) is not None), None)
    return options.read(folder, kube, out).policies if folder is not None else ()


def _of_overlay(places: Places, overlay: Path, rendering: Rendering) -> Place:
    (given,) = read_inputs([overlay], [], rendering)
    return places.of_images(each.image for each in given.images)


def _show(found: Sequence[Difference], titles: tuple[str, str], out: Output) -> None:
    document = {
        "first": titles[0],
        "second": titles[1],
        "differences": [
            {
                "kind": str(each.kind),
                "name": each.name,
                "first": [_document(version) for version in each.first],
                "second": [_document(version) for version in each.second],
            }
            for each in found
        ],
    }
    columns = ("DIFFERENCE", "IMAGE", *(f"{title.upper()} {what}" for title in ("there", "here") for what in _WHAT))
    rows = [
        (Cell(each.kind, _COLOURS[each.kind]), each.name, *_told(each.first), *_told(each.second)) for each in found
    ]
    out.show(document, lambda: table(columns, rows) if rows else "", [each.name for each in found])


_WHAT = ("TAG", "DIGEST", "AGE")


def _told(versions: Sequence[Version]) -> tuple[str, str, str]:
    if not versions:
        return "", "", ""
    first, more = versions[0], len(versions) - 1
    tail = f" and {more} more" if more else ""
    old = age(first.pushed_at, now()) if first.pushed_at is not None else ""
    return f"{first.tag}{tail}", str(first.digest or "")[:_SHORT], old


def _document(version: Version) -> dict[str, Any]:
    found = {
        "image": version.reference,
        "tag": version.tag,
        "digest": str(version.digest or ""),
        "pushedAt": version.pushed_at.isoformat() if version.pushed_at is not None else "",
        "problem": version.problem,
    }
    return {name: value for name, value in found.items() if value}
