import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.schema import request_schema, violations
from promotion.world import START, request_resource
from transship.errors import NeedsHuman, Reason
from transship.promotion.argocd import Options, Origin
from transship.promotion.duration import parse_duration
from transship.promotion.request import (
    DEFAULT_TIMEOUT_SECONDS,
    OWNER_KIND_LABEL,
    OWNER_LABEL,
    PromotionRequest,
    RequestKey,
    owner_labels,
    parse_request,
    request_for,
    request_name,
    require_images,
    superseded,
)
from transship.promotion.status import Phase
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey

OWNER = WorkloadKey("Deployment", "shop", "checkout")
IMAGES = (ContainerImage("app", "shop/app:v1"), ContainerImage("proxy", "shop/proxy:v1"))
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")

# Every name an owner can have: RFC 1123 subdomains of up to 253 characters.
OWNER_NAMES = st.from_regex(
    re.compile(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?){0,6}", re.ASCII),
    fullmatch=True,
).filter(lambda name: len(name) <= 253)
IMAGE_SETS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.text("ab=\n,\"'[]", max_size=6), max_size=3
).map(lambda images: tuple(ContainerImage(name, image) for name, image in images.items()))


def workload(*, kind: str = "Deployment", name: str = "checkout", is_hook: bool = False, app: str = "shop") -> Workload:
    return Workload(WorkloadKey(kind, "shop", name), "apps/v1", "uid-1", IMAGES, is_hook, True, Origin(app), START)


# --- names


def test_the_name_is_the_owners_with_a_short_digest_and_stays_the_same_for_ever() -> None:
    assert request_name(OWNER, IMAGES) == request_name(OWNER, list(IMAGES))
    assert re.fullmatch(r"checkout-[0-9a-f]{10}", request_name(OWNER, IMAGES))
    # A changed rule would make a second request for every workload on the day of the upgrade.
    assert request_name(OWNER, IMAGES) == "checkout-8bfc7c7236"


def test_the_order_of_the_images_does_not_matter() -> None:
    assert request_name(OWNER, IMAGES[::-1]) == request_name(OWNER, IMAGES)


@pytest.mark.parametrize(
    ("owner", "images"),
    [
        (OWNER, (IMAGES[0],)),
        (OWNER, (IMAGES[0], ContainerImage("proxy", "shop/proxy:v2"))),
        (OWNER, (IMAGES[0], ContainerImage("other", "shop/proxy:v1"))),
        (OWNER, (ContainerImage("app", "shop/proxy:v1"), ContainerImage("proxy", "shop/app:v1"))),
        (WorkloadKey("StatefulSet", "shop", "checkout"), IMAGES),
        (WorkloadKey("Deployment", "shop", "checkouts"), IMAGES),
    ],
    ids=[
        "an image less",
        "another tag",
        "another container name",
        "images changed places",
        "another kind of owner",
        "another owner",
    ],
)
def test_another_set_of_images_or_another_owner_is_another_request(
    owner: WorkloadKey, images: tuple[ContainerImage, ...]
) -> None:
    assert request_name(owner, images) != request_name(OWNER, IMAGES)


@given(IMAGE_SETS, IMAGE_SETS)
def test_no_image_string_makes_one_set_look_like_another(
    one: tuple[ContainerImage, ...], other: tuple[ContainerImage, ...]
) -> None:
    is_same = {(each.name, each.image) for each in one} == {(each.name, each.image) for each in other}
    assert (request_name(OWNER, one) == request_name(OWNER, other)) is is_same


def test_an_image_string_with_separators_does_not_imitate_two_containers() -> None:
    joined = (ContainerImage("app", "a:v1\nproxy=b:v1"),)
    apart = (ContainerImage("app", "a:v1"), ContainerImage("proxy", "b:v1"))
    assert request_name(OWNER, joined) != request_name(OWNER, apart)


@given(OWNER_NAMES)
def test_the_name_is_valid_for_every_name_an_owner_can_have(name: str) -> None:
    found = request_name(WorkloadKey("Deployment", "shop", name), IMAGES)
    assert len(found) <= 253
    assert SUBDOMAIN.match(found)


@pytest.mark.parametrize(
    "name",
    ["a", "0", "a" * 253, "a" * 241 + ".b" * 6, "a" * 240 + "-" * 12 + "b"],
    ids=["one letter", "a digit", "the longest", "one that is cut at a dot", "one that is cut in dashes"],
)
def test_an_odd_owner_name_still_gives_a_valid_name_that_tells_images_apart(name: str) -> None:
    owner = WorkloadKey("Deployment", "shop", name)
    found = request_name(owner, IMAGES)
    assert len(found) <= 253
    assert SUBDOMAIN.match(found)
    assert found != request_name(owner, IMAGES[:1])


@given(OWNER_NAMES)
def test_the_labels_of_an_owner_are_valid_and_differ_between_owners(name: str) -> None:
    labels = owner_labels(WorkloadKey("Deployment", "shop", name))
    assert all(len(value) <= 63 and LABEL_VALUE.match(value) for value in labels.values())
    assert labels[OWNER_KIND_LABEL] == "Deployment"
    assert labels[OWNER_LABEL] != owner_labels(WorkloadKey("Deployment", "shop", f"{name[:252]}x"))[OWNER_LABEL]


# --- making and reading


@pytest.mark.parametrize("is_hook", [False, True], ids=["workload", "hook"])
@pytest.mark.parametrize("app", ["shop", ""], ids=["of an application", "of no application"])
def test_what_is_made_for_an_owner_is_valid_and_is_read_back_as_it_was_meant(*, is_hook: bool, app: str) -> None:
    owner = workload(is_hook=is_hook, app=app)
    made = request_for(owner, IMAGES)
    assert violations(request_schema()["spec"], made["spec"], "spec") == []
    stored = made | {"metadata": made["metadata"] | {"uid": "u", "generation": 3, "creationTimestamp": _time(START)}}
    assert parse_request(stored) == PromotionRequest(
        key=RequestKey("shop", request_name(owner.key, IMAGES)),
        uid="u",
        generation=3,
        created_at=START,
        containers=IMAGES,
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        policy="",
        is_suspended=False,
        owner=owner.key,
        owner_uid="uid-1",
        application=app,
        origin=Origin(),
        is_ours=True,
        is_unowned=is_hook,
        status=parse_request(request_resource({"a": "b"})).status,
    )


def test_the_options_of_a_hook_are_those_of_its_request_and_make_it_another_one() -> None:
    options = Options("5m", "shop-to-production")
    hook = replace(workload(is_hook=True), origin=Origin(options=options, revision="3f2c9d1"))
    made = request_for(hook, IMAGES)

    assert violations(request_schema()["spec"], made["spec"], "spec") == []
    assert (made["spec"]["timeout"], made["spec"]["policy"]) == ("5m", "shop-to-production")
    assert made["spec"]["trigger"]["revision"] == "3f2c9d1"
    assert made["metadata"]["name"] == request_name(hook.key, IMAGES, options) != request_name(hook.key, IMAGES)


def test_a_workload_has_no_options_whatever_is_written_on_it() -> None:
    owner = replace(workload(), origin=Origin("shop", options=Options("5m", "shop-to-production")))

    assert request_for(owner, IMAGES) == request_for(workload(), IMAGES)


@pytest.mark.parametrize("text", ["soon", "5", "-5m", "9s", "25h", "1d", " 5m", "5m\n", "9" * 300 + "s"])
def test_a_timeout_that_cannot_be_taken_is_refused_with_a_sentence(text: str) -> None:
    hook = replace(workload(is_hook=True), origin=Origin(options=Options(timeout=text)))

    with pytest.raises(NeedsHuman) as refused:
        request_for(hook, IMAGES)

    assert refused.value.reason == Reason.INVALID_REQUEST
    assert "write a duration such as 15m, between 10s and 24h" in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ([ContainerImage(f"c{number}", "shop/app:v1") for number in range(70)], Options(), "these are 70 images"),
        ([ContainerImage("app", "a" * 2000)], Options(), "the image of app has 2000 characters"),
        (IMAGES, Options(policy="p" * 300), "annotation transship.dev/policy has 300 characters"),
    ],
    ids=["too many images", "an image string that is too long", "a policy name that is too long"],
)
def test_what_does_not_fit_into_a_request_is_refused_in_our_own_words(
    images: list[ContainerImage], options: Options, words: str
) -> None:
    hook = replace(workload(is_hook=True), origin=Origin(options=options))

    with pytest.raises(NeedsHuman) as refused:
        request_for(hook, images)

    assert refused.value.reason == Reason.INVALID_REQUEST
    assert words in refused.value.message
    assert len(refused.value.message) < 250


def test_only_the_images_that_are_to_be_promoted_are_named() -> None:
    made = request_for(workload(), iter(IMAGES[:1]))
    assert made["spec"]["containers"] == [{"name": "app", "image": "shop/app:v1"}]
    assert made["metadata"]["name"] == request_name(OWNER, IMAGES[:1])


def test_a_workload_owns_its_requests_so_that_they_go_with_it() -> None:
    (reference,) = request_for(workload(), IMAGES)["metadata"]["ownerReferences"]
    assert reference == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": "uid-1"}


def test_the_requests_of_a_hook_have_no_owner_so_that_they_stay_when_argo_cd_deletes_the_hook() -> None:
    assert "ownerReferences" not in request_for(workload(is_hook=True), IMAGES)["metadata"]


def test_nothing_that_is_made_could_hold_up_a_deletion() -> None:
    assert set(request_for(workload(), IMAGES)["metadata"]) == {"name", "namespace", "labels", "ownerReferences"}


def test_a_handwritten_request_has_no_owner_and_is_not_ours() -> None:
    found = parse_request(request_resource({"app": "shop/app:v1"}))
    assert (found.owner, found.owner_uid, found.is_ours) == (None, "", False)
    assert found.status.phase is Phase.PENDING
    assert found.created_at == datetime(2026, 3, 1, 11, 59, 59, tzinfo=UTC)


def test_an_image_that_does_not_parse_is_kept_as_written() -> None:
    assert parse_request(request_resource({"app": "NOT AN IMAGE"})).containers[0].image == "NOT AN IMAGE"


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [({}, 1800), ({"timeout": "90s"}, 90), ({"timeout": "1h30m"}, 5400), ({"timeout": "for ever"}, 1800)],
    ids=["half an hour when nothing is said", "seconds", "hours and minutes", "the default when it cannot be read"],
)
def test_the_timeout(spec: dict[str, Any], seconds: float) -> None:
    assert parse_request(request_resource({"app": "a:b"}, **spec)).timeout_seconds == seconds


@pytest.mark.parametrize(("text", "seconds"), [("1h", 3600), ("2m", 120), ("3s", 3), ("1h2m3s", 3723), ("0s", 0)])
def test_a_duration_is_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5d", "1m1h", "-1s", "1.5h", "1s ", "1s\n", "٣s", "1" * 7 + "s", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


def test_a_suspended_request_says_so() -> None:
    assert parse_request(request_resource({"app": "a:b"}, suspend=True)).is_suspended
    assert not parse_request(request_resource({"app": "a:b"}, suspend=False)).is_suspended


# --- history


def stored(name: str, age: int, *, is_finished: bool = True, is_ours: bool = True) -> PromotionRequest:
    resource = request_resource({"app": "a:b"}, name)
    resource["metadata"]["creationTimestamp"] = _time(START - timedelta(minutes=age))
    if is_ours:
        resource["metadata"]["labels"] = owner_labels(OWNER)
    if is_finished:
        resource["status"] = {"finishedAt": _time(START)}
    return parse_request(resource)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


HISTORY = [stored(f"r{age}", age) for age in (3, 1, 5, 2, 4)]


@pytest.mark.parametrize(
    ("current", "limit", "gone"),
    [
        ("r1", 5, []),
        ("r1", 9, []),
        ("r1", 3, ["r5", "r4"]),
        ("r5", 3, ["r4", "r3"]),
        ("r1", 1, ["r5", "r4", "r3", "r2"]),
        ("new", 3, ["r5", "r4", "r3"]),
    ],
    ids=[
        "as many as the limit stay",
        "fewer than the limit stay",
        "the oldest go first",
        "the current one stays though it is the oldest",
        "only the current one stays",
        "a current one that is not among them counts",
    ],
)
def test_of_an_owners_requests_only_the_latest_are_kept(current: str, limit: int, gone: list[str]) -> None:
    assert [each.key.name for each in superseded(HISTORY, current, limit)] == gone


@pytest.mark.parametrize(
    "kept",
    [stored("kept", 9, is_finished=False), stored("kept", 9, is_ours=False)],
    ids=["still being worked on", "not made by the operator"],
)
def test_what_must_not_be_deleted_stays_however_old_it_is(kept: PromotionRequest) -> None:
    assert "kept" not in [each.key.name for each in superseded([kept, *HISTORY], "r1", 2)]


def test_requests_of_one_second_go_in_the_order_of_their_names() -> None:
    twins = [stored(name, 1) for name in ("b", "a", "c")]
    assert [each.key.name for each in superseded(twins, "current", 2)] == ["a", "b"]


def test_a_request_of_the_right_name_with_other_images_is_not_trusted() -> None:
    resource = request_for(workload(), IMAGES)
    resource["metadata"] |= {"uid": "u", "generation": 1, "creationTimestamp": "2026-03-01T12:00:00Z"}
    require_images(parse_request(resource), IMAGES[::-1])
    resource["spec"]["containers"][0]["image"] = "shop/other:v1"
    with pytest.raises(NeedsHuman, match="other images") as caught:
        require_images(parse_request(resource), IMAGES)
    assert caught.value.reason is Reason.INVALID_REQUEST
