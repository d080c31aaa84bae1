"""What was promoted before, told to somebody who looks for the release that broke."""

import json

import pytest

from commands.conftest import DIGEST, REGISTRY, SOURCE, Asker, arrived, told

CHECKOUT = f"{REGISTRY}/shop/checkout"
OTHER = f"sha256:{'b' * 64}"


@pytest.fixture
def past(transship: Asker) -> Asker:
    """Two releases of checkout, one of them by hand, one of catalogue, and one that did not arrive."""
    hook = {"kind": "Job", "name": "promote-images", "application": "shop", "revision": "3b1f0c9"}
    first = [arrived("c0", f"{CHECKOUT}:v1", "2026-01-02T03:04:05Z")]
    transship.request("first", f"{CHECKOUT}:v1", trigger=hook, **told("Promoted", "Promoted", images=first))
    second = [
        arrived("c0", f"{CHECKOUT}:v2", "2026-02-03T04:05:06Z", digest=OTHER, previousDigest=DIGEST),
        arrived("c1", f"{REGISTRY}/shop/catalogue:v7", "2026-02-03T04:05:07Z"),
    ]
    transship.request("second", f"{CHECKOUT}:v2", **told("Promoted", "Promoted", images=second))
    failed = [{"name": "c0", "destination": f"{CHECKOUT}:v3", "outcome": "Refused", "reason": "Denied"}]
    transship.request("third", f"{CHECKOUT}:v3", **told("Stalled", "Denied", images=failed))
    return transship


def test_the_last_comes_first_with_who_asked_and_from_which_revision(past: Asker) -> None:
    said = past.here("history", "checkout")

    header, *lines = (line.split() for line in said.out.splitlines())
    assert said.status == 0
    assert header == ["WHEN", "DIGEST", "OUTCOME", "DESTINATION", "BY", "APPLICATION", "REVISION", "REQUEST"]
    assert lines == [
        ["2026-02-03T04:05:06Z", OTHER, "Copied", f"{CHECKOUT}:v2", "by", "hand", f"{past.namespace}/second"],
        [
            "2026-01-02T03:04:05Z",
            DIGEST,
            "Copied",
            f"{CHECKOUT}:v1",
            "Job/promote-images",
            "shop",
            "3b1f0c9",
            f"{past.namespace}/first",
        ],
    ]


@pytest.mark.parametrize(
    ("image", "requests"),
    [
        ("shop/checkout", ["second", "first"]),
        ("shop/checkout:v1", ["first"]),
        (CHECKOUT, ["second", "first"]),
        (f"{CHECKOUT}:v2", ["second"]),
        (f"{SOURCE}/shop/checkout:v1", ["first"]),
        (f"{CHECKOUT}@{OTHER}", ["second"]),
        ("checkout:v3", []),
        ("out", []),
        ("registry.example/shop/checkout", []),
    ],
)
def test_an_image_is_named_by_where_it_went_or_came_from_or_by_the_end_of_its_path(
    image: str, requests: list[str], past: Asker
) -> None:
    found = json.loads(past.here("history", image, "-o", "json").out)
    assert [each["request"] for each in found] == requests


def test_who_asked_from_outside_the_cluster_is_told_with_overlay_and_revision_and_cannot_colour_it(past: Asker) -> None:
    asked = {
        "transship.dev/asked-by": "mary\x1b[31m",
        "transship.dev/overlay": "overlays/shop",
        "transship.dev/revision": "8c0ffee",
    }
    images = [arrived("c0", f"{CHECKOUT}:v4", "2026-03-03T04:05:06Z")]
    past.request("fourth", f"{CHECKOUT}:v4", annotations=asked, **told("Promoted", "Promoted", images=images))
    said = past.here("history", "checkout:v4")
    assert "mary" in said.out
    assert "with overlays/shop" in said.out
    assert "8c0ffee" in said.out
    assert "\x1b" not in said.out


def test_programs_are_told_what_the_tag_pointed_at_before(past: Asker) -> None:
    (found,) = json.loads(past.here("history", "checkout:v2", "-o", "json").out)
    assert (found["digest"], found["previousDigest"], found["by"]) == (OTHER, DIGEST, "by hand")


def test_the_names_are_references_that_can_be_pulled(past: Asker) -> None:
    assert past.here("history", "checkout:v1", "-o", "name").out == f"{CHECKOUT}:v1@{DIGEST}\n"


def test_what_was_never_promoted_is_said_to_be_so(past: Asker) -> None:
    said = past.here("history", "nothing")
    assert (said.status, said.out) == (0, "")
    assert said.err.startswith(f"No PromotionRequest in namespace {past.namespace} tells of nothing")


def test_an_image_that_is_none_ends_with_one_sentence(past: Asker) -> None:
    said = past.here("history", "UPPER/case")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("transship: repository 'UPPER/case' is not lower-case path parts")
