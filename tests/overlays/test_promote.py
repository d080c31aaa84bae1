"""`transship promote` without a cluster: what arrives, what is said, and what Ctrl-C leaves."""

import json
import os
import pty
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import yaml

from command_line.command import Said, drawn
from localworld.ledger import Ledger, fault
from localworld.registries import Registries
from overlays.conftest import DESTINATION, SOURCE, Shop
from overlays.test_plan import pod

BY = "transship-controller"
ROLE = {
    "registry": SOURCE,
    "roleArn": "arn:aws:iam::111111111111:role/transship-source",
    "externalId": "transship-example",
}
COPYING = {"PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "GetDownloadUrlForLayer"}


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.policy(source=ROLE)
    return shop


def everything(terminal: int) -> str:
    """What is written to a terminal until nobody has it open."""
    content = b""
    with os.fdopen(terminal, "rb", buffering=0) as stream, suppress(OSError):
        while part := stream.read(65536):
            content += part
    return content.decode()


def images_of(said: Said) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)["images"]
    return found


def test_what_an_overlay_names_arrives_and_is_proven(shop: Shop) -> None:
    digest = shop.push("v1")["v1"]
    said = shop.run("promote", shop.overlay("production", shop.reference("v1")), "-o", "json", by=BY)
    assert said.status == 0, said.err
    (image,) = images_of(said)
    assert (image["outcome"], image["digest"], image["destination"]) == ("Copied", digest, shop.reference("v1"))
    assert image["verifiedAt"]
    assert image["bytesCopied"] == image["bytesTotal"]
    assert shop.at_destination("v1") == digest


def test_a_second_time_nothing_is_written(shop: Shop, ledger: Ledger) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    assert shop.run("promote", overlay, by=BY).status == 0
    before = ledger.requests()
    said = shop.run("promote", overlay, by=BY)
    assert said.status == 0
    assert said.out.splitlines()[1].startswith("AlreadyPresent")
    made = {name.partition(":")[2] for name in +(Counter(ledger.requests()) - before)}
    assert not made & {"PutImage", "InitiateLayerUpload", "CreateRepository"}


def test_the_plan_has_counted_the_calls_that_are_made(shop: Shop, ledger: Ledger) -> None:
    shop.push("v1", "v2")
    both = yaml.safe_dump(pod("a", shop.reference("v1"), shop.reference("v2")))
    planned = json.loads(shop.run("plan", "-f", "-", "-o", "json", stdin=both, by=BY).out)["plans"][0]["totals"]
    before = ledger.requests()
    assert shop.run("promote", "-f", "-", stdin=both, by=BY).status == 0
    made = +(Counter(ledger.requests()) - before)
    said = planned["awsCalls"][SOURCE] | planned["awsCalls"][DESTINATION]
    assert {name: said.get(name, 0) for name in COPYING} == {name: made[f"ecr:{name}"] for name in COPYING}


def test_one_that_cannot_come_does_not_keep_the_others_and_is_told_with_its_reason(shop: Shop) -> None:
    shop.push("v1")
    both = yaml.safe_dump(pod("a", shop.reference("v1"), shop.reference("v9")))
    said = shop.run("promote", "-f", "-", "-o", "json", stdin=both, by=BY)
    good, bad = images_of(said)
    assert (said.status, good["outcome"], bad["outcome"], bad["reason"]) == (1, "Copied", "Refused", "SourceMissing")
    assert f"transship: {shop.reference('v9')}: source resolve: " in said.err
    assert shop.at_destination("v1")


def test_what_heals_by_itself_is_tried_again(shop: Shop, registries: Registries) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    with fault(registries, "status", action="PutImage", status=503, times=12):
        said = shop.run("promote", overlay, by=BY)
    assert said.status == 0, said.err
    assert shop.at_destination("v1")


def test_the_timeout_ends_what_does_not_heal(shop: Shop) -> None:
    shop.push("v1")
    shop.policy(source=ROLE, sourceGrace="10m")
    said = shop.run("promote", shop.overlay("production", shop.reference("v9")), "--timeout", "2s", by=BY)
    assert said.status == 1
    assert "does not exist (yet)" in said.err


def test_lines_are_printed_where_there_is_no_terminal_and_quiet_means_quiet(shop: Shop) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    said = shop.run("promote", overlay, by=BY)
    assert f"{shop.reference('v1')}: " in said.err
    assert "\x1b" not in said.err + said.out
    assert shop.run("promote", overlay, "--quiet", by=BY).err == ""


def seen(shop: Shop, *arguments: str) -> tuple[str, str]:
    """Promote at a terminal of 250 columns; what was drawn, without what moves the cursor, and what went to a pipe."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        child = shop.start("promote", *arguments, by=BY, stderr=terminal, TERM="xterm", COLUMNS="250")
        terminal.close()
        sent = everything(ours)
        out, _ = child.communicate(timeout=30)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)
    assert child.returncode == 0, plain
    return plain, out


def test_on_a_terminal_there_is_a_bar_for_each_image_and_one_for_all(shop: Shop, registries: Registries) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    with fault(registries, "slow", action="GetObject", bytesPerSecond=40_000, times=0):
        plain, out = seen(shop, overlay)
    assert re.search(rf"{shop.reference('v1')} .*━.* [0-9.]+/[0-9.]+ KiB +[0-9.]+ k?B/s [0-9:-]+", plain)
    assert "all images" in plain
    assert "\x1b[" not in out


def test_what_another_attempt_sends_again_is_counted_once_and_no_bar_goes_back(
    shop: Shop, registries: Registries
) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    with (
        fault(registries, "slow", action="GetObject", bytesPerSecond=80_000, times=0),
        fault(registries, "status", action="PutImage", status=503, times=12),  # more than one attempt bears
    ):
        plain, out = seen(shop, overlay, "-o", "json")
    (image,) = images_of(Said(0, out, plain))
    assert image["attempts"] > 1
    pictures = drawn(plain, "all images")
    assert [reached for reached, _ in pictures] == sorted(reached for reached, _ in pictures)
    assert {total for _, total in pictures} == {0, pictures[-1][1]}
    assert pictures[-1][0] == pictures[-1][1] == pytest.approx(image["bytesTotal"], rel=0.01)


def test_ctrl_c_does_not_wait_for_a_registry_that_is_silent(shop: Shop, registries: Registries, ledger: Ledger) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    before = ledger.requests()
    is_silent = fault(registries, "stall", action="GetObject", at=100, seconds=0, times=0)
    with is_silent, shop.start("promote", overlay, by=BY) as child:
        while not (Counter(ledger.requests()) - before)["ecr:GetDownloadUrlForLayer"]:
            assert child.poll() is None
            time.sleep(0.05)
        asked_at = time.monotonic()
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=20)
        took = time.monotonic() - asked_at
    assert child.returncode == 130, err
    assert took < 6, "1.5 s for copies to stop, and the rest for a machine that is busy"
    assert "was asked to stop" in out
    assert shop.at_destination("v1") is None


def test_ctrl_c_leaves_no_tag_and_says_what_was_done(shop: Shop, registries: Registries, ledger: Ledger) -> None:
    shop.push("v1")
    overlay = shop.overlay("production", shop.reference("v1"))
    before = ledger.requests()
    is_slow = fault(registries, "slow", action="PutImage", seconds=3, times=0)
    with is_slow, shop.start("promote", overlay, by=BY) as child:
        while not (Counter(ledger.requests()) - before)["ecr:CompleteLayerUpload"]:
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 130, err
    assert "stopped; 0 of 1 images are at their destination and proven" in err
    assert "Traceback" not in err
    assert shop.at_destination("v1") is None
    # What arrived is not sent again.
    assert shop.run("promote", overlay, by=BY).status == 0


def test_bad_input_is_one_sentence_and_exit_code_1(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    cases = {
        "--timeout: duration 'soon'": shop.run("promote", overlay, "--timeout", "soon"),
        "leave --policy out": shop.run("promote", overlay, "--wait", "--policy", "x.yaml"),
        "name an overlay": shop.run("promote"),
    }
    for sentence, said in cases.items():
        assert (said.status, said.out) == (1, ""), said
        assert sentence in said.err
