"""Promotions of whole overlays: done here or handed to an operator, and what became of each image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from transship.cli import exits
from transship.cli.ages import size
from transship.cli.engine import Stop
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import Input
from transship.cli.kube import Kube
from transship.cli.output import Cell, Colour, Output, table
from transship.cli.overlay_options import PolicyOptions
from transship.cli.planning import wanted_images
from transship.cli.progress import watcher
from transship.cli.promoting import Ended, Promoting
from transship.cli.registries import build_registries
from transship.promotion.status import to_resource

if TYPE_CHECKING:
    from transship.cli.handing_over import HandedOver

_COLUMNS = ("OUTCOME", "IMAGE", "DIGEST", "COPIED", "MESSAGE")
_SHORT = len("sha256:") + 12


def promote(  # noqa: PLR0913 - as the command
    inputs: Sequence[Input], timeout: str, policies: PolicyOptions, kube: Kube, out: Output, *, quiet: bool
) -> None:
    """Promote the images of overlays, show what became of them, and end the command.

    Raises:
        typer.Exit: always.
    """
    settings = load_settings(Exit.ERROR)
    found = {each.folder: policies.read(each.folder, kube, out) for each in inputs}
    stop = Stop()
    stop.on_signals()
    promoting = Promoting(settings, build_registries(settings), stop, timeout)
    ended: list[Ended] = []
    with watcher(is_quiet=quiet) as watch:
        for each in inputs:
            out.detail(f"promoting the images of {each.name}")
            ended += promoting.run(wanted_images(each.images, kube.namespace or ""), found[each.folder], watch)
    _show(ended, out)
    if stop.is_asked():
        out.say(f"transship: stopped; {_done(ended)}; what has arrived of others stays, without a tag")
        raise typer.Exit(Exit.STOPPED)
    raise typer.Exit(Exit.OK if all(each.is_good for each in ended) else Exit.ERROR)


def follow(inputs: Sequence[Input], timeout: str, kube: Kube, out: Output, *, quiet: bool) -> None:
    """Let the operator promote the images of overlays, show what became of them, and end the command.

    Raises:
        typer.Exit: always.
    """
    from transship.cli.handing_over import hand_over  # noqa: PLC0415 - the Kubernetes client takes half a second

    connection = kube.connect(out)
    with watcher(is_quiet=quiet) as watch:
        handed = [hand_over(each, connection, timeout, watch, out) for each in inputs]
    every = [one for some in handed for one in some]
    _show([ended for one in every for ended in one.ended], out)
    raise typer.Exit(_code(every))


def _code(handed: "Sequence[HandedOver]") -> int:
    """0 when all are Ready; else the reason of the first that has stalled, or that the time is over."""
    stalled = next((each.reason for each in handed if not each.is_ready and each.reason), None)
    if stalled is not None:
        return exits.stalled(stalled)
    if not all(each.is_ready for each in handed):
        return Exit.TIMED_OUT
    return Exit.OK if all(ended.is_good for each in handed for ended in each.ended) else Exit.ERROR


def _done(ended: Sequence[Ended]) -> str:
    proven = sum(each.status is not None and each.status.is_proven for each in ended)
    return f"{proven} of {len(ended)} images are at their destination and proven"


def _show(ended: Sequence[Ended], out: Output) -> None:
    names = [each.wanted.image for each in ended if each.status is not None and each.status.is_proven]
    out.show({"images": [_document(each) for each in ended]}, lambda: table(_COLUMNS, map(_row, ended)), names)
    for each in ended:
        if not each.is_good:
            out.say(f"transship: {each.wanted.image}: {_message(each)}")


def _document(ended: Ended) -> dict[str, Any]:
    about: dict[str, Any] = {"image": ended.wanted.image, "namespace": ended.wanted.namespace, "ok": ended.is_good}
    if ended.status is not None:
        return about | {name: value for name, value in to_resource(ended.status).items() if name != "name"}
    return about | {"outcome": "NotCovered", "message": _message(ended)}


def _row(ended: Ended) -> tuple[str | Cell, ...]:
    status = ended.status
    if status is None:
        return Cell("NotCovered", None if ended.is_good else Colour.BAD), ended.wanted.image, "", "", _message(ended)
    word = status.outcome if status.is_proven else status.reason or "Unfinished"
    copied = size(status.bytes_copied) if status.bytes_copied is not None else ""
    colour = Colour.GOOD if status.is_proven else Colour.BAD
    return Cell(str(word), colour), ended.wanted.image, status.digest[:_SHORT], copied, _message(ended)


def _message(ended: Ended) -> str:
    if ended.status is None:
        return ended.uncovered.message if ended.uncovered is not None else ""
    if ended.status.is_proven:
        return f"{ended.status.message}; proven"
    copied, skipped, total = ended.status.bytes_copied, ended.status.bytes_skipped, ended.status.bytes_total
    if not ended.status.message and copied is not None and total is not None:
        return f"not finished: {size(copied)} of {size(total - (skipped or 0))} have arrived, and there is no tag"
    return ended.status.message or "not finished, and there is no tag"
