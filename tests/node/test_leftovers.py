"""However a node ends, nothing of it is left; and whoever cannot have one is told why."""

import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from endtoend.waiting import eventually
from localworld import node, paths
from localworld.node import INIT
from localworld.node_init import CGROUPS

# Stand-ins: what listens where containerd does, and a kubelet that starts a process in a cgroup of the node's.
CONTAINERD = """
import os, socket, time
os.mkdir("/run/containerd")
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/containerd/containerd.sock")
listening.listen()
time.sleep(600)
"""
KUBELET = """
import pathlib, subprocess, sys, time
directory, cgroup = map(pathlib.Path, sys.argv[1:])
pathlib.Path("/var/lib/kubelet/pods").mkdir()
for top in pathlib.Path("/sys/fs/cgroup").glob(f"**/{cgroup}"):
    (top / "kubepods").mkdir()
pod = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(directory)])
(next(pathlib.Path("/sys/fs/cgroup").glob(f"**/{cgroup}/kubepods")) / "cgroup.procs").write_text(str(pod.pid))
(directory / "started").touch()
time.sleep(600)
"""
STARTER = """
import pathlib, signal, sys, time
from localworld.processes import Processes
child = Processes(pathlib.Path(sys.argv[1])).start("node", sys.argv[2:], at_our_end=signal.SIGTERM)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Path]:
    """Directories of nodes that are made of stand-ins; every process of one has its directory in its command line."""
    if reason := node.why_not():
        pytest.skip(reason)
    return (planned(tmp_path / str(number)) for number in itertools.count())


def planned(directory: Path) -> Path:
    directory.mkdir()
    cgroup = f"transship-node-{uuid.uuid4().hex[:8]}"
    plan = {
        "cgroup": cgroup,
        "containerd": [sys.executable, "-c", CONTAINERD, str(directory)],
        "import": ["true"],
        "kubelet": [sys.executable, "-c", KUBELET, str(directory), cgroup],
    }
    (directory / "plan.json").write_text(json.dumps(plan))
    return directory


@contextmanager
def started(directory: Path) -> "Iterator[tuple[subprocess.Popen[str], int]]":
    """The process that starts a node, and the pid of the node's caretaker."""
    command = [sys.executable, "-c", STARTER, str(directory), sys.executable, "-I", str(INIT), str(directory)]
    environment = os.environ | {"PYTHONPATH": str(paths.REPOSITORY / "hack")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        try:
            caretaker = int(starter.stdout.readline())
            eventually((directory / "started").exists, "the node runs", seconds=10)
            assert len(running(directory)) == 6  # the starter, the caretaker, pid 1, containerd, kubelet and a pod
            assert cgroups(directory)
            yield starter, caretaker
        finally:
            starter.kill()


def running(directory: Path) -> list[str]:
    """The processes that have the node's directory in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(directory).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def cgroups(directory: Path) -> list[Path]:
    name: str = json.loads((directory / "plan.json").read_text())["cgroup"]
    return list(CGROUPS.glob(f"**/{name}"))


def test_nothing_is_left_when_whoever_started_the_node_is_killed(directories: Iterator[Path]) -> None:
    directory = next(directories)
    with started(directory) as (starter, _):
        starter.kill()

        eventually(lambda: not running(directory), "all processes have ended", seconds=10)

    assert not cgroups(directory)
    assert not Path("/var/lib/kubelet/pods").exists()


def test_what_a_killed_caretaker_leaves_is_removed_by_the_next_node(directories: Iterator[Path]) -> None:
    directory = next(directories)
    with started(directory) as (_, caretaker):
        os.kill(caretaker, signal.SIGKILL)

        eventually(lambda: len(running(directory)) == 1, "all processes but the starter have ended", seconds=10)
    assert cgroups(directory)

    with started(next(directories)):
        assert not cgroups(directory)


def test_a_user_without_root_is_told_that_a_node_needs_it() -> None:
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        assert node.why_not() == "A node needs root, for mounts, cgroups and network devices: run it as root."
    finally:
        os.seteuid(before)
