"""What an edit has changed, found by reading the text before and after it: the edit's own word does not count."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from transship.errors import NeedsHuman
from transship.kustomization.documents import read_documents
from transship.kustomization.files import refused

# Every scalar as the text it is, so that 1.10 and 1.1 differ.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NOTHING: tuple[Any, ...] = ("", "~", "null", "Null", "NULL", None, [], {})


@dataclass(frozen=True, slots=True)
class Pair:
    """A value and what has become of it; None is no value."""

    before: str | None
    after: str | None


def added(fields: Mapping[str, str]) -> Pair:
    """An entry that was not there."""
    return Pair(None, _as_text(fields))


def require_only(before: str, after: str, expected: Sequence[Pair], file: str) -> None:
    """See that a text has changed in these values and in no other.

    Raises:
        NeedsHuman: InvalidRequest: it has, so it was not understood; nothing is to be written.
    """
    try:
        read_documents(after, file)
        seen = Counter(differences(list(yaml.load_all(before, _Loader)), list(yaml.load_all(after, _Loader))))
    except NeedsHuman:
        seen = None
    if seen != Counter(each for each in expected if each.before != each.after):
        raise refused(f"{file} is written in a way that is not edited safely; change it by hand")


def differences(before: Any, after: Any) -> Iterator[Pair]:
    """The values in which two contents differ, also inside of texts that are YAML."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key), after.get(key))
    elif isinstance(after, list) and (isinstance(before, list) or before in _NOTHING):
        old = before if isinstance(before, list) else []
        for at in range(max(len(old), len(after))):
            yield from differences(old[at] if at < len(old) else None, after[at] if at < len(after) else None)
    elif (inside := _inside(before, after)) is not None:
        yield from differences(*inside)
    else:
        yield Pair(_as_text(before), _as_text(after))


def _inside(before: Any, after: Any) -> tuple[Any, Any] | None:
    """What two texts of YAML say, such as inline patches; None if they are none."""
    if not (isinstance(before, str) and isinstance(after, str) and "\n" in before):
        return None
    try:
        return list(yaml.load_all(before, _Loader)), list(yaml.load_all(after, _Loader))
    except yaml.YAMLError:
        return None


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return repr(sorted(value.items())) if isinstance(value, Mapping) else repr(value)
