"""The threat model answers every threat that is known, and points at tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "docs/threat-model.md").read_text()
_ROW = re.compile(r"^\| (T\d+) \|(.*)\|$", re.MULTILINE)


def test_every_known_threat_has_one_row_in_order() -> None:
    known = [number for number, _ in _ROW.findall((ROOT / "docs/facts/threats.md").read_text())]
    assert [number for number, _ in _ROW.findall(MODEL)] == known


def test_every_answer_says_what_is_done_and_either_which_test_shows_it_or_that_there_is_none() -> None:
    for number, row in _ROW.findall(MODEL):
        _, answer, shown_by, _ = (cell.strip() for cell in row.split("|"))
        assert answer, number
        assert ("**Not built.**" in answer) == (not shown_by), number


def test_every_test_it_points_at_exists_and_tests() -> None:
    paths = set(re.findall(r"`(tests/[^`]+)`", MODEL))
    assert paths
    for path in sorted(paths):
        files = [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).glob("test_*.py"))
        assert any("def test_" in file.read_text() for file in files if file.is_file()), path
