"""The how-to says what is so."""

import re
from pathlib import Path

import pytest

from transship.errors import NeedsHuman
from transship.kustomization.documents import MAX_DEPTH, MAX_NODES
from transship.kustomization.overlay import Overlay
from transship.kustomization.program import DEFAULT, VARIABLE
from transship.kustomization.render import read_stream

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/overlays.md").read_text()
SAID = re.findall(r"^\| [^|]+ \| `([^|]*)` \|$", TEXT.partition("## What is refused")[2], re.MULTILINE)
TRIED = [
    ("two-places/patch-and-entry", "shop/search"),
    ("two-places/versions", "shop/search"),
    ("components/overlays/production", "shop/pay"),
    ("replacements/overlays/production", "shop/mail"),
    ("patches/overlays/merge", "shop/search"),
    ("patches/overlays/folded", "shop/search"),
    ("resources/production", "shop/wep"),
]


def test_the_diff_shown_is_that_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = re.search(r"\$ transship set-image (\S+) (\S+):(\S+)\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None

    overlay = Overlay.open(Path(found[1]))
    overlay.set_image(found[2], tag=found[3])

    assert overlay.diff() == found[4]


@pytest.mark.parametrize(("said", "tried"), list(zip(SAID, TRIED, strict=True)))
def test_what_is_said_of_a_refusal_is_what_is_shown(
    golden: Path, monkeypatch: pytest.MonkeyPatch, said: str, tried: tuple[str, str]
) -> None:
    monkeypatch.chdir(golden)

    with pytest.raises(NeedsHuman) as caught:
        Overlay.open(Path(tried[0])).set_image(tried[1], tag="v9")

    assert str(caught.value) == said


def test_the_sentence_about_a_stream_is_the_one_shown() -> None:
    with pytest.raises(NeedsHuman) as caught:
        read_stream("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\na: b\nc: d\na: e\n")

    assert f"```text\n{caught.value}\n```" in TEXT


def test_the_limits_named_are_those_that_hold() -> None:
    assert (MAX_NODES, MAX_DEPTH, DEFAULT.time_limit) == (500_000, 100, 60.0)
    assert VARIABLE in TEXT
