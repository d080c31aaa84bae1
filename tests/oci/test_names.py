from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.oci.digest import Digest
from transship.oci.manifest import MANIFEST_TYPES, Manifest
from transship.oci.reference import Reference, Registry, Tag

HOSTS = st.from_regex(
    r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?){1,3}(:[1-9][0-9]{1,4})?", fullmatch=True
)
PATHS = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}){0,3}", fullmatch=True)
TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,30}", fullmatch=True)
DIGESTS = st.binary(max_size=4).flatmap(
    lambda content: st.sampled_from(["sha256", "sha512"]).map(lambda name: str(Digest.of(content, name)))
)


@given(HOSTS, PATHS, TAGS | st.none(), DIGESTS | st.none())
def test_a_reference_prints_as_it_was_written(host: str, path: str, tag: str | None, digest: str | None) -> None:
    if tag is None and digest is None:
        tag = "latest"
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = Reference.parse(text)
    assert str(reference) == text
    assert Reference.parse(str(reference)) == reference


@given(DIGESTS)
def test_a_digest_prints_as_it_was_written(text: str) -> None:
    assert str(Digest.parse(text)) == text


# Pieces that sit at the edges of the grammar, in any order, are nastier than random text.
HOSTILE = st.text() | st.lists(
    st.sampled_from(
        [
            "/",
            ":",
            "@",
            ".",
            "..",
            "-",
            "_",
            "sha256:",
            "sha512:" + "a" * 128,
            "a" * 64,
            "A",
            "[::1]",
            "%2e",
            "\n",
            "\0",
            "x",
        ]
    ),
    max_size=12,
).map("".join)


@given(HOSTILE, st.sampled_from([Reference.parse, Digest.parse, Registry.parse, Tag.parse]))
def test_hostile_text_is_a_value_or_a_value_error_and_nothing_else(text: str, parse: Callable[[str], object]) -> None:
    with suppress(ValueError):
        assert str(parse(text)).isprintable()


@pytest.mark.parametrize(
    "text",
    ["", "a/UPPER", "a//b", "a/b:", "a/b@sha256:short", "https://a/b", "a/../b", "a/b:tag@", "a/b@md5:" + "0" * 32],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Reference.parse(text)


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode))
def test_hostile_manifest_bytes_are_a_value_error_or_an_empty_index(content: bytes) -> None:
    with suppress(ValueError):
        # What does parse says that it holds nothing: none of these bytes name a descriptor.
        assert Manifest.parse(content, MANIFEST_TYPES[0], Digest.of(content)).children == ()


def test_a_deeply_nested_document_is_a_value_error() -> None:
    content = b"[" * 200_000
    with pytest.raises(ValueError, match="not JSON"):
        Manifest.parse(content, MANIFEST_TYPES[0], Digest.of(content))
