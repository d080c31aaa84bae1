"""A network of our own: nothing that happens in it reaches another, and nothing else reaches it.

Argo CD's controller serves its metrics on all addresses and cannot be told otherwise. So whoever starts it moves into
a fresh network namespace first, which has a loopback device and nothing more.
"""

import ctypes
import fcntl
import os
import socket
import struct
import threading
from pathlib import Path

from localworld.errors import WorldError

# Of <linux/sched.h>, <linux/sockios.h> and <linux/if.h>.
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40

_entered = False


def is_own() -> bool:
    """Whether this process is in a network of its own."""
    return _entered


def enter_own() -> None:
    """Move this process into a network of its own; the second time nothing happens.

    What needs the outside (building, fetching) has to be done before. Children start inside.

    Raises:
        WorldError: other threads run, which would stay outside; or the machine does not let this user do it.
    """
    global _entered  # noqa: PLW0603 - a process has one network
    if _entered:
        return
    if threading.active_count() > 1:
        raise WorldError(f"Threads would stay outside of the network: {threading.enumerate()}")
    if failure := _rehearse():
        raise WorldError(
            f"This user may not make a network namespace ({failure}): run it as root, or let users make namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)."
        )
    _enter()
    _entered = True


def _rehearse() -> str:
    """What goes wrong when a child does it: some machines let users in and nothing be set up, and nobody gets out."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _enter()
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, encoding="utf-8") as told:
        return told.read()


def _enter() -> None:
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    give_address("lo", "127.0.0.1", "255.0.0.0")


def give_address(interface: str, address: str, netmask: str = "255.255.255.255") -> None:
    """Like `ip address add` and `ip link set up`, on machines without `ip`."""
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
            packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, packed)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP | IFF_RUNNING))
