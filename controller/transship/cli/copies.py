"""Images copied or planned, and what is printed of each."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from transship.cli.copying import Copying, Outcome, Pair, pair_of
from transship.cli.output import Format, Output, clean
from transship.cli.places import Places
from transship.cli.progress import watcher
from transship.cli.stopping import SIGNALS, leave
from transship.errors import TransshipError
from transship.oci.copier import MEBIBYTE, Copier, Limits
from transship.oci.reference import Registry
from transship.oci.referrers import Referrers
from transship.oci.survey import Survey, Verdict
from transship.registry.hosts import HostRules

if TYPE_CHECKING:
    from transship.settings import Settings

NOTHING_TO_DO, FAILED, SOMETHING_TO_DO, STOPPED = 0, 1, 2, 130


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be copied, and how."""

    source: str
    destination: str
    all_tags: bool
    plan: bool
    overwrite: bool
    referrers: Referrers
    plain_http: tuple[str, ...]
    local: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done at once; `memory` is in MiB."""

    images: int
    blobs: int
    ranges: int
    memory: int


def copy_all(asked: Asked, pace: Pace, out: Output, *, quiet: bool) -> None:
    """Copy or plan, print what came of it, and end the command.

    Raises:
        typer.Exit: always.
    """
    limits = Limits(
        memory=pace.memory * MEBIBYTE,
        blobs=pace.blobs,
        ranges=pace.ranges,
        lookups=max(pace.images, pace.blobs),
    )
    hosts = _rules(asked.plain_http, asked.local)
    stops: list[int] = []
    try:
        places = Places(hosts, connections=pace.images + pace.blobs + pace.ranges, settings=_settings())
        copying = Copying(
            places,
            Copier(limits),
            images=pace.images,
            referrers=asked.referrers,
            overwrite=asked.overwrite,
        )
        stops = _stop_on_signals(copying)
        pairs = (
            copying.all_tags(asked.source, asked.destination)
            if asked.all_tags
            else [pair_of(asked.source, asked.destination)]
        )
    except TransshipError as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(STOPPED if stops else FAILED) from error
    for pair in pairs:
        out.detail(f"{pair.source} -> {pair.destination}")
    if asked.plan:
        outcomes = copying.plan(pairs)
    else:
        with watcher(is_quiet=quiet) as watch:
            outcomes = copying.run(pairs, watch)
    _print(outcomes, out, is_plan=asked.plan)
    raise typer.Exit(STOPPED if stops else _status(outcomes, is_plan=asked.plan))


def _rules(plain_http: Sequence[str], local: Sequence[str]) -> HostRules:
    """Which hosts may be this machine; each has to be a host, and not a URL of one."""
    for host in (*plain_http, *local):
        try:
            Registry.parse(host)
        except ValueError as error:
            typer.echo(f"transship: {error}", err=True)
            raise typer.Exit(FAILED) from error
    return HostRules.of(plain_http=plain_http, local=local)


def _settings() -> "Settings | None":
    """The process's settings, where there are any: most who copy have none, and need not wait for them to be read."""
    if not any(name.startswith("TRANSSHIP_") for name in os.environ):
        return None
    from transship.cli.environment import load_settings  # noqa: PLC0415

    return load_settings(FAILED)


def _stop_on_signals(copying: Copying) -> list[int]:
    """Stop cleanly the first time, and at once the second time."""
    caught: list[int] = []

    def stop(number: int, _: object) -> None:
        if caught:
            leave()
        caught.append(number)
        copying.stop()

    for number in SIGNALS:
        signal.signal(number, stop)
    return caught


def _status(outcomes: Sequence[Outcome], *, is_plan: bool) -> int:
    if any(each.error for each in outcomes):
        return FAILED
    if is_plan and any(each.seen and each.seen.verdict is not Verdict.PRESENT for each in outcomes):
        return SOMETHING_TO_DO
    return NOTHING_TO_DO


def _print(outcomes: Sequence[Outcome], out: Output, *, is_plan: bool) -> None:
    failed = [each for each in outcomes if each.error is not None]
    seen = [(each.pair, each.seen) for each in outcomes if each.error is None and each.seen is not None]
    if out.output not in {Format.JSON, Format.YAML}:  # which say it themselves
        for each in failed:
            out.say(f"transship: {each.pair.destination}: {clean(str(each.error))}")
    out.show(
        {"images": [_as_json(each, is_plan=is_plan) for each in outcomes]},
        lambda: "\n".join(_line(pair, found, is_plan=is_plan) for pair, found in seen),
        (f"{pair.destination.repository}@{found.root.digest}" for pair, found in seen),
    )


def _line(pair: Pair, seen: Survey, *, is_plan: bool) -> str:
    return _planned(pair, seen) if is_plan else f"{pair.destination} {seen.root.digest}"


def _planned(pair: Pair, seen: Survey) -> str:
    lines = [f"{pair.source} -> {pair.destination}", f"  digest    {seen.root.digest}", f"  verdict   {seen.verdict}"]
    if seen.verdict is Verdict.PRESENT:
        return "\n".join(lines)
    total = seen.whole.total_bytes
    lines += [
        f"  missing   {len(seen.lacking.manifests)} of {len(seen.whole.manifests)} manifests",
        f"            {len(seen.lacking.blobs)} of {len(seen.whole.blobs)} blobs",
        f"            {len(seen.attaching.steps)} attached manifests ({seen.attaching.present} are there)",
        f"            {seen.amounts.bytes_missing} of {total} bytes",
        "  requests  " + ", ".join(f"{count} {kind}" for kind, count in seen.requests.items()),
    ]
    if seen.tagged is not None and seen.tagged.digest != seen.root.digest:
        lines.append(f"  replaces  {seen.tagged.digest}")
    return "\n".join(lines)


def _as_json(outcome: Outcome, *, is_plan: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"source": str(outcome.pair.source), "destination": str(outcome.pair.destination)}
    seen, report, error = outcome.seen, outcome.report, outcome.error
    if seen is not None:
        found |= {
            "digest": str(seen.root.digest),
            "mediaType": seen.root.media_type,
            "verdict": str(seen.verdict),
            "bytesTotal": seen.whole.total_bytes,
            "bytesMissing": seen.amounts.bytes_missing,
            "blobsMissing": len(seen.amounts.blobs),
            "manifestsMissing": seen.amounts.manifests_missing,
            "referrers": {
                "missing": len(seen.attaching.steps),
                "present": seen.attaching.present,
                "problems": [str(each) for each in seen.attaching.problems],
            },
            "requests": seen.requests,
        }
    if report is not None:
        found |= {
            "bytesCopied": report.bytes_copied,
            "bytesSkipped": report.bytes_skipped,
            "blobsCopied": report.blobs_copied,
            "blobsMounted": report.blobs_mounted,
            "blobsLeftOut": report.blobs_left_out,
            "manifestsCopied": report.manifests_copied,
            "referrersCopied": len(report.attached.written),
            "referrersFailed": [str(each) for each in report.attached.problems],
        }
    if error is not None:
        found |= {"error": {"reason": str(error.reason), "message": str(error)}}
    elif not is_plan:
        found |= {"proven": True}
    return found
