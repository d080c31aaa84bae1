"""A network of our own: nothing that happens in it reaches another, and nothing else reaches it.

The program starts itself again inside of fresh user, network and mount namespaces. Inside, loopback is up, the two
registries and the blob host have addresses and names of their own (documentation addresses, RFC 5737; names below
`.test`, RFC 6761), and TCP's congestion control is reno: with bbr, which many machines have as their default, the
kernel paces connections on loopback, and a benchmark measures bbr.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localworld import network
from localworld.errors import WorldError

INSIDE = "TRANSSHIP_BENCHMARK_NAMESPACE"
CONGESTION_CONTROL = "reno"
CONGESTION_FILE = Path("/proc/sys/net/ipv4/tcp_congestion_control")


@dataclass(frozen=True)
class Place:
    """A server.

    Attributes:
        host: how clients name it: `host` or `host:port`.
        listen: the address that it takes.
    """

    host: str
    listen: str


@dataclass(frozen=True)
class Places:
    """The three servers that clients talk to."""

    source: Place
    blobs: Place
    destination: Place


ADDRESSES = {"source.test": "192.0.2.1", "blobs.test": "192.0.2.2", "destination.test": "192.0.2.3"}


def places(*, tls: bool) -> Places:
    """Where the servers are, inside."""
    port = 443 if tls else 80
    return Places(*(Place(name, f"{address}:{port}") for name, address in ADDRESSES.items()))


def is_inside() -> bool:
    """Whether this process is the one that was started again."""
    return INSIDE in os.environ


def start_again(arguments: Sequence[str]) -> int:
    """Run this program inside, and return its exit status.

    Raises:
        WorldError: The machine does not let this user make namespaces.
    """
    enter = ["unshare", "--map-root-user", "--net", "--mount"]
    if shutil.which("unshare") is None:
        raise WorldError("`unshare` (of util-linux) is missing: the benchmark runs in a network namespace of its own.")
    probe = subprocess.run([*enter, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise WorldError(f"This user may not make a network namespace ({probe.stderr.strip()}); root may.")
    # exec: signals of a terminal or a supervisor reach the program itself.
    os.execvpe(enter[0], [*enter, sys.executable, *arguments], os.environ | {INSIDE: "1"})  # noqa: S606


def prepare() -> None:
    """Set the inside up.

    Raises:
        WorldError: TCP is not what the figures need.
    """
    for index, address in enumerate(["127.0.0.1", *ADDRESSES.values()]):
        if index == 0:
            network.give_address("lo", address, "255.0.0.0")
        else:
            network.give_address(f"lo:{index}", address)
    CONGESTION_FILE.write_text(CONGESTION_CONTROL)
    if CONGESTION_FILE.read_text().strip() != CONGESTION_CONTROL:
        raise WorldError(f"TCP does not use {CONGESTION_CONTROL} in the benchmark's namespace.")
    _name_hosts()


def _name_hosts() -> None:
    """Give the addresses their names, in this mount namespace only."""
    lines = "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())
    with tempfile.NamedTemporaryFile("w", prefix="transship-hosts-") as hosts:
        hosts.write(f"127.0.0.1 localhost\n{lines}")
        hosts.flush()
        Path(hosts.name).chmod(0o644)
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
