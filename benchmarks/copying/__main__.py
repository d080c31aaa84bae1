"""The command line of `make bench` and `make bench-quick`."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from copying import contenders, namespace, report
from copying.rounds import Benchmark, Outcome
from copying.scenarios import OURS, SCENARIOS, Scenario
from localworld import tools
from localworld.errors import WorldError
from localworld.paths import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "performance.md"
QUICK_SCALE, QUICK_ROUNDS, QUICK_SECONDS = 16, 1, 120.0
ROUNDS, SECONDS = 5, 3 * 3600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the status is not 0 when ours failed, or anybody left something wrong behind."""
    signal.signal(signal.SIGTERM, _leave)
    options = _parser().parse_args(arguments)
    try:
        if not namespace.is_inside():
            tools.ensure(contenders.NEEDS)
            return namespace.start_again(["-m", "copying", *(sys.argv[1:] if arguments is None else arguments)])
        namespace.prepare()
        return _measure(options)
    except WorldError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into an exception, so that everything that was started is stopped on the way out."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="copying", description="Measure copying, beside crane, regctl and skopeo.")
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"some of {names} (default: all)")
    parser.add_argument("--quick", action="store_true", help="1/16 of the sizes, two minutes")
    parser.add_argument("--scale", type=int, help="divide the sizes by this")
    parser.add_argument("--rounds", type=int, help=f"how often everybody runs (default: {ROUNDS})")
    parser.add_argument("--seconds", type=float, help="begin no further run after this time")
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{DOCUMENT.name}")
    return parser


def _measure(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    order = [scenario.name for scenario in SCENARIOS]
    versions = contenders.versions()
    print(", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)
    if why := contenders.ours().missing:
        print(f"{OURS} cannot be measured: {why}.", flush=True)
    outcomes = sorted(_run(chosen, options), key=lambda outcome: order.index(outcome.scenario.name))
    text = report.document(outcomes, versions)
    print(f"\n{text}", flush=True)
    if options.write:
        report.write(DOCUMENT, text)
        print(f"\nwritten to docs/{DOCUMENT.name}", flush=True)
    return _status(outcomes)


def _chosen(options: argparse.Namespace) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = set(options.names) - set(known)
    if unknown:
        raise WorldError(f"There is no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    names = options.names or [name for name, scenario in known.items() if scenario.quick or not options.quick]
    return [known[name].scaled(options.scale or (QUICK_SCALE if options.quick else 1)) for name in names]


def _run(chosen: Sequence[Scenario], options: argparse.Namespace) -> list[Outcome]:
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="transship-bench-") as directory:
        benchmark = Benchmark(
            Path(directory),
            lambda scenario: namespace.places(tls=scenario.network.tls),
            rounds=rounds,
            seconds=seconds,
            say=tools.say,
        )
        for scenario in chosen:
            if benchmark.is_late:
                print(f"\n{scenario.name}: not run, the time is over", flush=True)
                continue
            outcomes.append(benchmark.run(scenario, contenders.choose(scenario.peers)))
    return outcomes


def _status(outcomes: Sequence[Outcome]) -> int:
    for outcome in outcomes:
        for name, runs in outcome.runs.items():
            if any(run.complaints or (name == OURS and run.failure) for run in runs):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
