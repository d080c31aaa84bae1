"""`transship` as a user meets it: a process with a small environment."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import urllib3

from registry.conftest import SECRET
from transship.errors import Side
from transship.oci.descriptor import Descriptor
from transship.oci.reference import Registry, Repository
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

SECONDS = 30


@dataclass(frozen=True)
class Said:
    """How a process ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """Runs `transship` in an environment that holds nothing of the machine's.

    Attributes:
        home: the home directory of whoever runs it.
        environment: variables beside `HOME` and `PATH`.
        options: what every run gets at its end.
    """

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __call__(self, *arguments: str, **environment: str) -> Said:
        with self.start(*arguments, **environment) as child:
            try:
                out, err = child.communicate(timeout=SECONDS)
            except BaseException:
                child.kill()
                raise
        return heard(child.returncode, out, err)

    def start(self, *arguments: str, stderr: int | IO[Any] = subprocess.PIPE, **environment: str) -> Any:
        """Start it; its two streams are pipes of text."""
        return subprocess.Popen(
            [sys.executable, "-m", "transship", *arguments, *self.options],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


def heard(status: int, out: str, err: str) -> Said:
    """What holds of every run, whatever came of it: no traceback, and nothing that is secret."""
    assert "Traceback" not in out + err, err
    assert SECRET not in out + err
    return Said(status, out, err)


def drawn(plain: str, name: str) -> list[tuple[float, float]]:
    """How far a bar was in each picture of a terminal: bytes reached, and of how many."""
    units = {"bytes": 1, "KiB": 1024, "MiB": 1024**2}
    found = re.findall(rf"{re.escape(name)}[^━/]*[━╸╺ ]*([0-9.]+)/([0-9.]+) (\w+)", plain)
    return [(float(reached) * units[unit], float(total) * units[unit]) for reached, total, unit in found]


@dataclass(frozen=True)
class Images:
    """A repository of its own on a registry, `host/path`, and a look into it that is not the command's."""

    host: str
    path: str = field(default_factory=lambda: f"shop/checkout-{uuid.uuid4().hex[:8]}")

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    def open(self) -> HttpRepository:
        transport = Transport(Network(HostRules.of(plain_http=[self.host])))
        return HttpRepository(
            Repository.of(Registry.parse(self.host), self.path), Side.DESTINATION, transport, Anonymous()
        )

    def delete_blob(self, blob: Descriptor) -> None:
        """Lose a blob, as a registry may whose disk was repaired."""
        urllib3.request("DELETE", f"http://{self.host}/v2/{self.path}/blobs/{blob.digest}")
