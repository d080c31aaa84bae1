"""Lists of tags: read to their end, and never taken for shorter than they are."""

import json

import pytest

from registry.hostile import Answer, HostileServer, Seen, sized
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Tag
from transship.registry.repository import HttpRepository
from transship.registry.tags import MAX_PAGE_BYTES


def page(tags: object, **headers: str) -> Answer:
    return sized(json.dumps({"name": "shop/checkout", "tags": tags}).encode(), **headers)


def test_a_list_in_pages_is_read_to_its_end(hostile: HostileServer, victim: HttpRepository) -> None:
    def reply(seen: Seen) -> Answer:
        if "last=v2" in seen.path:
            return page(["v3"])
        return page(["v1", "v2"], Link='</v2/shop/checkout/tags/list?n=1000&last=v2>; rel="next"')

    hostile.reply = reply
    assert list(victim.list_tags()) == [Tag("v1"), Tag("v2"), Tag("v3")]


def test_where_the_next_page_is_said_to_be_is_not_where_it_is_asked_for(
    hostile: HostileServer, elsewhere: HostileServer, victim: HttpRepository
) -> None:
    link = f'<{elsewhere.url}/v2/other/tags/list?last=v1>; rel="next"'
    hostile.reply = lambda seen: page([]) if "last=v1" in seen.path else page(["v1"], Link=link)
    assert list(victim.list_tags()) == [Tag("v1")]
    assert elsewhere.seen == []
    assert all(seen.path.startswith("/v2/shop/checkout/tags/list?") for seen in hostile.seen)


@pytest.mark.parametrize("tags", [None, []], ids=["null", "empty"])
def test_a_repository_without_tags_has_none(tags: object, hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: page(tags)
    assert list(victim.list_tags()) == []


def test_a_repository_that_does_not_exist_has_none(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(b"", 404)
    assert list(victim.list_tags()) == []


def test_a_tag_that_nobody_could_name_is_left_out(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: page(["v1", "../../etc", "", 7, "v" * 200])
    assert list(victim.list_tags()) == [Tag("v1"), Tag("7")]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"tags": "v1"}', b'{"tags": {"v1": 1}}', b"[" * 100_000],
    ids=["nothing", "a page for people", "a list", "an object", "a string", "a mapping", "deep"],
)
def test_what_is_no_list_is_not_taken_for_an_empty_one(
    body: bytes, hostile: HostileServer, victim: HttpRepository
) -> None:
    hostile.reply = lambda _: sized(body)
    with pytest.raises(RetryLater) as caught:
        list(victim.list_tags())
    assert caught.value.reason is Reason.REGISTRY_ERROR


def test_a_list_that_does_not_end_is_given_up(
    hostile: HostileServer, victim: HttpRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transship.registry.tags.MAX_PAGES", 5)
    hostile.reply = lambda _: page(["v1"], Link='</v2/shop/checkout/tags/list?last=v1>; rel="next"')
    with pytest.raises(RetryLater) as caught:
        list(victim.list_tags())
    assert "does not end" in caught.value.message
    assert len(hostile.seen) == 5


def test_a_next_page_that_is_nowhere_is_not_the_end(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: page(["v1"], Link='<https://[broken?last=v1>; rel="next"')
    with pytest.raises(RetryLater):
        list(victim.list_tags())


def test_a_registry_names_its_own_place_in_the_list(hostile: HostileServer, victim: HttpRepository) -> None:
    link = '</v2/shop/checkout/tags/list?next_page=abc>; rel="next"'
    hostile.reply = lambda seen: page(["v2"]) if "next_page=abc" in seen.path else page(["v1"], Link=link)
    assert list(victim.list_tags()) == [Tag("v1"), Tag("v2")]


def test_a_page_that_is_too_large_is_refused(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(b" " * (MAX_PAGE_BYTES + 1))
    with pytest.raises(RetryLater) as caught:
        list(victim.list_tags())
    assert "too large" in caught.value.message


def test_who_may_not_list_is_told_so(hostile: HostileServer, victim: HttpRepository) -> None:
    hostile.reply = lambda _: sized(b'{"errors": [{"code": "DENIED"}]}', 403)
    with pytest.raises(NeedsHuman) as caught:
        list(victim.list_tags())
    assert (caught.value.reason, caught.value.step) == (Reason.DENIED, "list tags")
