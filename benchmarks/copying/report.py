"""The tables: for a terminal, and for docs/performance.md."""

import datetime as dt
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from copying.figures import MEBIBYTE, Row, Verdict, rows, verdicts
from copying.rounds import Outcome
from localworld.errors import WorldError

BEGIN = "<!-- measured by `make bench`; do not edit by hand -->"
END = "<!-- end of what was measured -->"
COLUMNS = (
    "who", "wall s", "least - most", "/ ours", "CPU s/GB", "MiB", "requests", "connections", "MB sent", "MB read",
    "remarks",
)  # fmt: skip
VERDICT_COLUMNS = ("scenario", "what", "bar", "measured", "")


def document(outcomes: Sequence[Outcome], versions: Mapping[str, str]) -> str:
    """Everything, as Markdown."""
    parts = [_machine(), _versions(versions), "## Bars", _table(VERDICT_COLUMNS, _verdict_cells(outcomes))]
    for outcome in outcomes:
        parts += [f"## {outcome.scenario.name}: {outcome.scenario.title}", _about(outcome), _figures(outcome)]
    return "\n\n".join(part for part in parts if part)


def write(path: Path, text: str) -> None:
    """Put the text between the markers of a document.

    Raises:
        WorldError: The document has no such markers.
    """
    old = path.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise WorldError(f"{path} has no place for the figures: it needs the lines {BEGIN} and {END}.")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return f"Measured on {today}: {os.cpu_count()} cores, {memory:.0f} GiB of memory, Linux {platform.release()}."


def _versions(versions: Mapping[str, str]) -> str:
    return f"{', '.join(f'{name} {version}' for name, version in versions.items())}."


def _about(outcome: Outcome) -> str:
    """What was moved, how often, and what the network and the servers could do."""
    if not outcome.images:
        return "Nobody could be measured."
    rounds = max((len(runs) for runs in outcome.runs.values()), default=0)
    size = f"{outcome.size / 1e6:,.1f} MB" if outcome.size else "nothing"
    lines = [f"{size} to move, {outcome.images} image{'s' * (outcome.images > 1)}, rounds: {rounds}."]
    for connections, rates in outcome.ceilings.items():
        shown = " and ".join(f"{direction} {rate / 1e6:,.0f} MB/s" for direction, rate in rates.items())
        lines.append(f"Ceiling with {connections} connection{'s' * (connections > 1)}: {shown}.")
    return " ".join(lines)


def _figures(outcome: Outcome) -> str:
    return _table(COLUMNS, [_cells(row) for row in rows(outcome)])


def _cells(row: Row) -> list[str]:
    least_most = f"{row.wall_range[0]:.2f} - {row.wall_range[1]:.2f}" if row.wall_range else ""
    return [
        row.contender,
        _shown(row.wall, "{:.2f}".format),
        least_most,
        _shown(row.ratio, "{:.2f}".format),
        _shown(row.cpu, "{:.2f}".format),
        _shown(row.memory, lambda value: f"{value / MEBIBYTE:.0f}"),
        _shown(row.requests, "{:.0f}".format),
        _shown(row.connections, "{:.0f}".format),
        _shown(row.sent, lambda value: f"{value / 1e6:.1f}"),
        _shown(row.read, lambda value: f"{value / 1e6:.1f}"),
        row.note,
    ]


def _shown(value: float | None, as_text: Callable[[float], str]) -> str:
    return "" if value is None else as_text(value)


def _verdict_cells(outcomes: Sequence[Outcome]) -> list[list[str]]:
    return [_verdict(verdict) for verdict in verdicts(list(outcomes))]


def _verdict(verdict: Verdict) -> list[str]:
    words = {True: "met", False: "missed", None: ""}
    return [verdict.scenario, verdict.what, verdict.bar, verdict.measured, words[verdict.is_met]]


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table that can be read as it is, too."""
    lines = [columns, *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    texts = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    texts.insert(1, " | ".join("-" * max(3, width) for width in widths))
    return "\n".join(f"| {text} |" for text in texts)
