"""Why a request does not go on, told to somebody who has to get it going."""

import json
import textwrap
from typing import Any

import pytest

from commands.conftest import DIGEST, REGISTRY, Asker, arrived, told
from transship.errors import Reason
from transship.promotion.advice import ADVICE

CHECKOUT, CATALOGUE = f"{REGISTRY}/shop/checkout:v1", f"{REGISTRY}/shop/catalogue:v2"
HOOK = {"kind": "Job", "name": "promote-images", "application": "shop"}


def image(name: str, reason: str, message: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "destination": CATALOGUE, "outcome": "Refused", "reason": reason, "message": message, **more}


def text_of(said: Any) -> str:
    return " ".join(said.out.split())


def test_of_a_stalled_one_the_cause_and_what_to_do_are_told_in_a_paragraph(transship: Asker) -> None:
    images = [
        arrived("c0", CHECKOUT, "2026-01-02T03:04:05Z"),
        image("c1", "SourceMissing", "source resolve: it does not exist"),
    ]
    status = told("Stalled", "SourceMissing", "c1: ...", images=images, summary="1/2")
    transship.request("shop", CHECKOUT, CATALOGUE, trigger=HOOK, **status)

    said = transship.here("explain", "shop")

    text = text_of(said)
    assert said.status == 1
    assert text.startswith(
        f"PromotionRequest {transship.namespace}/shop wants 2 images for Job promote-images of application shop. "
        "It has been stalled for "
    )
    assert "with 1/2 images there. c1 (SourceMissing): source resolve: it does not exist." in text
    assert f"What to do: {ADVICE[Reason.SOURCE_MISSING].remedy}" in text
    assert "c0 (" not in text
    assert max(len(line) for line in said.out.splitlines()) <= 100


def test_several_images_of_one_reason_get_the_advice_once(transship: Asker) -> None:
    images = [image("c0", "Denied", "who may not pull a"), image("c1", "Denied", "who may not pull b")]
    transship.request("shop", CHECKOUT, CATALOGUE, **told("Stalled", "Denied", images=images))
    text = text_of(transship.here("explain", "shop"))
    assert text.count(ADVICE[Reason.DENIED].remedy) == 1
    assert "who may not pull a." in text
    assert "who may not pull b." in text


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({}, "No operator has looked at it in the "),
        (told("Promoted", "Promoted"), "It is done: every image is at the destination."),
        (told("Suspended", "Suspended"), "set spec.suspend to false to go on"),
        (told("Promoting", "Promoting", "1 of 2 images are there", progress="41%"), "It goes on: "),
        (
            told(
                "Retrying", "Throttled", images=[{"name": "c0", "reason": "Throttled", "message": "asked for patience"}]
            ),
            f"c0 (Throttled): asked for patience. What to do: {ADVICE[Reason.THROTTLED].remedy}",
        ),
        (told("Promoted", "Promoted", generation=0), "what follows is about an older one"),
    ],
)
def test_what_goes_on_or_is_done_is_no_failure(status: dict[str, Any], sentence: str, transship: Asker) -> None:
    transship.request("shop", CHECKOUT, CATALOGUE, **status)
    said = transship.here("explain", "shop")
    assert said.status == 0, said.err
    assert sentence in text_of(said)


def test_of_an_image_that_nobody_covers_the_nearest_policy_is_told(transship: Asker) -> None:
    policy = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": transship.namespace},
        "spec": {
            "source": {"registry": "registry.example"},
            "destination": {"registry": REGISTRY},
            "namespaces": {"names": ["elsewhere"]},
            "repositories": ["shop/*"],
        },
    }
    path = "/apis/transship.dev/v1alpha1/promotionpolicies"
    transship.cluster.admin.create(path, policy)
    images = [image("c0", "NotCovered", "no PromotionPolicy lets it")]
    transship.request("shop", CATALOGUE, **told("Stalled", "NotCovered", images=images))

    try:
        text = text_of(transship.here("explain", "shop"))
    finally:
        transship.cluster.admin.delete(f"{path}/{transship.namespace}")

    space = transship.namespace
    assert f"PromotionPolicy {space} does not cover {REGISTRY}/shop/catalogue: it selects the names elsewhere; " in text
    assert f"; namespace {space} has kubernetes.io/metadata.name={space}." in text


def test_the_newest_request_of_a_hook_is_explained(transship: Asker) -> None:
    transship.request("promote-images-1", CHECKOUT, trigger=HOOK, **told("Promoted", "Promoted"))
    said = transship.here("explain", "--for", "job/promote-images")
    assert said.status == 0
    assert text_of(said).startswith(f"PromotionRequest {transship.namespace}/promote-images-1 wants 1 image")


def test_programs_get_the_same_in_parts(transship: Asker) -> None:
    images = [image("c0", "TagConflict", "use a new tag", digest=DIGEST)]
    transship.request("shop", CATALOGUE, **told("Stalled", "TagConflict", images=images))
    (found,) = json.loads(transship.here("explain", "shop", "-o", "json").out)
    assert (found["name"], found["phase"], found["reason"]) == ("shop", "Stalled", "TagConflict")
    assert any(ADVICE[Reason.TAG_CONFLICT].remedy in each for each in found["explanation"])
    assert found["images"][0]["digest"] == DIGEST


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a PromotionRequest or an image"),
        (["nobody"], "there is no PromotionRequest nobody"),
        (["shop", "-f", "policy.yaml"], "-f is for images, and shop is not one"),
        (
            ["--for", "job/nobody"],
            "has no PromotionRequest: its images are at the destination, or no policy covers them",
        ),
        ([CHECKOUT, "-f", "/nonexistent.yaml"], "/nonexistent.yaml cannot be read"),
    ],
)
def test_what_is_asked_wrongly_ends_with_one_sentence(arguments: list[str], sentence: str, transship: Asker) -> None:
    said = transship.here("explain", *arguments)
    assert (said.status, said.out) == (1, "")
    assert sentence in textwrap.dedent(said.err)
    assert len(said.err.splitlines()) == 1
