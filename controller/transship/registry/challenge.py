"""What a registry says it wants to see: the WWW-Authenticate header (RFC 9110, 11.3 to 11.6.1).

The header is a list of challenges, whose parameters are a list with the same comma; whether a comma ends a challenge
is seen only behind it. Reading stops at the first thing that is not grammar, and the challenge it is in is dropped.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_CHARACTERS = 8192
"""More of a header is not read."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of RFC 9110, 5.6.2
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_END = r"[ \t]*(?=,|\Z)"
_GAP = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED}){_END}")
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|\Z)")
_TOKEN68 = re.compile(rf" +[A-Za-z0-9._~+/-]+=*{_END}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One of the ways a registry offers to be asked; scheme and names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a header, in its order; those of several headers when they are joined by commas.

    A challenge that names a parameter twice is left out: nobody can say which of the two is meant.
    """
    return tuple(Challenge(scheme, dict(found)) for scheme, found in _read(header[:MAX_CHARACTERS]) if _is_clear(found))


def _read(header: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    scheme, found = "", list[tuple[str, str]]()
    position = _skip(header, 0)
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        if parameter and scheme:
            found.append((parameter[1].lower(), _value(parameter[2])))
            position = _skip(header, parameter.end())
            continue
        named = _SCHEME.match(header, position)
        if named is None:
            return
        if scheme:
            yield scheme, found
        scheme, found = named[1].lower(), []
        end = named.end()
        token68 = _TOKEN68.match(header, end)
        position = _skip(header, token68.end() if token68 else end)
    if scheme:
        yield scheme, found


def _skip(header: str, position: int) -> int:
    gap = _GAP.match(header, position)
    return gap.end() if gap else position


def _value(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _is_clear(found: list[tuple[str, str]]) -> bool:
    return len({name for name, _ in found}) == len(found)
