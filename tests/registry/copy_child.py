"""A process that copies images by the Python API, says how it went on one line, and may be killed at any time.

Arguments: source host, destination host, images at once, blobs at once, and `repository:tag` of each image.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from transship.errors import Side
from transship.oci.closure import closure
from transship.oci.copier import Copier, Limits
from transship.oci.copy import copy, missing, prove
from transship.oci.reference import Registry, Repository, Tag
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport


def main(source: str, destination: str, at_once: str, blobs: str, *images: str) -> None:
    transport = Transport(Network(HostRules.of(plain_http=[source, destination])))
    copier = Copier(Limits(blobs=int(blobs)))

    def opened(host: str, path: str, side: Side) -> HttpRepository:
        return HttpRepository(Repository.of(Registry.parse(host), path), side, transport, Anonymous())

    def promote(image: str) -> int:
        path, _, tag = image.partition(":")
        here, there = opened(source, path, Side.SOURCE), opened(destination, path, Side.DESTINATION)
        found = here.resolve(Tag(tag))
        assert found is not None
        whole = closure(here, found.digest, copier)
        report = copy(here, there, whole, missing(there, whole, copier), copier, tag=Tag(tag))
        prove(there, whole, Tag(tag), copier)
        return report.bytes_copied

    with ThreadPoolExecutor(int(at_once)) as threads:
        copied = sum(threads.map(promote, images))
    # Not getrusage: that remembers what the process that started this one had.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"copied": copied, "peak": int(status["VmHWM"].split()[0]) * 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
