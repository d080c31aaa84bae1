"""A process that copies is killed at random moments and started again: nothing is lost, and nothing is sent twice."""

import random
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
import urllib3

from oci.images import blob_descriptor, bytes_of, image, index
from oci.moving import wait_until
from oci.store_contract import push
from registry.hostile import Answer, HostileServer, Seen
from transship.errors import Side
from transship.oci.reference import Registry, Repository, Tag
from transship.registry.auth import Anonymous
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.repository import HttpRepository
from transship.registry.transport import Transport

CHILD = Path(__file__).with_name("copy_child.py")
TAG = Tag("v1")
KILLS = 3
LAYERS = [random.Random(number).randbytes(1_100_000 + 10_000 * number) for number in range(17)]
IMAGE = index(image([LAYERS[0], *LAYERS[which::2]]) for which in (1, 2))
AFTER = ("Content-Type", "Location", "Docker-Content-Digest", "Docker-Upload-UUID", "Range")


class Counting:
    """Stands before a registry, passes everything on a little later, and notes what was completed."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self._pool = urllib3.PoolManager(retries=False, maxsize=16)
        self._lock = threading.Lock()
        self.committed: Counter[str] = Counter()
        self.uploaded = 0
        self.under_way = 0

    def __call__(self, seen: Seen) -> Answer:
        with self._lock:
            self.under_way += 1
        try:
            return self._pass_on(seen)
        finally:
            with self._lock:
                self.under_way -= 1

    def _pass_on(self, seen: Seen) -> Answer:
        if len(seen.body) < int(seen.headers.get("Content-Length", "0")):
            raise ConnectionError  # its sender was killed
        if seen.method in {"PATCH", "PUT"}:
            time.sleep(0.04)
        answer = self._pool.request(
            seen.method, f"http://{self._behind}{seen.path}", body=seen.body, headers=dict(seen.headers)
        )
        digest = re.search(r"[?&]digest=([^&]+)", seen.path)
        with self._lock:
            self.uploaded += len(seen.body) if "/uploads/" in seen.path else 0
            if seen.method == "PUT" and digest and answer.status == 201:
                self.committed[unquote(digest[1])] += 1
        length = answer.headers["Content-Length"] if seen.method == "HEAD" else str(len(answer.data))
        kept = {name: answer.headers[name] for name in AFTER if name in answer.headers}
        return Answer(answer.status, {"Content-Length": length, **kept}, (answer.data,))


def opened(host: str, path: str) -> HttpRepository:
    transport = Transport(Network(HostRules.of(plain_http=[host])))
    return HttpRepository(Repository.of(Registry.parse(host), path), Side.DESTINATION, transport, Anonymous())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_again_and_again_the_image_arrives_and_no_blob_that_had_arrived_is_sent_again(
    seed: int, distribution: str, hostile: HostileServer
) -> None:
    dice, path = random.Random(seed), f"shop/killed-{uuid.uuid4().hex[:8]}"
    push(opened(distribution, path), IMAGE, TAG)
    # The destination is the same registry by another host and name, so that everything has to be sent.
    to, proxy = f"{path}-copy", Counting(distribution)
    hostile.reply = lambda seen: proxy(
        Seen(seen.method, seen.path.replace(f"/{path}/", f"/{to}/"), seen.headers, seen.body)
    )
    command = [sys.executable, str(CHILD), distribution, hostile.host, "1", "2", f"{path}:{TAG}"]
    for _ in range(KILLS):
        before = proxy.committed.total()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
            wanted = before + dice.randrange(1, 3)
            while proxy.committed.total() < wanted and child.poll() is None:
                time.sleep(0.002)
            time.sleep(dice.uniform(0.0, 0.05))
            child.send_signal(signal.SIGKILL)
            _, said = child.communicate()
            assert (child.returncode, said) == (-signal.SIGKILL, b""), "it was amid its work"
        wait_until(lambda: not proxy.under_way)
    subprocess.run(command, check=True, timeout=60, capture_output=True)

    there = opened(distribution, to)
    found = there.resolve(TAG)
    assert found == IMAGE.root.descriptor
    assert all(there.fetch_manifest(each.descriptor.digest) == each for each in IMAGE.manifests)
    assert all(bytes_of(there, blob_descriptor(blob)) == blob for blob in IMAGE.blobs)
    assert proxy.committed == Counter({str(blob_descriptor(blob).digest): 1 for blob in IMAGE.blobs})
    assert proxy.uploaded <= sum(map(len, IMAGE.blobs)) + KILLS * 2 * max(map(len, IMAGE.blobs))
