"""Children are ready when they say so, tell why they are not, and never outlive what started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localworld.errors import WorldError
from localworld.processes import Processes, tethered, wait_until_ready

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('awake', flush=True); time.sleep(600)",
]


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie, which is all that init has not reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_a_child_that_ends_at_its_start_is_reported_with_what_it_said(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such flag')"])

        with pytest.raises(WorldError, match=r"(?s)broken ended at its start with status 1.*no such flag"):
            wait_until_ready(child, lambda: False, seconds=10)


def test_a_child_that_never_gets_ready_is_reported(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("slow", SLEEP)

        with pytest.raises(WorldError, match="slow was not ready after 0 s"):
            wait_until_ready(child, lambda: False, seconds=0.1)


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    child = processes.start("stubborn", STUBBORN)
    wait_until(lambda: "awake" in child.said())

    processes.stop(grace=0.1)

    assert child.process.returncode == -signal.SIGKILL


def test_a_child_sees_no_credentials_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    monkeypatch.setenv("KUBECONFIG", "ours")
    with Processes(tmp_path) as processes:
        child = processes.start("env", [sys.executable, "-c", "import os; print(dict(os.environ))"])
        child.process.wait(10)

        assert "ours" not in child.said()


def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = tethered(SLEEP)
    command[command.index(str(os.getpid()))] = "PARENT"
    parent_source = f"""
import os, subprocess, time
command = [str(os.getpid()) if part == "PARENT" else part for part in {command!r}]
print(subprocess.Popen(command).pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent_source], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "awake\n"
        assert is_running(child)

        parent.kill()
        parent.wait()

    wait_until(lambda: not is_running(child))
