"""The tutorial's commands, typed one after the other into the world that `make dev` keeps, show what it says."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localworld import devworld, paths

TUTORIAL = (paths.REPOSITORY / "docs/tutorial.md").read_text()
_START_SECONDS = 100
_END = "--- that was all of it"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in the repository, beside a world; the overlays are put back as they were."""
    command = [sys.executable, "-m", "localworld", "up"]
    environment = {"PYTHONPATH": "hack", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home())}
    kustomization = paths.REPOSITORY / "overlays/production/kustomization.yaml"
    before = kustomization.read_text()
    with (tmp_path / "world.log").open("w+") as log:
        world = subprocess.Popen(command, cwd=paths.REPOSITORY, env=environment, stdout=log, stderr=log)
        try:
            _await(tmp_path / "world.log", world)
            with subprocess.Popen(
                ["bash", "--norc"],
                cwd=paths.REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process:
                yield process
                process.kill()
        finally:
            kustomization.write_text(before)
            world.send_signal(signal.SIGINT)
            world.wait(60)
    assert not devworld.ENVIRONMENT.exists()


def _await(log: Path, world: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while "docs/tutorial.md goes on from here" not in log.read_text():
        assert world.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the console blocks, and the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> "):
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            else:
                found[-1][1].append(line)
    return found


def _run(shell: subprocess.Popen[str], command: str) -> list[str]:
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{command}\necho '{_END}'\n")
    shell.stdin.flush()
    printed = []
    for line in shell.stdout:
        if line.strip() == _END:
            return printed
        printed.append(line.rstrip("\n"))
    raise AssertionError(f"the shell ended in {command}")


def _are_shown(wanted: list[str], printed: list[str]) -> bool:
    """Whether these lines are printed, in this order; "…" stands for anything, and lines may be broken elsewhere."""
    lines = [_pattern(line) for line in wanted if line != "…"]
    return bool(re.search(r"\s.*?".join(lines), "\n".join(printed), re.DOTALL))


def _pattern(line: str) -> str:
    words = [r".*?".join(map(re.escape, word.split("…"))) for word in line.split()]
    return r"\s+".join(words).replace(r"\s+.*?\s+", r"\s.*?")


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_every_command_of_the_tutorial_shows_what_it_says(shell: subprocess.Popen[str]) -> None:
    digests = set()
    # Putting the overlay back by git would also undo what somebody is working on; the fixture does it here.
    for command, wanted in [each for each in steps() if not each[0].startswith("git ")]:
        printed = _run(shell, command)
        assert _are_shown(wanted, printed), (command, wanted, printed)
        if command.startswith("crane digest"):
            digests.add(tuple(printed))
    assert len(digests) == 1


def test_lines_in_another_order_are_not_what_is_shown() -> None:
    assert _are_shown(["a …", "b"], ["a 1", "else", "b"])
    assert not _are_shown(["a …", "b"], ["b", "a 1"])


def test_the_tutorial_has_commands() -> None:
    assert len(steps()) > 15
