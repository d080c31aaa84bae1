"""A registry that makes large blobs while it is asked for them, and one that takes blobs and throws them away.

Nothing is held, so that a test can copy hundreds of MiB and look at the memory of who copies.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from oci.images import CONFIG_TYPE, LAYER_TYPE, as_json, manifest_of
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import OCI_MANIFEST, Manifest

BLOCK = bytes(range(256)) * 4096
"""What a layer consists of, but for its beginning."""


@dataclass(frozen=True)
class Layer:
    """So many bytes that begin with a number."""

    number: int
    size: int

    def part(self, start: int, stop: int) -> bytes:
        """Bytes of it, a block at most."""
        at = start % len(BLOCK)
        found = BLOCK[at : at + min(stop - start, len(BLOCK) - at)]
        if start < 8:
            head = self.number.to_bytes(8, "big")[start:]
            found = (head + found[len(head) :])[: len(found)]
        return found

    @property
    def descriptor(self) -> Descriptor:
        return _descriptor(self)


@cache
def _descriptor(layer: Layer) -> Descriptor:
    hasher, at = hashlib.sha256(), 0
    while at < layer.size:
        part = layer.part(at, layer.size)
        hasher.update(part)
        at += len(part)
    return Descriptor(LAYER_TYPE, Digest.parse(f"sha256:{hasher.hexdigest()}"), layer.size)


def made_of(*layers: Layer) -> Manifest:
    """An image of these layers."""
    config = Descriptor(CONFIG_TYPE, Layer(0, 8).descriptor.digest, 8)
    descriptors = [as_json(each.descriptor) for each in layers]
    return manifest_of(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": as_json(config), "layers": descriptors}
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hung up has a reason."""


@dataclass
class Factory:
    """Both registries in one plain http server; repositories are told apart by nothing, as digests do it.

    Attributes:
        layers: what can be made.
        images: by tag.
        taken: how often each blob was completed.
    """

    layers: list[Layer]
    images: dict[str, Manifest]
    taken: Counter[str] = field(default_factory=Counter)
    _pushed: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        every = [Layer(0, 8), *self.layers]
        self._blobs = {str(each.descriptor.digest): each for each in every}
        self._manifests = {str(each.descriptor.digest): each for each in self.images.values()} | self.images
        self._makes, self._takes = (_Server(("127.0.0.1", 0), each) for each in (self._maker(), self._taker()))
        self._threads = [
            Thread(target=each.serve_forever, kwargs={"poll_interval": 0.01}) for each in (self._makes, self._takes)
        ]

    @property
    def source(self) -> str:
        """`host:port` of the registry that makes blobs."""
        return f"127.0.0.1:{self._makes.server_port}"

    @property
    def destination(self) -> str:
        """`host:port` of the registry that throws them away."""
        return f"127.0.0.1:{self._takes.server_port}"

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server, thread in zip((self._makes, self._takes), self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def _maker(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Maker(_Quiet):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if name in owner._manifests:
                    self.say_manifest(owner._manifests[name])
                elif name in owner._blobs:
                    self._say_blob(owner._blobs[name])
                else:
                    self.say(404)

            do_HEAD = do_GET  # noqa: N815 - http.server's name

            def _say_blob(self, layer: Layer) -> None:
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                start = int(asked[1]) if asked else 0
                stop = int(asked[2]) + 1 if asked and asked[2] else layer.size
                span = {"Content-Range": f"bytes {start}-{stop - 1}/{layer.size}"} if asked else {}
                self.begin(206 if asked else 200, {"Content-Length": str(stop - start), **span})
                while start < stop:
                    part = layer.part(start, stop)
                    self.wfile.write(part)
                    start += len(part)

        return Maker

    def _taker(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Taker(_Quiet):
            def do_HEAD(self) -> None:
                name = self.path.rpartition("/")[2]
                if name in owner._pushed:
                    self.say_manifest(owner._manifests[name])
                else:
                    self.say(200 if owner.taken[name] else 404)

            do_GET = do_HEAD  # noqa: N815 - as above

            def do_POST(self) -> None:
                self.throw_away()
                self.say(202, {"Location": "/v2/upload"})

            do_PATCH = do_POST  # noqa: N815 - as above

            def do_PUT(self) -> None:
                self.throw_away()
                name = self.path.rpartition("/")[2]
                with owner._lock:
                    if "/manifests/" in self.path:
                        owner._pushed |= {name, str(owner._manifests[name].descriptor.digest)}
                    else:
                        owner.taken[self.path.rpartition("digest=")[2].replace("%3A", ":")] += 1
                self.say(201)

        return Taker


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def say(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.begin(status, {"Content-Length": "0", **(headers or {})})

    def say_manifest(self, manifest: Manifest) -> None:
        found = manifest.descriptor
        self.begin(
            200,
            {
                "Content-Type": found.media_type,
                "Content-Length": str(found.size),
                "Docker-Content-Digest": str(found.digest),
            },
        )
        if self.command != "HEAD":
            self.wfile.write(manifest.content)

    def throw_away(self) -> None:
        left, room = int(self.headers.get("Content-Length", "0")), memoryview(bytearray(len(BLOCK)))
        while left and (count := self.rfile.readinto(room[: min(left, len(room))])):  # type: ignore[attr-defined] # it has it
            left -= count
        if left:
            raise ConnectionError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
