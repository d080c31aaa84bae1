"""What belongs into a list, as a pure function."""

from typing import Any

import pytest

from transship.promotion import promoted
from transship.promotion.policy import Namespace
from transship.promotion.promoted import Mention
from transship.promotion.request import PromotionRequest, parse_request

REPOSITORY = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def request(*images: str, suspend: bool = False, generation: int = 1, status: Any = None) -> PromotionRequest:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    metadata = {"name": "release", "namespace": "shop", "uid": "uid", "creationTimestamp": "2026-01-02T03:04:05Z"}
    spec = {"containers": containers, "suspend": suspend}
    return parse_request({"metadata": metadata | {"generation": generation}, "spec": spec, "status": status or {}})


def status(*images: dict[str, str], generation: int = 1) -> dict[str, Any]:
    named = [{"name": f"c{number}", **each} for number, each in enumerate(images)]
    return {"observedGeneration": generation, "phase": "Promoted", "images": named}


def listed(*requests: PromotionRequest, before: dict[str, str] | None = None) -> dict[str, str]:
    return promoted.promoted((each for one in requests for each in promoted.mentions(one)), before or {})


@pytest.mark.parametrize("outcome", ["AlreadyPresent", "Copied", "TagAdded"])
def test_an_image_that_is_proven_is_listed_as_it_is_written_and_pinned(outcome: str) -> None:
    image = f"{REPOSITORY}:v1"

    found = listed(request(image, status=status({"outcome": outcome, "digest": ONE})))

    assert found == {image: ONE, f"{REPOSITORY}@{ONE}": ONE, f"{REPOSITORY}:v1@{ONE}": ONE}


@pytest.mark.parametrize(
    ("image", "spellings"),
    [
        (f"{REPOSITORY}@{ONE}", {f"{REPOSITORY}@{ONE}"}),
        (f"{REPOSITORY}:v1@{ONE}", {f"{REPOSITORY}:v1@{ONE}", f"{REPOSITORY}@{ONE}"}),
        (REPOSITORY, {REPOSITORY, f"{REPOSITORY}@{ONE}"}),
        ("host:5000/shop:v1", {"host:5000/shop:v1", f"host:5000/shop:v1@{ONE}", f"host:5000/shop@{ONE}"}),
    ],
)
def test_a_tag_is_let_in_only_where_somebody_asked_for_that_tag(image: str, spellings: set[str]) -> None:
    assert set(promoted.spellings(image, ONE)) == spellings


@pytest.mark.parametrize("outcome", ["Refused", "Failed"])
def test_what_ended_otherwise_is_not_listed_even_if_it_was(outcome: str) -> None:
    image = f"{REPOSITORY}:v1"
    ended = request(image, status=status({"outcome": outcome, "digest": ONE}))

    assert listed(ended, before={image: ONE}) == {}


def test_a_status_of_an_older_spec_proves_nothing() -> None:
    changed = request(f"{REPOSITORY}:v2", generation=2, status=status({"outcome": "Copied", "digest": ONE}))

    assert listed(changed) == {}


def test_what_is_looked_at_again_stays_until_there_is_a_verdict() -> None:
    image = f"{REPOSITORY}:v1"
    before = {image: ONE, f"{REPOSITORY}:v0": TWO}

    assert listed(request(image, status=status({})), before=before).keys() >= {image}
    assert listed(request(image), before=before)[image] == ONE
    assert f"{REPOSITORY}:v0" not in listed(request(image), before=before)


def test_a_suspended_request_keeps_nothing_listed() -> None:
    image = f"{REPOSITORY}:v1"

    assert listed(request(image, suspend=True), before={image: ONE}) == {}


def test_the_images_of_a_request_that_failed_beside_others_are_told_apart() -> None:
    both = status({"outcome": "Copied", "digest": ONE}, {"outcome": "Refused", "digest": ""})

    assert set(listed(request(f"{REPOSITORY}:v1", f"{REPOSITORY}:v2", status=both))) == {
        f"{REPOSITORY}:v1",
        f"{REPOSITORY}:v1@{ONE}",
        f"{REPOSITORY}@{ONE}",
    }


def test_what_a_workload_names_and_the_destination_lacks_is_not_listed() -> None:
    assert promoted.promoted([Mention(f"{REPOSITORY}:v1")], {f"{REPOSITORY}:v1": ONE}) == {}


def test_a_list_that_is_full_keeps_what_it_has() -> None:
    wanted = {f"{REPOSITORY}:v{number:05}": ONE for number in range(promoted.MAX_REFERENCES)}
    last = max(wanted)

    kept = promoted.bounded(wanted, [last])

    assert last in kept
    assert len(kept) < len(wanted)
    assert sum(len(key) + len(value) for key, value in kept.items()) <= promoted.MAX_BYTES
    assert list(kept) == sorted(kept)


def test_a_list_has_no_more_references_than_its_definition_allows() -> None:
    assert len(promoted.bounded({f"a:{n}": "" for n in range(9000)}, ())) == promoted.MAX_REFERENCES


@pytest.mark.parametrize(("value", "is_gated"), [("enforce", True), ("warn", True), ("off", False), ("", False)])
def test_a_namespace_asks_by_its_label(value: str, *, is_gated: bool) -> None:
    assert promoted.is_gated(Namespace("shop", {"transship.dev/gate": value})) is is_gated
    assert not promoted.is_gated(None)
