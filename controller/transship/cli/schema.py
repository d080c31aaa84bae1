"""What is wrong with a PromotionPolicy's shape: the API server's rules, told without one.

The schema is generated from the custom resource definition (`make reference`). Of JSON Schema only that much is
understood as it uses.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from transship.promotion.duration import parse_duration

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]
LONGEST, RULE = "x-transship-longest-seconds", "x-transship-rule"
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "array": list, "object": dict, "boolean": bool}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """A place, and what is wrong there."""

    path: Path
    message: str

    @property
    def where(self) -> str:
        """The place as people write it: spec.repositories[0]."""
        return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.path).removeprefix(".")


@cache
def policy_schema() -> Schema:
    """The schema of a PromotionPolicy."""
    text = files("transship.cli").joinpath("promotionpolicy.schema.json").read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


def violations(schema: Schema, value: Any, path: Path = ()) -> Iterator[Violation]:
    """Everything in which a value breaks a schema."""
    if "const" in schema and value != schema["const"]:
        yield Violation(path, f"must be {schema['const']}")
        return
    kind = _TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield Violation(path, f"is {_shown(value)}, and must be of type {schema['type']}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Violation(path, f"is {_shown(value)}, and must be one of {', '.join(map(str, schema['enum']))}")
    match value:
        case str():
            yield from _of_text(schema, value, path)
        case list():
            yield from _of_list(schema, value, path)
        case dict():
            yield from _of_object(schema, value, path)


def _of_text(schema: Schema, value: str, path: Path) -> Iterator[Violation]:
    yield from _of_length(schema, len(value), path, "Length", "characters")
    if not re.search(schema.get("pattern", ""), value):
        yield Violation(path, f"is {_shown(value)}, which does not fit {schema['pattern']}")
    elif LONGEST in schema and parse_duration(value) > schema[LONGEST]:
        yield Violation(path, f"is {value}, and must be at most {schema[LONGEST] // 3600}h")


def _of_list(schema: Schema, value: list[Any], path: Path) -> Iterator[Violation]:
    yield from _of_length(schema, len(value), path, "Items", "entries")
    seen: set[str] = set()
    for at, each in enumerate(value):
        yield from violations(schema.get("items", {}), each, (*path, at))
        text = json.dumps(each, sort_keys=True, default=str) if schema.get("uniqueItems") else ""
        if text and text in seen:
            yield Violation((*path, at), f"is {_shown(each)} once more")
        seen.add(text)


def _of_object(schema: Schema, value: dict[Any, Any], path: Path) -> Iterator[Violation]:
    yield from _of_length(schema, len(value), path, "Properties", "entries")
    for name in schema.get("required", ()):
        if name not in value:
            yield Violation(path, f"lacks {name}")
    if not _keeps_rule(schema, value):
        yield Violation(path, schema[RULE])
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, content in value.items():
        below = (*path, str(name))
        yield from violations(schema.get("propertyNames", {}), name, below)
        if name in known:
            yield from violations(known[name], content, below)
        elif others is False:
            yield Violation(below, f"is not a field; there are {', '.join(known)}")
        elif isinstance(others, dict):
            yield from violations(others, content, below)


def _keeps_rule(schema: Schema, value: Any) -> bool:
    """Whether what depends on several fields is as it should be."""
    if "anyOf" in schema and not any(_fits(each, value) for each in schema["anyOf"]):
        return False
    if "if" not in schema:
        return True
    return _fits(schema.get("then" if _fits(schema["if"], value) else "else", {}), value)


def _fits(schema: Schema, value: Any) -> bool:
    return next(violations(schema, value), None) is None


def _of_length(schema: Schema, length: int, path: Path, keyword: str, unit: str) -> Iterator[Violation]:
    least, most = schema.get(f"min{keyword}", 0), schema.get(f"max{keyword}", length)
    if not least <= length <= most:
        allowed = f"at least {least}" if length < least else f"at most {most}"
        yield Violation(path, f"has {length} {unit}, and must have {allowed}")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
