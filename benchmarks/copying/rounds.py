"""The run: every contender in every round, each with a destination in its first state, checked after each."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from copying import contenders, verification
from copying.contenders import Contender
from copying.content import Generator
from copying.distribution import DistributionWorld
from copying.namespace import Places
from copying.scenarios import Scenario
from copying.world import Counts, World, call, delayline

RUN_SECONDS = 400.0
GRACE_SECONDS = 10.0
SHOWN_COMPLAINTS = 3
CEILING_CONNECTIONS = (1, 16)
PlacesOf = Callable[[Scenario], Places]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What one contender did in one round.

    Attributes:
        wall: seconds from the first command's start to the last one's end.
        cpu: user and system seconds of its processes.
        memory: peak resident bytes of its largest process.
        counts: what the servers saw; None when they do not count.
        failure: of a command, as it said it; empty when there was none.
        complaints: what is wrong at the destination although no command failed.
    """

    wall: float
    cpu: float
    memory: int
    counts: Counts | None = None
    failure: str = ""
    complaints: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether it did what it was to do."""
        return not self.failure and not self.complaints


@dataclass
class Outcome:
    """What a scenario gave.

    Attributes:
        scenario: as it was run, so in small when the run was.
        size: bytes that had to be moved.
        images: how many.
        ceilings: by number of connections, bytes per second by direction, of a client that only moves bytes.
        runs: by contender; empty for one that could not be run.
        missing: by contender, why it could not be run.
    """

    scenario: Scenario
    size: int = 0
    images: int = 0
    ceilings: dict[int, dict[str, float]] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def good(self, contender: str) -> list[Run]:
        """The runs that count."""
        return [run for run in self.runs.get(contender, []) if run.is_good]


class Benchmark:
    """Runs scenarios, one after the other, below one directory, within a bounded time.

    Args:
        directory: what is generated goes there.
        places_of: where the servers of a scenario are.
        rounds: how often every contender runs.
        seconds: after this, no further run begins.
        say: takes a line about what goes on.
    """

    def __init__(self, directory: Path, places_of: PlacesOf, *, rounds: int, seconds: float, say: Say) -> None:
        self._directory = directory
        self._generator = Generator(directory / "content")
        self._places_of = places_of
        self._rounds = rounds
        self._deadline = time.monotonic() + seconds
        self._say = say

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._deadline

    def run(self, scenario: Scenario, rivals: Sequence[Contender]) -> Outcome:
        """Run one scenario; nothing is generated when nobody can take part."""
        self._say(f"\n{scenario.name}: {scenario.title}")
        able = [each for each in rivals if not each.missing]
        missing = {each.name: each.missing for each in rivals if each.missing}
        if not able:
            self._say("  nobody can be measured")
            return Outcome(scenario, missing=missing)
        content = self._generator.write(scenario.name, scenario.images)
        kind = DistributionWorld if scenario.on_distribution else World
        with kind(scenario, content, self._places_of(scenario), self._directory / scenario.name) as world:
            outcome = Outcome(scenario, world.size, len(content.images), missing=missing)
            self._measure_ceiling(world, outcome)
            self._run_rounds(world, able, outcome)
        if not scenario.keeps_blobs:
            self._generator.forget(content)
        return outcome

    def _measure_ceiling(self, world: World, outcome: Outcome) -> None:
        """Say what the servers and the network could do: a contender near it is not what is measured."""
        if world.scenario.cuts:
            return
        for connections in CEILING_CONNECTIONS:
            measured = outcome.ceilings[connections] = world.ceiling(connections)
            rates = ", ".join(f"{direction} {rate / 1e6:,.0f} MB/s" for direction, rate in measured.items())
            self._say(f"  ceiling, {connections} connection{'s' * (connections > 1)}: {rates}")

    def _run_rounds(self, world: World, able: Sequence[Contender], outcome: Outcome) -> None:
        rounds = min(self._rounds, world.scenario.rounds or self._rounds)
        for number in range(rounds):
            # Whoever comes first meets the machine in another state than whoever comes last.
            turn = number % max(1, len(able))
            for contender in (*able[turn:], *able[:turn]):
                if self.is_late:
                    self._say("  the time is over: no further runs")
                    return
                run = measure(world, contender)
                outcome.runs.setdefault(contender.name, []).append(run)
                self._say(f"  {number + 1}/{rounds} {contender.name}: {describe(run)}")


def measure(world: World, contender: Contender) -> Run:
    """Run a contender once, and check what it did."""
    world.reset()
    with tempfile.TemporaryDirectory(prefix="transship-bench-home-") as home:
        result = call(
            delayline("run"),
            {
                "commands": contender.commands(world),
                "parallel": contender.parallel,
                "environment": contenders.environment(world, Path(home)),
                "directory": home,
                "seconds": RUN_SECONDS,
            },
            seconds=RUN_SECONDS + GRACE_SECONDS,
        )
    counts = world.counts()
    complaints: list[str] = []
    if not result["failure"]:
        keeps = world.scenario.keeps_blobs
        complaints = verification.complaints(world.inspect_address, world.content, read_blobs=keeps)
    return Run(result["wall"], result["cpu"], result["memory"], counts, result["failure"], tuple(complaints))


def describe(run: Run) -> str:
    """One line about a run."""
    if run.failure:
        return f"FAILED after {run.wall:.1f} s: {' '.join(run.failure.split())[-300:]}"
    if run.complaints:
        more = len(run.complaints) - SHOWN_COMPLAINTS
        shown = "; ".join(run.complaints[:SHOWN_COMPLAINTS])
        return f"WRONG: {shown}{f'; and {more} more' if more > 0 else ''}"
    requests = f", {run.counts.requests} requests" if run.counts else ""
    return f"{run.wall:.2f} s, {run.cpu:.2f} CPU s, {run.memory / 2**20:.0f} MiB{requests}"
