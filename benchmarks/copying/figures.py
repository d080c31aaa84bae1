"""From runs to figures: medians, ratios, and what they say about the bars."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from copying.rounds import Outcome, Run
from copying.scenarios import OURS, Bars

RSS_TOLERANCE = 1.05
MEBIBYTE = 2**20
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Row:
    """A contender's figures in a scenario; None where there are none.

    Attributes:
        wall: median seconds; `wall_range` is the least and the most.
        ratio: the median, over the rounds, of its wall time / ours in the same round.
        cpu: median processor seconds per 10^9 bytes moved; None when nothing had to be moved.
        memory: the largest peak of any run, in bytes.
        requests: median; `connections` likewise.
        sent: median of the bytes the destination received; `read`: of the bytes the servers gave out.
        note: what cannot be said in figures.
    """

    contender: str
    wall: float | None = None
    wall_range: tuple[float, float] | None = None
    ratio: float | None = None
    cpu: float | None = None
    memory: float | None = None
    requests: float | None = None
    connections: float | None = None
    sent: float | None = None
    read: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """A bar and what was measured; `is_met` is None when there is nothing to compare."""

    scenario: str
    what: str
    bar: str
    measured: str = UNKNOWN
    is_met: bool | None = None


def rows(outcome: Outcome) -> list[Row]:
    """One for each contender, ours first."""
    names = dict.fromkeys([OURS, *outcome.scenario.peers])
    return [row(outcome, name) for name in names]


def row(outcome: Outcome, name: str) -> Row:
    """The figures of a contender's good runs."""
    good = outcome.good(name)
    note = _note(outcome, name)
    if not good:
        return Row(name, note=note)
    walls = [run.wall for run in good]
    per_gigabyte = outcome.size / 1e9
    return Row(
        name,
        wall=median(walls),
        wall_range=(min(walls), max(walls)),
        ratio=None if name == OURS else ratio(outcome, name, lambda run: run.wall),
        cpu=median(run.cpu for run in good) / per_gigabyte if per_gigabyte else None,
        memory=max(run.memory for run in good),
        requests=counted(good, "requests"),
        connections=counted(good, "connections"),
        sent=counted(good, "received"),
        read=counted(good, "served"),
        note=note,
    )


def counted(runs: Sequence[Run], what: str) -> float | None:
    """The median of something that the servers count, when they count."""
    seen: list[float] = [getattr(run.counts, what) for run in runs if run.counts is not None]
    return median(seen) if seen else None


def throttled(runs: Sequence[Run]) -> int | None:
    """The most answers 429 of any run."""
    return max((run.counts.by_kind.get("429", 0) for run in runs if run.counts is not None), default=None)


def ratio(outcome: Outcome, peer: str, figure: Callable[[Run], float]) -> float | None:
    """The median, over rounds in which both did their work, of a peer's figure / ours."""
    together = zip(outcome.runs.get(peer, []), outcome.runs.get(OURS, []), strict=False)
    both = [figure(theirs) / figure(mine) for theirs, mine in together if theirs.is_good and mine.is_good]
    return median(both) if both else None


def _note(outcome: Outcome, name: str) -> str:
    if name in outcome.missing:
        return outcome.missing[name]
    runs = outcome.runs.get(name, [])
    if not runs:
        return "not run: the time was over"
    failed = sum(1 for run in runs if run.failure)
    wrong = sum(1 for run in runs if run.complaints)
    refused = throttled(runs)
    notes = [
        f"fails in {failed} of {len(runs)}" if failed else "",
        f"WRONG RESULT in {wrong} of {len(runs)}" if wrong else "",
        f"up to {refused} answers 429" if refused else "",
    ]
    return ", ".join(note for note in notes if note)


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    """Every bar of the scenarios that were run."""
    by_name = {outcome.scenario.name: outcome for outcome in outcomes}
    return [verdict for outcome in outcomes for verdict in _verdicts(outcome, by_name)]


def _verdicts(outcome: Outcome, by_name: dict[str, Outcome]) -> Iterator[Verdict]:
    scenario, bars = outcome.scenario, outcome.scenario.bars
    ours = row(outcome, OURS)
    for peer, bar in bars.ratios.items():
        measured = ratio(outcome, peer, lambda run: run.wall)
        fails = bool(outcome.runs.get(peer)) and not outcome.good(peer)
        blank = Verdict(scenario.name, f"wall {peer} / ours", f"≥ {bar:g}", "the peer fails" if fails else UNKNOWN)
        yield _at_least(blank, measured, bar)
    yield from _shares(outcome, bars)
    if bars.memory is not None:
        what = Verdict(scenario.name, "peak memory", f"≤ {bars.memory / MEBIBYTE:.0f} MiB")
        yield _at_most(what, ours.memory, bars.memory, lambda value: f"{value / MEBIBYTE:.0f} MiB")
    if scenario.ecr_quotas:
        refused = throttled(outcome.good(OURS))
        yield _at_most(Verdict(scenario.name, "answers 429", "0"), refused, 0, "{:.0f}".format)
    if scenario.at_most_rss_of:
        other = by_name.get(scenario.at_most_rss_of)
        theirs = row(other, OURS).memory if other else None
        what = Verdict(scenario.name, f"peak memory / that of {scenario.at_most_rss_of}", f"≤ {RSS_TOLERANCE:g}")
        share = ours.memory / theirs if ours.memory and theirs else None
        yield _at_most(what, share, RSS_TOLERANCE, "{:.2f}".format)


def _shares(outcome: Outcome, bars: Bars) -> Iterator[Verdict]:
    """What we may need, as a share of what a peer needs."""
    for what, limits, figure in (
        ("processor time", bars.cpu, lambda run: run.cpu),
        ("requests", bars.requests, lambda run: run.counts.requests if run.counts else 0),
    ):
        for peer, bar in limits.items():
            inverse = ratio(outcome, peer, figure)
            measured = 1 / inverse if inverse else None
            verdict = Verdict(outcome.scenario.name, f"{what} ours / {peer}", f"≤ {bar:g}")
            yield _at_most(verdict, measured, bar, "{:.2f}".format)


def _at_least(verdict: Verdict, measured: float | None, bar: float) -> Verdict:
    if measured is None:
        return verdict
    return Verdict(verdict.scenario, verdict.what, verdict.bar, f"{measured:.2f}", measured >= bar)


def _at_most(verdict: Verdict, measured: float | None, bar: float, shown: Callable[[float], str]) -> Verdict:
    if measured is None:
        return verdict
    return Verdict(verdict.scenario, verdict.what, verdict.bar, shown(measured), measured <= bar)
