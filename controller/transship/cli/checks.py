"""What is wrong with overlays: found, mended where writing a hook mends it, and printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transship.cli.check import Asked
from transship.cli.checking import Demands, Finding, check, needed
from transship.cli.configuration import Configuration
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import Input, read_inputs
from transship.cli.kube import Kube
from transship.cli.output import Cell, Colour, Output, clean, table
from transship.cli.overlay_options import PolicyOptions, Rendering
from transship.cli.planning import WantedImage, containers, wanted_images
from transship.cli.registries import build_registries
from transship.errors import NeedsHuman, Reason
from transship.kustomization import HOOK
from transship.kustomization.found import images as images_of
from transship.kustomization.hook import hook_file
from transship.promotion.request import require_fitting

_COLUMNS = ("REASON", "IMAGE", "NAMED BY", "MESSAGE")


def check_all(  # noqa: PLR0913, PLR0917 - as the command
    inputs: Sequence[Input], asked: Asked, rendering: Rendering, policies: PolicyOptions, kube: Kube, out: Output
) -> list[tuple[Input, list[Finding]]]:
    """Everything that is wrong with each overlay or stream; what was to be mended is.

    Raises:
        PolicyError, NeedsHuman, RetryLater: the check could not even be begun.
    """
    registries = None if asked.offline else build_registries(load_settings(Exit.ERROR))
    demands = Demands(pinned=asked.pinned, hook=asked.hook)
    found: list[tuple[Input, list[Finding]]] = []
    for each in inputs:
        configuration = policies.read(each.folder, kube, out)
        wanted = wanted_images(each.images, kube.namespace or "")
        if asked.fix and asked.hook and _fix(each, wanted, configuration, out, rendering=rendering, kube=kube):
            (again,) = read_inputs([each.folder], [], rendering)
            wanted = wanted_images(again.images, kube.namespace or "")
        found.append((each, check(wanted, configuration, demands, registries)))
    return found


def _fix(  # noqa: PLR0913 - what a check has
    given: Input,
    wanted: Sequence[WantedImage],
    found: Configuration,
    out: Output,
    *,
    rendering: Rendering,
    kube: Kube,
) -> bool:
    """Write the hook where that mends something; whether it was written."""
    findings = check(wanted, found, Demands(), None)
    if not any(each.is_fixable for each in findings):
        return False
    others = {
        each.file for image in wanted for each in image.found if each.is_hook and not _is_own(given.folder, each.file)
    }
    if others:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"the hook of {given.name} is not its own {HOOK} but comes from {', '.join(sorted(others))}; "
            "name the images there",
        )
    covered = needed(wanted, found)
    images = containers(covered)
    if not images:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"nothing in {given.name} needs a hook; take it out of the overlay")
    require_fitting(images)
    written = hook_file(given.folder, _namespace(given, covered), [(each.name, each.image) for each in images])
    after = wanted_images(images_of(written.render(rendering.options)), kube.namespace or "")
    for each in check(after, found, Demands(), None):
        if each.is_fixable:
            raise NeedsHuman(
                Reason.INVALID_REQUEST,
                f"with {HOOK} in {given.name} it would still be said of {each.image.image} that {each.message}; "
                "nothing was written, see what the overlay makes of the hook",
            )
    written.write()
    out.say("\n".join(clean(line) for line in written.diff.splitlines()))
    return bool(written.texts)


def _namespace(given: Input, covered: Sequence[WantedImage]) -> str:
    """The one that a hook has to be in; empty where resources name none."""
    names = {place.resource.namespace for each in covered for place in each.found if not place.is_hook}
    if len(names) > 1:
        listed = ", ".join(sorted(each or "none" for each in names))
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"the images of {given.name} are in several namespaces ({listed}), and a hook is in one; write a hook for "
            "each by hand, or an overlay for each",
        )
    return names.pop() if names else ""


def _is_own(overlay: Path, file: str) -> bool:
    return Path(file).resolve() == (overlay / HOOK).resolve()


def status(found: Sequence[tuple[Input, list[Finding]]]) -> Exit:
    """The exit code of what was found."""
    findings = [finding for _, some in found for finding in some]
    if not findings:
        return Exit.OK
    return Exit.SOMETHING_TO_DO if all(each.is_fixable for each in findings) else Exit.ERROR


def show(found: Sequence[tuple[Input, list[Finding]]], out: Output) -> None:
    """Print what was found."""
    document = [
        {"name": given.name, "ok": not findings, "findings": [_document(each) for each in findings]}
        for given, findings in found
    ]
    every = [finding for _, findings in found for finding in findings]
    out.show({"overlays": document}, lambda: _text(every), list(dict.fromkeys(each.image.image for each in every)))
    for given, findings in found:
        if not findings:
            out.detail(f"{given.name}: nothing found")


def _text(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = [
        (
            Cell(each.reason, Colour.BUSY if each.is_fixable else Colour.BAD),
            each.image.image,
            _places(each),
            each.message,
        )
        for each in findings
    ]
    return table(_COLUMNS, rows)


def _places(finding: Finding) -> str:
    first, *more = finding.image.found
    tail = f" and {len(more)} more" if more else ""
    return f"{first.file}: {first.resource} ({first.container}){tail}"


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "image": finding.image.image,
        "reason": str(finding.reason),
        "message": finding.message,
        "fixable": finding.is_fixable,
        "namedBy": [
            {"kind": each.resource.kind, "name": each.resource.name, "container": each.container, "file": each.file}
            for each in finding.image.found
        ],
    }
