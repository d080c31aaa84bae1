import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.registry.challenge import MAX_CHARACTERS, Challenge, challenges

TOKENS = st.text(string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
CHALLENGES = st.builds(Challenge, TOKENS, st.dictionaries(TOKENS, TEXTS, max_size=4))
GAPS = st.sampled_from(["", " ", "\t", "  "])


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("Negotiate", [Challenge("negotiate")]),
        (
            'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example.com/token",
                        "service": "registry",
                        "scope": "repository:a:pull,push",
                    },
                )
            ],
        ),
        ('BASIC Realm = "a \\"b\\" \\\\ c"', [Challenge("basic", {"realm": 'a "b" \\ c'})]),
        ("Basic realm=plain , charset=UTF-8", [Challenge("basic", {"realm": "plain", "charset": "UTF-8"})]),
        (
            'Negotiate YWJj==, Basic realm="a", , Bearer realm="b", service="c"',
            [
                Challenge("negotiate"),
                Challenge("basic", {"realm": "a"}),
                Challenge("bearer", {"realm": "b", "service": "c"}),
            ],
        ),
        ('Basic, Bearer realm="b"', [Challenge("basic"), Challenge("bearer", {"realm": "b"})]),
    ],
)
def test_challenges_are_read_as_the_standard_has_them(header: str, expected: list[Challenge]) -> None:
    assert list(challenges(header)) == expected


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="https://a.example.com/',
        'Bearer realm="a" service="b"',
        'Bearer realm="a\nb"',
        'realm="a"',
        'Bearer realm="a",realm="b"',
        "Bearer realm=,service=",
        "=",
        '"',
    ],
)
def test_what_is_not_grammar_or_has_two_meanings_is_no_challenge(header: str) -> None:
    assert not challenges(header)


def test_what_came_whole_before_something_broken_counts() -> None:
    assert challenges('Basic realm="a", Bearer realm="b') == (Challenge("basic", {"realm": "a"}),)


@given(st.lists(CHALLENGES, min_size=1, max_size=4), GAPS, GAPS)
def test_reading_what_was_written_gives_the_same(written: list[Challenge], before: str, after: str) -> None:
    def text(each: Challenge) -> str:
        parameters = [f"{name}{before}={after}{quoted(value)}" for name, value in each.parameters.items()]
        return f"{each.scheme} {f'{before},{after}'.join(parameters)}".rstrip()

    header = ", ".join(map(text, written))
    assert list(challenges(header)) == written


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    challenges(text)


def test_an_endless_header_costs_no_more_than_its_beginning() -> None:
    assert len(challenges("a " * 1_000_000)) <= MAX_CHARACTERS
