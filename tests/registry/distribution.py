"""CNCF distribution as a process."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from localworld.ports import LOOPBACK, free_ports, is_listening
from localworld.processes import Processes, wait_until_ready


@contextmanager
def running(binary: Path, directory: Path, auth: Mapping[str, Any] | None = None) -> Iterator[str]:
    """`host:port` of a registry that serves plain http from an empty directory; to everybody, unless `auth` says."""
    port = free_ports(1)[0]
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"{LOOPBACK}:{port}", "secret": uuid.uuid4().hex},
        **({"auth": auth} if auth else {}),
    }
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump(configuration))
    with Processes(directory) as processes:
        child = processes.start("distribution", [str(binary), "serve", str(file)])
        wait_until_ready(child, lambda: is_listening(port), seconds=20)
        yield f"{LOOPBACK}:{port}"
