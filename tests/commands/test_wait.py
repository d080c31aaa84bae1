"""Waiting for promotions, as a pipeline does: the exit code is all it looks at."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from command_line.command import Said, heard
from commands.conftest import REGISTRY, Asker, told
from endtoend.scene import template
from transship.cli import exits
from transship.errors import Reason

CHECKOUT, CATALOGUE = f"{REGISTRY}/shop/checkout:v1", f"{REGISTRY}/shop/catalogue:v2"
PROMOTED = told("Promoted", "Promoted", "1 image promoted: 1 copied")
HOOK = {"kind": "Job", "name": "promote-images"}
SOON = 1.5


def ended(child: Any) -> Said:
    out, err = child.communicate(timeout=30)
    return heard(child.returncode, out, err)


def test_what_is_ready_is_not_waited_for(transship: Asker) -> None:
    transship.request("shop", CHECKOUT, **PROMOTED)

    said = transship.here("wait", "shop")

    assert (said.status, said.err) == (0, "")
    assert said.out == "shop Ready (Promoted): 1 image promoted: 1 copied\n"


@pytest.mark.parametrize("reason", [Reason.SOURCE_MISSING, Reason.TIMEOUT, Reason.DENIED])
def test_the_reason_why_one_has_stalled_is_the_exit_code(reason: Reason, transship: Asker) -> None:
    transship.request("good", CHECKOUT, **PROMOTED)
    transship.request("bad", CHECKOUT, **told("Stalled", reason, "push it"))

    said = transship.here("wait", "good", "bad", "-o", "json")

    assert said.status == exits.STALLED[reason]
    assert [(each["name"], each["ready"], each["reason"]) for each in json.loads(said.out)] == [
        ("good", True, "Promoted"),
        ("bad", False, reason),
    ]


def test_every_reason_that_stalls_has_an_exit_code_of_its_own_that_nothing_else_has() -> None:
    codes = [*exits.STALLED.values(), exits.STALLED_OTHERWISE, *(int(each) for each in exits.Exit)]
    assert len(codes) == len(set(codes))
    assert exits.stalled("SomethingOfALaterVersion") == exits.STALLED_OTHERWISE


def test_it_waits_for_all_that_are_named(transship: Asker) -> None:
    first, second = transship.request("first", CHECKOUT), transship.request("second", CATALOGUE)
    with transship.start("wait", "first", "second", "-n", transship.namespace) as child:
        transship.tell(first, **PROMOTED)
        time.sleep(SOON)
        assert child.poll() is None
        transship.tell(second, **PROMOTED)
        said = ended(child)
    assert said.status == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["first", "second"]


def test_one_that_stalls_ends_it_at_once(transship: Asker) -> None:
    transship.request("good", CHECKOUT)
    bad = transship.request("bad", CATALOGUE)
    with transship.start("wait", "good", "bad", "-n", transship.namespace) as child:
        time.sleep(SOON)
        transship.tell(bad, **told("Stalled", "TagConflict", "use a new tag"))
        said = ended(child)
    assert said.status == exits.STALLED[Reason.TAG_CONFLICT]
    assert said.out == "bad Stalled (TagConflict): use a new tag\n"


def test_a_verdict_about_an_older_spec_is_not_believed(transship: Asker) -> None:
    request = transship.request("shop", CHECKOUT, **PROMOTED)
    path = f"{transship.path}/shop"
    transship.cluster.admin.patch(path, {"spec": {"containers": [{"name": "c0", "image": CATALOGUE}]}})

    early = transship.here("wait", "shop", "--timeout", "1s")
    transship.tell(request, **told("Promoted", "Promoted", generation=2))

    assert early.status == 3
    assert transship.here("wait", "shop").status == 0


def test_when_the_time_is_over_it_is_said_what_is_still_going_on(transship: Asker) -> None:
    transship.request("shop", CHECKOUT, **told("Retrying", "Unreachable", "c0: source does not answer"))
    transship.request("new", CHECKOUT)

    said = transship.here("wait", "shop", "new", "--timeout", "1s")

    assert (said.status, said.out) == (3, "")
    assert said.err == (
        "transship: not Ready within 1s: shop is Retrying (c0: source does not answer); "
        "new is Pending, and no operator has looked at it\n"
    )


def test_for_a_hook_the_request_may_come_later(transship: Asker) -> None:
    with transship.start("wait", "--for", "job/promote-images", "-n", transship.namespace) as child:
        time.sleep(SOON)
        transship.request("promote-images-1", CHECKOUT, trigger=HOOK, **PROMOTED)
        said = ended(child)
    assert (said.status, said.out.split()[0]) == (0, "promote-images-1")


def test_for_a_workload_a_request_for_what_it_ran_before_does_not_count(transship: Asker) -> None:
    owner = {"kind": "Deployment", "name": "checkout"}
    transship.request("checkout-old", f"{REGISTRY}/shop/checkout:v0", trigger=owner, **PROMOTED)
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "checkout"}}, "template": template(CHECKOUT)}
    transship.cluster.admin.create(
        f"/apis/apps/v1/namespaces/{transship.namespace}/deployments", {"metadata": {"name": "checkout"}, "spec": spec}
    )

    early = transship.here("wait", "--for=deploy/checkout", "--timeout=1s")
    transship.request("checkout-new", CHECKOUT, trigger=owner, **PROMOTED)

    assert early.status == 3
    assert "Deployment checkout has no PromotionRequest" in early.err
    assert transship.here("wait", "--for=deploy/checkout").out.startswith("checkout-new Ready")


def test_one_that_is_deleted_is_not_waited_for_any_longer(transship: Asker) -> None:
    transship.request("shop", CHECKOUT)
    with transship.start("wait", "shop", "-n", transship.namespace) as child:
        time.sleep(SOON)
        transship.cluster.admin.delete(f"{transship.path}/shop")
        said = ended(child)
    assert said.status == 1
    assert said.err == f"transship: PromotionRequest {transship.namespace}/shop was deleted meanwhile\n"


def test_ctrl_c_ends_it(transship: Asker, stop: Callable[[Any], Said]) -> None:
    transship.request("shop", CHECKOUT)
    with transship.start("wait", "shop", "-v", "-n", transship.namespace) as child:
        assert child.stderr.readline().startswith("cluster ")
        said = stop(child)
    assert (said.status, said.out, said.err) == (130, "", "transship: stopped\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name PromotionRequests, or a workload or hook by --for"),
        (["nobody"], "there is no PromotionRequest nobody"),
        (["--for", "promote-images"], "is not KIND/NAME"),
        (["shop", "--timeout", "soon"], "--timeout: duration 'soon' is not of the form 1h30m, 30m or 90s"),
    ],
)
def test_what_is_asked_wrongly_ends_with_one_sentence(arguments: list[str], sentence: str, transship: Asker) -> None:
    said = transship.here("wait", *arguments)
    assert (said.status, said.out) == (1, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
