"""What a person sees while `transship copy` runs, and what happens when that person has had enough."""

import os
import pty
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from command_line.command import SECONDS, Command, Images, drawn, heard
from oci.images import Content, blob_descriptor, image
from oci.moving import wait_until
from oci.store_contract import TAG, push
from registry.hostile import Answer, HostileServer, Seen, sized

IMAGE = image([b"drop by drop ".ljust(40_000_000, b".")])
STOP_SECONDS = 5.0
"""Two that copies may take to stop, and three for a machine that is busy."""


class Dripping:
    """A registry that serves one image, and its layers so slowly that nobody waits for the end."""

    def __init__(self, content: Content) -> None:
        root = content.root
        self._root = sized(
            root.content,
            Content_Type=root.descriptor.media_type,
            Docker_Content_Digest=str(root.descriptor.digest),
        )
        self._blobs = {str(blob_descriptor(blob).digest): blob for blob in content.blobs}
        self.is_dripping = False

    def __call__(self, seen: Seen) -> Answer:
        name = seen.path.rpartition("/")[2]
        if "/manifests/" in seen.path and not name.startswith("sha256-"):
            return self._root
        blob = self._blobs.get(name)
        if blob is None:
            return sized(b"", 404)
        return Answer(200, {"Content-Length": str(len(blob))}, self._drops(blob))

    def _drops(self, blob: bytes) -> Iterator[bytes]:
        for at in range(0, len(blob), 100_000):
            yield blob[at : at + 100_000]
            if at > 3_000_000:
                self.is_dripping = True
                time.sleep(0.05)


@pytest.fixture
def dripping(hostile: HostileServer) -> Dripping:
    hostile.reply = dripping = Dripping(IMAGE)
    return dripping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_copy_that_is_stopped_ends_soon_and_leaves_no_tag(
    transship: Command, hostile: HostileServer, dripping: Dripping, destination: Images, number: signal.Signals
) -> None:
    with transship.start(
        "copy", f"{hostile.host}/shop/checkout:{TAG}", str(destination), "--plain-http", hostile.host
    ) as child:
        wait_until(lambda: dripping.is_dripping)
        begun = time.monotonic()
        child.send_signal(number)
        said = heard(child.wait(SECONDS), *child.communicate(timeout=SECONDS))
    assert time.monotonic() - begun < STOP_SECONDS
    assert (said.status, said.out) == (130, "")
    assert f"{destination}:{TAG}: the copy was asked to stop; what has arrived stays" in said.err
    assert destination.open().resolve(TAG) is None
    assert destination.open().resolve(IMAGE.root.descriptor.digest) is None


def test_a_registry_that_says_nothing_does_not_keep_a_stopped_copy(
    transship: Command, hostile: HostileServer, destination: Images
) -> None:
    def silent() -> Iterator[bytes]:
        time.sleep(SECONDS)
        yield b""

    hostile.reply = lambda _: Answer(200, {"Content-Length": "10"}, silent())
    for more in (("--plan",), ("--all-tags",)):
        hostile.seen.clear()
        source = f"{hostile.host}/shop/checkout"
        with transship.start("copy", source, str(destination), "--plain-http", hostile.host, *more) as child:
            wait_until(lambda: bool(hostile.seen))
            begun = time.monotonic()
            child.send_signal(signal.SIGINT)
            said = heard(child.wait(SECONDS), *child.communicate(timeout=SECONDS))
        assert time.monotonic() - begun < STOP_SECONDS
        assert (said.status, said.out) == (130, "")
        assert "the copy was asked to stop" in said.err


def test_where_there_is_no_terminal_progress_is_a_line_on_standard_error(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), image([b"layer"]), TAG)
    said = transship("copy", f"{source}:{TAG}", str(destination))
    total = sum(map(len, image([b"layer"]).blobs)) + image([b"layer"]).root.descriptor.size
    assert said.err == f"{destination}:{TAG}: {total} bytes copied, 0 were there; proven\n"
    said = transship("copy", "--quiet", f"{source}:{TAG}", f"{destination}:again")
    assert (said.status, said.err) == (0, "")


def test_on_a_terminal_progress_is_a_bar(transship: Command, source: Images, destination: Images) -> None:
    push(source.open(), IMAGE, TAG)
    ours, theirs = pty.openpty()
    command = replace(transship, environment={"TERM": "xterm", "COLUMNS": "200"})
    with (
        os.fdopen(theirs, "w") as terminal,
        command.start("copy", "-o", "json", f"{source}:{TAG}", str(destination), stderr=terminal) as child,
    ):
        terminal.close()
        drawn = _everything(ours)
        said = heard(child.wait(SECONDS), child.stdout.read(), drawn)
    assert said.status == 0
    assert said.out.startswith("{")
    assert "\x1b[" not in said.out
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.err)
    assert "━" in plain
    assert "all images" in plain
    assert "MiB" in plain
    assert f"{destination}:{TAG}: " in plain
    assert "proven" in plain


class Breaking(Dripping):
    """As `Dripping`, and breaks off near the end the first time; without ranges, all of it has to be sent again."""

    has_broken_off = False

    def _drops(self, blob: bytes) -> Iterator[bytes]:
        for at, drop in enumerate(super()._drops(blob)):
            if at == 50 and not self.has_broken_off:
                self.has_broken_off = True
                return
            yield drop


def test_bytes_that_are_sent_again_are_counted_once_and_that_is_said(
    transship: Command, hostile: HostileServer, destination: Images
) -> None:
    content = image([b"drop by drop ".ljust(6_000_000, b".")])
    hostile.reply = Breaking(content)
    ours, theirs = pty.openpty()
    command = replace(transship, environment={"TERM": "xterm", "COLUMNS": "250"})
    source = f"{hostile.host}/shop/checkout:{TAG}"
    with (
        os.fdopen(theirs, "w") as terminal,
        command.start("copy", source, str(destination), "--plain-http", hostile.host, stderr=terminal) as child,
    ):
        terminal.close()
        sent = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", _everything(ours))
        said = heard(child.wait(SECONDS), child.stdout.read(), sent)
    assert said.status == 0, said.err
    assert f"{destination}:{TAG}, sending again what was lost ━" in said.err
    for name in ("all images", f"{destination}:{TAG}"):
        pictures = drawn(said.err, name)
        assert [reached for reached, _ in pictures] == sorted(reached for reached, _ in pictures)
        assert len({total for _, total in pictures if total}) == 1
        assert all(reached <= total for reached, total in pictures)
    total = sum(map(len, content.blobs)) + content.root.descriptor.size
    assert drawn(said.err, "all images")[-1] == pytest.approx((total, total), rel=0.02)


def _everything(terminal: int) -> str:
    """What is written to a terminal until nobody has it open."""
    content = b""
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        while True:
            try:
                part = stream.read(65536)
            except OSError:  # how Linux says that the last writer has gone
                break
            if not part:
                break
            content += part
    return content.decode(errors="replace")
