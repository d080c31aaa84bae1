"""The README's tables are complete, and name only tests that exist."""

import re
from pathlib import Path

import pytest

from ecr_twin.actions import ACTIONS
from ecr_twin.faults import PLACES, WRITES
from ecr_twin.profile import DEFAULT, OTHER, spelling
from localworld import paths

README = (paths.REPOSITORY / "twin" / "README.md").read_text(encoding="utf-8")
LISTED = {"A": 9, "R": 5, "M": 9, "F": 5, "B": 8, "L": 2, "Q": 3, "X": 10, "E": 1}


def rows(section: str) -> list[list[str]]:
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def ids(text: str) -> set[str]:
    found = set()
    for first, last in re.findall(r"([A-Z]\d+)(?:-([A-Z]\d+))?", text):
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        found |= {f"{first[0]}{number}" for number in numbers}
    return found


def test_every_listed_behaviour_has_a_row() -> None:
    wanted = {f"{letter}{number}" for letter, most in LISTED.items() for number in range(1, most + 1)}
    assert ids(" ".join(row[0] for row in rows("Behaviours")[2:])) == wanted
    assert f"Of the {len(wanted)} behaviours listed, {len(wanted)} are implemented" in README
    assert f"62 operations of the API, {len(ACTIONS)}." in README


def test_every_row_names_tests_that_exist() -> None:
    folder = Path(__file__).parent
    functions = {path.stem: re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
                 for path in folder.glob("test_*.py")}  # fmt: skip
    for row in rows("Behaviours")[2:]:
        named = re.findall(r"`(\w+)`", row[-1])
        assert named, row
        for name in named:
            if name.startswith("test_"):
                assert name in functions, name
            else:
                assert any(name in function for each in functions.values() for function in each), (row[0], name)


@pytest.mark.parametrize("name", OTHER)
def test_every_question_has_a_row_with_both_answers(name: str) -> None:
    (row,) = [row for row in rows("Open questions") if row[0] == f"`{spelling(name)}`"]
    for answer in (getattr(DEFAULT, name), OTHER[name]):
        assert str(answer).lower() in row[1]


def test_every_fault_has_a_row() -> None:
    kinds = {kind for row in rows("Faults")[2:] for kind in re.findall(r"`(\w+)`", row[1])}
    assert kinds == set(PLACES)
    assert all(f"`{write}`" in README for write in WRITES)
