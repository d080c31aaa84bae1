"""Two overlays or two registries, compared and printed."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transship.cli.ages import age, now
from transship.cli.comparing import Difference, Kind, Place, Places, Version, differences
from transship.cli.configuration import find
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import read_inputs
from transship.cli.kube import Kube
from transship.cli.output import Cell, Colour, Output, clean, table
from transship.cli.overlay_options import PolicyOptions, Rendering
from transship.cli.registries import build_registries
from transship.promotion.policy import PromotionPolicy

_SHORT = len("sha256:") + 12
_COLOURS = {Kind.ONLY_FIRST: Colour.GOOD, Kind.ONLY_SECOND: Colour.BAD, Kind.DIFFERENT: Colour.BUSY}


def is_overlay(name: str) -> bool:
    """Whether an argument is a folder rather than a registry."""
    return Path(name).is_dir()


def compare(  # noqa: PLR0913 - as the command
    names: tuple[str, str], rendering: Rendering, policies: PolicyOptions, kube: Kube, out: Output, *, is_offline: bool
) -> tuple[list[Difference], list[Sequence[Version]]]:
    """Compare two overlays or two registries: what differs, and every version that was looked at.

    Raises:
        PolicyError, NeedsHuman, RetryLater: they cannot be compared.
    """
    registries = None if is_offline else build_registries(load_settings(Exit.ERROR))
    places = Places(registries, _policies(*names, policies, kube, out))
    if is_overlay(names[0]):
        here, there = (_of_overlay(places, Path(each), rendering) for each in names)
    else:
        here, there = (places.of_registry(each) for each in names)
    return differences(here, there), [*here.values(), *there.values()]


def tell_problems(versions: Iterable[Sequence[Version]], out: Output) -> bool:
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


def show(found: Sequence[Difference], titles: tuple[str, str], out: Output) -> None:
    """Print what differs."""
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
