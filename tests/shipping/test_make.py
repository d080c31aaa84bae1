"""What is handed to make reaches programs as it is: neither make nor a shell reads it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from localworld.paths import REPOSITORY

TARGETS = {
    "image": "BUILDER",
    "push": "OUTPUT",
    "push-chart": "CHARTS",
    "release-check": "TAG",
    "sign": "REFERENCE",
}
"""What each is told by; every one of them repeats it when it is wrong."""
HOSTILE = (
    "v1`{{touch,{0}}}`",
    "$(touch${{IFS}}{0})",
    "$(shell touch {0})",
    "$(file >{0},x)",
    "'; touch {0}; '",
    '"; touch {0}; "',
    "v1\n\ttouch {0}",
    "-x --help",
    "a  b*",
)


def make(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    # Whether .venv is up to date is not what is looked at.
    command = ["make", "--old-file=setup", "--old-file=.venv/.stamp", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, env=environment | given, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("by", ["command line", "environment"])
@pytest.mark.parametrize("words", HOSTILE)
def test_words_are_taken_for_nothing_but_words(tmp_path: Path, words: str, by: str) -> None:
    proof = tmp_path / "proof"
    value = words.format(proof)
    more = {"IMAGE": "127.0.0.1:1/a:b"}
    for target, name in TARGETS.items():
        if by == "environment":
            result = make(target, **more, **{name: value})
        else:
            result = make(target, f"{name}={value}", **more)
        assert result.returncode == 2, (target, result.stdout)
        assert value.strip() in result.stderr, (target, result.stderr)
        assert not proof.exists(), target


@pytest.mark.parametrize("by", ["command line", "environment"])
def test_a_switch_is_only_looked_at_for_being_there(tmp_path: Path, by: str) -> None:
    value = f"$(shell touch {tmp_path}/proof)`touch {tmp_path}/proof`"
    given = (f"DRY_RUN={value}",) if by == "command line" else ()
    result = make("kind-down", *given, **({} if given else {"DRY_RUN": value}))
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_has_to_be_said_and_is_not_is_asked_for() -> None:
    for target, name in {**TARGETS, "push": "IMAGE"}.items():
        if target != "image":
            assert f"make {target} {name}=" in make(target, **{name: ""}).stderr


def test_no_recipe_has_make_write_into_a_command_what_was_handed_in() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    own = set(re.findall(r"^([A-Z_]+) *:?= ", text, re.MULTILINE)) | {"MAKEFILE_LIST"}
    assert set(re.findall(r"\$\(([A-Z_]+)\)", text)) - {"NAME"} <= own
    assert own.isdisjoint(TARGETS.values())
