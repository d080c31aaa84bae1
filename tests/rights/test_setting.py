"""TRANSSHIP_NAMESPACES is a list of names, and nothing that could be taken for all namespaces by mistake."""

import os
import subprocess
import sys

import pytest

from transship.settings import Settings


def test_names_are_taken_once_each_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSSHIP_NAMESPACES", "shop, billing,shop")

    assert Settings().namespaces == ("shop", "billing")  # type: ignore[call-arg]


@pytest.mark.parametrize("nothing", ["", "  "])
def test_without_names_all_namespaces_are_watched(monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    monkeypatch.setenv("TRANSSHIP_NAMESPACES", nothing)

    assert Settings().namespaces == ()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "wrong", ["*", "team-*", "shop,", ",", "Shop", "!shop", "shop/kube-system", "s" * 64, "shop\n*"]
)
def test_what_is_no_list_of_names_ends_the_process_with_one_sentence(wrong: str) -> None:
    command = [sys.executable, "-m", "transship", "operator"]
    ended = subprocess.run(
        command, env=os.environ | {"TRANSSHIP_NAMESPACES": wrong}, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("transship: TRANSSHIP_NAMESPACES=")
    assert line.endswith(
        "is not the name of a namespace; name each that is to be watched, separated by commas, or none to watch all"
    )
