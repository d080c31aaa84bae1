"""Keeps the processes of one node apart from the machine they run on, and clears up behind them.

    python node_init.py DIRECTORY      run what DIRECTORY/plan.json says, until SIGTERM
    python node_init.py --rehearse DIRECTORY      try what that needs, and say what does not go

The first process is a caretaker outside. Its child is pid 1 of a pid namespace with mounts of its own: what kubelet and
containerd write to fixed places (/var/lib/kubelet, /run/containerd) lands in DIRECTORY. When pid 1 ends the kernel ends
all the others and drops the mounts; only the cgroups outlive that, and the caretaker removes them.

A program of its own that needs nothing but Python: it forks, and forks of a process with threads are not safe.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# Of <linux/sched.h>, <linux/mount.h>, <linux/prctl.h> and <linux/sockios.h>.
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 0x1000, 0x4000, 0x40000, 0x100000
PR_SET_PDEATHSIG = 1
SIOCBRADDBR = 0x89A0

CGROUPS = Path("/sys/fs/cgroup")
CGROUP_PREFIX = "transship-node-"
SOCKET = "/run/containerd/containerd.sock"
SOCKET_SECONDS = 30.0
POLL_SECONDS = 0.02
# What the kubelet would set for the whole machine: it reads here that it is so already.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Be the caretaker, or rehearse."""
    if sys.argv[1] == "--rehearse":
        rehearse(Path(sys.argv[2]))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    directory = Path(sys.argv[1])
    plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
    _remove_forgotten_cgroups()
    try:
        _make_cgroups(plan["cgroup"])
        _keep(directory, plan)
    finally:
        _remove_cgroups(plan["cgroup"])


def rehearse(directory: Path) -> None:
    """Try everything that a machine may refuse; the first thing that fails is printed, as the end of a sentence."""
    steps = {
        "namespaces": lambda: _unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET),
        "mounts": _own_mounts,
        f"overlays in {directory}": lambda: _mount_overlay(directory),
        "bridges": _make_bridge,
        "the kernel's log": lambda: Path("/dev/kmsg").open("rb").close(),  # the kubelet ends without it
        "cgroups": _rehearse_cgroups,
    }
    for what, attempt in steps.items():
        try:
            attempt()
        except OSError as error:
            print(f"{what} ({error.strerror})")
            return


def _keep(directory: Path, plan: dict[str, Any]) -> None:
    _unshare(CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        _be_first(directory, plan)
    try:
        os.waitpid(pid, 0)
        sys.exit(1)  # it ends by itself only when something went wrong, and has said what
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)  # returns when nothing is left in the namespace


def _be_first(directory: Path, plan: dict[str, Any]) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _set_up(directory)
        _run(directory, plan)
    except BaseException as error:  # noqa: BLE001 - a fork must not return into its parent's code
        print(f"the node ended: {error}", flush=True)
    finally:
        os._exit(1)


def _set_up(directory: Path) -> None:
    _unshare(CLONE_NEWNS)
    _own_mounts()
    _mount("proc", "/proc", "proc")
    for folder in ("lib", "log"):
        (directory / "var" / folder).mkdir(parents=True)
        _mount(directory / "var" / folder, f"/var/{folder}", flags=MS_BIND)
    for folder in ("kubelet", "containerd", "cni"):
        Path("/var/lib", folder).mkdir()
    _mount("tmpfs", "/run", "tmpfs")
    for name, value in SYSCTLS.items():
        file = directory / "var" / name.replace("/", ".")
        file.write_text(f"{value}\n", encoding="ascii")
        _mount(file, f"/proc/sys/{name}", flags=MS_BIND)


def _run(directory: Path, plan: dict[str, Any]) -> None:
    """Start containerd, give it the image that it must not have to pull, start the kubelet; then reap, for ever."""
    running = [_start(directory, "containerd", plan["containerd"])]
    deadline = time.monotonic() + SOCKET_SECONDS
    while not _listens():
        if running[0].poll() is not None or time.monotonic() > deadline:
            raise OSError("containerd is not ready")
        time.sleep(POLL_SECONDS)
    if _start(directory, "import", plan["import"]).wait() != 0:
        raise OSError("the sandbox image cannot be imported")
    running.append(_start(directory, "kubelet", plan["kubelet"]))
    names = {process.pid: str(process.args[0]) for process in running}  # type: ignore[index] # it is a list
    while True:
        pid, status = os.wait()  # containerd's shims are orphans, and nobody else waits for them
        if pid in names:
            raise OSError(f"{names[pid]} ended with status {os.waitstatus_to_exitcode(status)}")


def _start(directory: Path, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
    with (directory / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _listens() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(SOCKET) == 0


# Mounts and namespaces


def _own_mounts() -> None:
    _mount("none", "/", flags=MS_REC | MS_PRIVATE)  # nothing gets out
    _mount("none", "/", flags=MS_REC | MS_SHARED)  # and what the kubelet mounts gets into containers


def _mount_overlay(directory: Path) -> None:
    folders = [directory / name for name in ("lower", "upper", "work", "merged")]
    for folder in folders:
        folder.mkdir()
    lower, upper, work, merged = folders
    _mount("overlay", merged, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}")


def _make_bridge() -> None:
    name = ctypes.create_string_buffer(b"rehearsal")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _check(_libc.ioctl(control.fileno(), SIOCBRADDBR, name), "bridge")


def _mount(source: Path | str, target: Path | str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    names = [os.fsencode(each) for each in (source, target, kind)]
    _check(_libc.mount(*names, ctypes.c_ulong(flags), options.encode()), str(target))


def _unshare(what: int) -> None:
    _check(_libc.unshare(what), "namespaces")


def _check(status: int, what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


# cgroups: one hierarchy (version 2), or one for each controller (version 1)


def _hierarchies() -> list[Path]:
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if (each / "cgroup.procs").exists() and not each.is_symlink()]


def _make_cgroups(name: str) -> None:
    if not (hierarchies := _hierarchies()):
        raise OSError(0, f"there are none in {CGROUPS}")
    for hierarchy in hierarchies:
        controllers = hierarchy / "cgroup.controllers"
        if controllers.exists() and hierarchy == CGROUPS:
            words = [f"+{each}" for each in controllers.read_text(encoding="ascii").split()]
            (hierarchy / "cgroup.subtree_control").write_text(" ".join(words), encoding="ascii")
        (hierarchy / name).mkdir()
        _is_free(hierarchy / name)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # of version 1: where they start empty nothing can run
            if (hierarchy / setting).exists() and hierarchy != CGROUPS:
                (hierarchy / name / setting).write_bytes((hierarchy / setting).read_bytes())


def _rehearse_cgroups() -> None:
    name = f"{CGROUP_PREFIX}rehearsal-{os.getpid()}"
    try:
        _make_cgroups(name)
    finally:
        _remove_cgroups(name)


def _is_free(cgroup: Path) -> bool:
    """Take a cgroup for as long as this process lives, unless another has it."""
    try:
        fcntl.flock(os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_forgotten_cgroups() -> None:
    """Those of runs whose caretaker was killed."""
    for hierarchy in _hierarchies():
        for top in hierarchy.glob(f"{CGROUP_PREFIX}*"):
            if _is_free(top):
                _remove_tree(top)


def _remove_cgroups(name: str) -> None:
    for hierarchy in _hierarchies():
        _remove_tree(hierarchy / name)


def _remove_tree(top: Path) -> None:
    for path, _, _ in os.walk(top, topdown=False):
        _remove_cgroup(Path(path))


def _remove_cgroup(path: Path) -> None:
    for _ in range(100):  # the kernel may still be busy with what has just ended in it
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return


if __name__ == "__main__":
    main()
