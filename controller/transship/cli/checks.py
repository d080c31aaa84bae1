"""What is wrong with overlays: found, mended where writing a hook mends it, and printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from transship.cli.checking import Demands, Finding, check
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import Input, read_inputs
from transship.cli.kube import Kube
from transship.cli.mending import hook_of
from transship.cli.output import Cell, Colour, Output, clean, table
from transship.cli.overlay_options import PolicyOptions, Rendering
from transship.cli.planning import wanted_images
from transship.cli.registries import build_registries
from transship.errors import NeedsHuman
from transship.kustomization.hook import HookFile

_COLUMNS = ("REASON", "IMAGE", "NAMED BY", "MESSAGE")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be checked.

    Attributes:
        pinned: every image has a digest.
        hook: a hook or PromotionRequest names every image.
        fix: such a hook is written.
        offline: no registry is asked.
    """

    pinned: bool
    hook: bool
    fix: bool
    offline: bool


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
        mend = partial(hook_of, each, wanted, configuration, rendering, kube.namespace or "")
        is_to_fix = (
            asked.fix and asked.hook and any(one.is_fixable for one in check(wanted, configuration, demands, None))
        )
        if is_to_fix and _fix(mend, out):
            (again,) = read_inputs([each.folder], [], rendering)
            wanted = wanted_images(again.images, kube.namespace or "")
        found.append((each, _offered(check(wanted, configuration, demands, registries), mend)))
    return found


def _fix(mend: Callable[[], HookFile], out: Output) -> bool:
    """Write the hook; whether anything changed."""
    try:
        written = mend()
    except NeedsHuman as error:
        raise NeedsHuman(error.reason, f"{error.message}; nothing was written for it") from error
    written.write()
    out.say("\n".join(clean(line) for line in written.diff.splitlines()))
    return bool(written.texts)


def _offered(findings: Sequence[Finding], mend: Callable[[], HookFile]) -> list[Finding]:
    """What was found, where --fix would fail with the reason for that in the place of its offer."""
    if not any(each.is_fixable for each in findings):
        return list(findings)
    try:
        mend()
    except NeedsHuman as error:
        return [replace(each, obstacle=error.message) for each in findings]
    return list(findings)


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
    if every:
        mended = sum(each.is_fixable for each in every)
        many = f"{len(every)} finding{'s' if len(every) > 1 else ''}"
        out.say(f"transship: {many}{f', {mended} of which --fix mends' if mended else ''}")
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
            each.sentence,
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
        "message": finding.sentence,
        "fixable": finding.is_fixable,
        "namedBy": [
            {"kind": each.resource.kind, "name": each.resource.name, "container": each.container, "file": each.file}
            for each in finding.image.found
        ],
    }
