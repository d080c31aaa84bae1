"""Pages outside docs/ lead where they say (Sphinx looks after docs/), and pictures are those of their drawings."""

import html
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md", ":!docs"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
]
DRAWINGS = sorted((ROOT / "docs/pictures").glob("*.dot"))


def anchors(page: Path) -> set[str]:
    """What Git hosts make of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not re.match(r"[a-z]+:", target) and (not place.exists() or (anchor and anchor not in anchors(place))):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.stem)
def test_a_picture_shows_what_its_drawing_says(drawing: Path) -> None:
    wanted = {line for label in re.findall(r'label="([^"]*)"', drawing.read_text()) for line in label.split(r"\n")}
    shown = re.findall(r"<text[^>]*>(.*?)</text>", drawing.with_suffix(".svg").read_text())
    assert wanted <= {html.unescape(line).replace("\N{NO-BREAK SPACE}", " ") for line in shown}, "run `make pictures`"


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.stem)
def test_a_picture_loads_nothing(drawing: Path) -> None:
    picture = drawing.with_suffix(".svg").read_text()
    assert not re.search(r"<!DOCTYPE|<script|<image|href=", picture)
