"""Where promotions stand, as somebody sees it who has just synced."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from command_line.command import SECONDS, Said
from commands.conftest import REGISTRY, Asker, arrived, told
from localworld.cluster import Cluster

CHECKOUT, CATALOGUE = f"{REGISTRY}/shop/checkout:v1", f"{REGISTRY}/shop/catalogue:v2"
HOOK = {"kind": "Job", "name": "promote-images"}
MEBIBYTE = 1 << 20


@pytest.fixture
def shop(transship: Asker) -> Asker:
    """A request that was promoted for a hook, one by hand that stalled, and one that nobody has looked at."""
    transship.request(
        "promote-images-1",
        CHECKOUT,
        trigger=HOOK,
        **told("Promoted", "Promoted", summary="1/1", progress="100%", application="shop"),
    )
    transship.request("by-hand", CHECKOUT, **told("Stalled", "SourceMissing", summary="0/1", progress="41%"))
    transship.request("new")
    return transship


def without_age(text: str) -> list[str]:
    return [line.rsplit(maxsplit=1)[0].rstrip() for line in text.splitlines()]


def test_the_table_is_that_of_kubectl(shop: Asker, served: Cluster) -> None:
    theirs = served.kubectl("get", "promotionrequests.transship.dev", "-n", shop.namespace)

    said = shop.here("status")

    assert (said.status, said.err) == (0, "")
    assert without_age(said.out) == without_age(theirs)
    assert len(said.out.splitlines()) == 4


def test_of_all_namespaces_each_is_named(shop: Asker) -> None:
    lines = shop("status", "--all-namespaces").out.splitlines()

    assert lines[0].startswith("NAMESPACE")
    assert len([line for line in lines if line.startswith(f"{shop.namespace} ")]) == 3


def test_of_one_request_every_image_is_shown_with_its_bytes_and_why_it_does_not_go_on(transship: Asker) -> None:
    images = [
        arrived("c0", CHECKOUT, "2026-01-02T03:04:05Z", bytesTotal=5 * MEBIBYTE, bytesSkipped=5 * MEBIBYTE),
        {"name": "c1", "outcome": "Refused", "reason": "SourceMissing", "message": "push it"},
    ]
    status = told("Stalled", "SourceMissing", "c1: push it there", images=images, summary="1/2")
    transship.request("shop", CHECKOUT, CATALOGUE, **status)

    header, *lines = transship.here("status", "shop").out.splitlines()[3:6]
    whole = transship.here("status", "preq/shop").out

    assert header.split() == ["CONTAINER", "OUTCOME", "REASON", "BYTES", "RATE", "DIGEST", "IMAGE"]
    assert lines[0].split() == [
        "c0",
        "Copied",
        "Promoted",
        *["5.0", "MiB", "of", "5.0", "MiB"],
        "sha256:aaaaaaaaaaaa",
        CHECKOUT,
    ]
    assert lines[1].split() == ["c1", "Refused", "SourceMissing", CATALOGUE]
    assert whole.endswith("\nc1: push it there\n")


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_objects_of_the_api_server(form: str, read: Callable[[str], Any], shop: Asker) -> None:
    stored = shop.cluster.admin.get(f"{shop.path}/by-hand")

    one, many = shop.here("status", "by-hand", "-o", form), shop.here("status", "-o", form)

    assert read(one.out)["status"] == stored["status"]
    assert read(one.out)["kind"] == "PromotionRequest"
    assert [each["metadata"]["name"] for each in read(many.out)["items"]] == ["by-hand", "new", "promote-images-1"]


def test_names_can_be_given_to_kubectl(shop: Asker, served: Cluster) -> None:
    names = shop.here("status", "-o", "name").out.split()

    assert served.kubectl("get", "-n", shop.namespace, "-o", "name", *names).split() == names


@pytest.mark.parametrize("owner", ["job/promote-images", "Jobs/promote-images", "job.batch/promote-images"])
def test_those_of_a_hook_can_be_asked_for(owner: str, shop: Asker) -> None:
    assert shop.here("status", "--for", owner, "-o", "name").out.split() == [
        "promotionrequest.transship.dev/promote-images-1"
    ]


def test_where_there_are_none_that_is_said_beside_an_empty_result(transship: Asker) -> None:
    said = transship.here("status")
    assert (said.status, said.out) == (0, "")
    assert said.err == f"No PromotionRequests found in namespace {transship.namespace}.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "there is no PromotionRequest nobody in namespace"),
        (["deployment/checkout"], "say --for deployment/checkout"),
        (["--for", "checkout"], "'checkout' is not KIND/NAME"),
        (["--for", "secret/checkout"], "'secret/checkout' is not KIND/NAME"),
        (["shop", "-A"], "a NAME belongs to one namespace"),
        (["--context", "nowhere"], "has no context nowhere; it has "),
        (["--kubeconfig", "/nonexistent"], "there is no kubeconfig with a current context in /nonexistent"),
        (["--as-group", "people"], "--as-group belongs to --as"),
        (["--as", "nobody"], 'User "nobody" cannot list resource "promotionrequests"'),
        (["-n", "x/../shop"], "'x/../shop' cannot be a namespace: names have small letters"),
        (["-n", "../../x"], "'../../x' cannot be a namespace"),
        (["-n", "shop/promotionrequests?limit=1#"], "cannot be a namespace"),
        (["-n", "sh\x1b[31mop"], "'sh\\x1b[31mop' cannot be a namespace"),
        (["preq/shop?watch=1"], "'shop?watch=1' cannot be a PromotionRequest's name"),
        (["-o", "wide"], "--output: 'wide' is not one of 'table', 'json', 'yaml', 'name'"),
    ],
)
def test_what_is_asked_wrongly_ends_with_one_sentence(arguments: list[str], sentence: str, transship: Asker) -> None:
    said = transship.here("status", *arguments)
    assert (said.status, said.out) == (1, "")
    assert sentence in " ".join(said.err.split())


def test_the_first_current_context_of_several_files_counts_as_it_does_for_kubectl(transship: Asker) -> None:
    other = transship.home / "other.yaml"
    cluster = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}
    user = {"name": "nobody", "user": {}}
    other.write_text(
        yaml.safe_dump({"current-context": "nowhere", "clusters": [cluster], "contexts": [context], "users": [user]})
    )
    files = os.pathsep.join([str(transship.cluster.kubeconfig), str(other)])

    assert transship.here("status", "-v", KUBECONFIG=files).err.startswith("cluster https://")
    assert "https://127.0.0.1:1," in transship.here("status", "-v", "--context=nowhere", KUBECONFIG=files).err


def test_who_is_acted_as_is_who_the_api_server_sees(transship: Asker) -> None:
    denied = transship.here("status", "--as", "system:serviceaccount:shop:reader", "--as-group", "shop")
    assert denied.status == 1
    assert 'User "system:serviceaccount:shop:reader"' in denied.err
    assert transship.here("status", "--as", "anybody", "--as-group", "system:masters").status == 0


def test_what_changes_is_followed_line_by_line_until_ctrl_c(shop: Asker, stop: Callable[[Any], Said]) -> None:
    request = shop.cluster.admin.get(f"{shop.path}/new")
    with shop.start("status", "new", "-w", "-n", shop.namespace) as child:
        first = [child.stdout.readline() for _ in range(2)]
        shop.tell(request, **told("Promoting", "Promoting", progress="41%"))
        moving = child.stdout.readline()
        shop.tell(request, **told("Promoted", "Promoted", progress="100%"))
        done = child.stdout.readline()
        shop.cluster.admin.delete(f"{shop.path}/new")
        gone = child.stdout.readline()
        said = stop(child)

    assert first[0].split()[:3] == ["NAME", "READY", "PHASE"]
    assert first[1].split()[0] == "new"
    assert moving.split()[:4] == ["new", "Unknown", "Promoting", "41%"]
    assert done.split()[:4] == ["new", "True", "Promoted", "100%"]
    assert gone == f"{shop.namespace}/new is gone\n"
    assert (said.status, said.err) == (130, "transship: stopped\n")


def test_lines_that_follow_stand_below_those_before(shop: Asker, stop: Callable[[Any], Said]) -> None:
    with shop.start("status", "-w", "-n", shop.namespace) as child:
        lines = [child.stdout.readline() for _ in range(4)]
        shop.request("x", **told("Promoted", "Promoted", summary="1/1"))
        added = [child.stdout.readline() for _ in range(2)]
        stop(child)
    assert added[1].index("True") == lines[3].index("True")


def test_what_is_followed_is_a_json_document_a_line_for_programs(shop: Asker, stop: Callable[[Any], Said]) -> None:
    with shop.start("status", "-w", "-o", "json", "-n", shop.namespace) as child:
        names = [json.loads(child.stdout.readline())["metadata"]["name"] for _ in range(3)]
        stop(child)
    assert names == ["by-hand", "new", "promote-images-1"]


def in_terminal(asker: Asker, *arguments: str, until: str, **environment: str) -> str:
    """What a terminal of a person gets, until it shows something."""
    ours, theirs = pty.openpty()
    known = asker.variables() | {"TERM": "xterm-256color", "COLUMNS": "160", **environment}
    command = [sys.executable, "-m", "transship", *arguments, "-n", asker.namespace]
    with subprocess.Popen(command, env=known, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        seen, deadline = "", time.monotonic() + SECONDS
        while until not in seen and time.monotonic() < deadline:
            try:
                seen += os.read(ours, 65536).decode()
            except OSError:
                break
        child.terminate()
    os.close(ours)
    return seen


def test_a_terminal_gets_colours_and_who_does_not_want_them_gets_none(shop: Asker) -> None:
    coloured = in_terminal(shop, "status", until="promote-images-1")
    assert "\x1b[32mPromoted" in coloured
    assert "\x1b[31mStalled" in coloured
    assert "\x1b" not in in_terminal(shop, "status", "--no-color", until="promote-images-1")
    assert "\x1b" not in in_terminal(shop, "status", until="promote-images-1", NO_COLOR="1")
    assert "\x1b" not in shop.here("status").out


def test_in_a_terminal_the_table_is_drawn_anew_when_something_changes(shop: Asker) -> None:
    seen = in_terminal(shop, "status", "-w", until="promote-images-1")
    assert re.search(r"by-hand .*Stalled", seen)
    assert "\x1b[" in seen


def test_what_strangers_write_into_a_status_does_not_steer_the_terminal(transship: Asker) -> None:
    message = "\x1b]0;owned\x07 \x1b[2J\u202egnihton"
    transship.request("shop", **told("Stalled", "Denied", message))

    seen = in_terminal(transship, "status", "shop", until="gnihton")

    assert "\x1b]0" not in seen
    assert "\x1b[2J" not in seen
    assert "\\x1b]0;owned\\x07" in seen
