"""Figures are medians over rounds of what was right; what is missing is said."""

from pathlib import Path

import pytest
from copying import figures, report
from copying.content import Generator
from copying.rounds import Outcome, Run
from copying.scenarios import CRANE, OURS, REGCTL, SCENARIOS, Bars, Images, Network, Scenario
from copying.world import Counts

import benchmarks.conftest  # noqa: F401 - it makes `copying` importable
from localworld.errors import WorldError

COUNTS = Counts(10, {}, 2, 1000, 1000)
SCENARIO = Scenario("T", "a test", Images(1, (1,)), Network(), (CRANE, REGCTL), Bars({CRANE: 1.5, REGCTL: 3.0}))


def run(wall: float, **changes: object) -> Run:
    return Run(wall, wall / 2, 10_000_000, COUNTS, **changes)  # type: ignore[arg-type]


def outcome(**runs: list[Run]) -> Outcome:
    return Outcome(SCENARIO, 1_000_000_000, 1, runs=runs)


def test_a_ratio_compares_runs_of_the_same_round() -> None:
    measured = outcome(ours=[run(1), run(2), run(4)], crane=[run(2), run(6), run(8)])

    assert figures.ratio(measured, CRANE, lambda each: each.wall) == 2


def test_a_round_in_which_one_of_the_two_failed_is_no_comparison() -> None:
    measured = outcome(ours=[run(1), run(1)], crane=[run(0.1, failure="no"), run(3)])

    assert figures.ratio(measured, CRANE, lambda each: each.wall) == 3


def test_a_wrong_result_has_no_time() -> None:
    measured = outcome(ours=[run(1)], crane=[run(0.1, complaints=("tag v000 is missing",))])

    row = figures.row(measured, CRANE)

    assert row.wall is None
    assert row.note == "WRONG RESULT in 1 of 1"


def test_a_bar_is_met_missed_or_not_measured() -> None:
    measured = outcome(ours=[run(1)], crane=[run(2)], regctl=[run(2)])

    assert [verdict.is_met for verdict in figures.verdicts([measured])] == [True, False]
    assert [verdict.is_met for verdict in figures.verdicts([outcome(crane=[run(2)])])] == [None, None]


def test_a_peer_that_fails_meets_no_bar_of_ours() -> None:
    measured = outcome(ours=[run(1)], crane=[run(9, failure="no")])

    verdict = figures.verdicts([measured])[0]

    assert (verdict.measured, verdict.is_met) == ("the peer fails", None)


def test_who_cannot_be_measured_is_in_the_table_with_the_reason() -> None:
    measured = outcome(crane=[run(2)])
    measured.missing[OURS] = "there is no such command"

    text = report.document([measured], {"crane": "v1"})

    assert "| ours   |" in text
    assert "there is no such command" in text


def test_the_document_changes_between_its_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")

    report.write(page, "new")

    assert page.read_text() == f"above\n{report.BEGIN}\n\nnew\n\n{report.END}\nbelow\n"
    page.write_text("no markers")
    with pytest.raises(WorldError, match="no place for the figures"):
        report.write(page, "new")


def test_every_bar_is_about_somebody_who_takes_part() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        named = {*scenario.bars.ratios, *scenario.bars.cpu, *scenario.bars.requests}
        assert named <= set(scenario.peers), scenario.name


def test_small_is_smaller_and_still_the_same_kind() -> None:
    for scenario in SCENARIOS:
        small = scenario.scaled(16).images
        assert sum(small.own) * small.count < sum(scenario.images.own) * scenario.images.count
        assert len(small.own) == len(scenario.images.own)


def test_content_is_the_same_everywhere_and_written_once(tmp_path: Path) -> None:
    images = Images(2, own=(1000,), shared=(5000,))
    first = Generator(tmp_path / "a").write("x", images)
    second = Generator(tmp_path / "b").write("x", images)

    assert first.images == second.images
    # A shared layer, and a layer and a configuration for each of both.
    assert len(first.blobs) == len(list((tmp_path / "a" / "blobs").iterdir())) == 5
