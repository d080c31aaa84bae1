"""Patterns of repository names and tags: a grammar small enough to be read at a glance, and matched in one pass."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_GLOB_CHARACTERS = re.compile(r"[A-Za-z0-9._/*?-]{1,255}\Z")
_STARS = frozenset({"*", "**"})
_WILD = _STARS | {"?"}


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of repository names or tags.

    `*` stands for any run of characters within one path part, `**` for any run of characters, `?` for one character
    that is not a slash. Everything else stands for itself; there are no other special characters.
    """

    pattern: str
    _length: int = field(compare=False, repr=False)
    _places: Mapping[str, int] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, pattern: str) -> "Glob":
        """Parse a pattern.

        Raises:
            ValueError: it holds a character that no repository name or tag can have.
        """
        if not isinstance(pattern, str) or not _GLOB_CHARACTERS.match(pattern):
            raise ValueError(
                f"pattern {str(pattern)[:80]!r} may hold letters, digits and . _ / - * ? only, 1 to 255 of them"
            )
        return cls._of(pattern)

    @classmethod
    def _of(cls, pattern: str) -> "Glob":
        tokens = _tokens(pattern)
        places: dict[str, int] = {}
        for place, token in enumerate(tokens):
            places[token] = places.get(token, 0) | 1 << place
        return cls(pattern, len(tokens), places)

    def under(self, prefix: str) -> "Glob":
        """The same pattern behind a fixed prefix."""
        return self._of(prefix + self.pattern)

    def matches(self, text: str) -> bool:
        """Whether the whole text fits the pattern.

        All ways to match are followed at once, a bit for each place in the pattern that was reached. A regular
        expression would try them one after the other, and many stars could keep it busy for ever.
        """
        one, part, deep = (self._places.get(token, 0) for token in ("?", "*", "**"))
        reached = _past(part | deep, 1)
        for character in text:
            fixed = self._places.get(character, 0)
            single, run = (fixed, deep) if character == "/" else (fixed | one, part | deep)
            reached = _past(part | deep, (reached & single) << 1 | reached & run)
        return bool(reached >> self._length)

    def overlaps(self, other: "Glob") -> bool:
        """Whether some text matches both patterns."""
        return _meet(_tokens(self.pattern), _tokens(other.pattern))


def _past(stars: int, reached: int) -> int:
    # A star may stand for nothing; one step is enough because no star follows another.
    return reached | (reached & stars) << 1


def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple("**" if len(token) > 1 else token for token in re.findall(r"\*+|.", pattern))


def _meet(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether two token lists can produce the same text: a walk over pairs of positions, each seen once."""
    seen, waiting = {(0, 0)}, [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        if i == len(left) and j == len(right):
            return True
        for step in _steps(left, i, right, j):
            if step not in seen:
                seen.add(step)
                waiting.append(step)
    return False


def _steps(left: tuple[str, ...], i: int, right: tuple[str, ...], j: int) -> Iterator[tuple[int, int]]:
    a = left[i] if i < len(left) else ""
    b = right[j] if j < len(right) else ""
    if a in _STARS:
        yield i + 1, j
    if b in _STARS:
        yield i, j + 1
    if a and b and _share_a_character(a, b):
        yield (i if a in _STARS else i + 1), (j if b in _STARS else j + 1)


def _share_a_character(a: str, b: str) -> bool:
    if a in _WILD and b in _WILD:
        return True
    if a in _WILD:
        return b != "/" or a == "**"
    if b in _WILD:
        return a != "/" or b == "**"
    return a == b
