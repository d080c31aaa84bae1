"""`make dev` in the background of a script, where a shell has SIGINT be ignored, can be ended, and leaves nothing."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localworld import devworld, paths

SCRIPT = "make dev & echo $! >{}; wait $!"  # not interactive: what is in the background ignores SIGINT
SECONDS = 100.0


def until(done: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(("number", "whom"), [(signal.SIGINT, "the world"), (signal.SIGTERM, "make")])
def test_it_ends_and_nothing_of_it_stays(number: signal.Signals, whom: str, tmp_path: Path) -> None:
    log, pid, folder = tmp_path / "log", tmp_path / "pid", tmp_path / "tmp"
    folder.mkdir()
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home()), "TMPDIR": str(folder)}
    command = ["sh", "-c", SCRIPT.format(pid)]
    with log.open("w") as file:
        shell = subprocess.Popen(command, cwd=paths.REPOSITORY, env=environment, stdout=file, stderr=file)
    try:
        until(lambda: "docs/tutorial.md goes on from here" in log.read_text() or shell.poll() is not None, log)
        assert shell.poll() is None, log.read_text()
        assert devworld.ENVIRONMENT.exists()
        (told,) = re.findall(r"`kill (\d+)`", log.read_text())

        os.kill(int(told if whom == "the world" else pid.read_text()), number)

        assert shell.wait(60) != 0, "it was ended"
        until(lambda: not Path(f"/proc/{told}").exists(), log)
    finally:
        if shell.poll() is None:
            os.kill(int(pid.read_text()), signal.SIGTERM)
            shell.wait(60)
    assert not devworld.ENVIRONMENT.exists()
    assert list(folder.iterdir()) == []
