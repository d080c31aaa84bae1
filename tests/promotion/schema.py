"""What the API server would say of a status: the part of OpenAPI v3 that the custom resources use."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Schema = Mapping[str, Any]

_CRD = Path(__file__).parents[2] / "manifests" / "crd" / "promotionrequests.yaml"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "array": list, "object": dict, "boolean": bool}
_KNOWN_KEYWORDS = {
    *("type", "format", "description", "default", "required", "properties", "items", "enum", "pattern", "minimum"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations"),
}


@cache
def request_schema() -> Schema:
    """The schema of a PromotionRequest."""
    document = yaml.safe_load(_CRD.read_text())
    (version,) = document["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]["properties"]
    return schema


def status_schema() -> Schema:
    """The schema of a PromotionRequest's status."""
    status: Schema = request_schema()["status"]
    return status


def violations(schema: Schema, value: Any, path: str = "status") -> list[str]:
    """Everything in which a value breaks the schema; a field the schema does not know (and would prune) counts."""
    return list(_violations(schema, value, path))


def _violations(schema: Schema, value: Any, path: str) -> Iterator[str]:
    assert set(schema) <= _KNOWN_KEYWORDS, f"teach this module {set(schema) - _KNOWN_KEYWORDS}"
    if not isinstance(value, _TYPES[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
        yield f"{path} is {value!r}, not {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, none of {schema['enum']}"
    match value:
        case str():
            yield from _of_string(schema, value, path)
        case int():
            if value < schema.get("minimum", value):
                yield f"{path} is {value}"
        case list():
            yield from _of_list(schema, value, path)
        case dict():
            yield from _of_object(schema, value, path)


def _of_string(schema: Schema, value: str, path: str) -> Iterator[str]:
    if schema.get("format") == "date-time" and not _DATE_TIME.match(value):
        yield f"{path} {value!r} is not a date-time"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path} has {len(value)} characters"
    if not re.search(schema.get("pattern", ""), value):
        yield f"{path} {value[:80]!r} does not fit {schema['pattern']}"


def _of_list(schema: Schema, value: list[Any], path: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
        yield f"{path} has {len(value)} entries"
    for at, each in enumerate(value):
        yield from _violations(schema["items"], each, f"{path}[{at}]")
    keys = schema.get("x-kubernetes-list-map-keys", [])
    names = [tuple(each.get(key) for key in keys) for each in value]
    if keys and len(set(names)) < len(names):
        yield f"{path} has two entries of one name"


def _of_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name} is required" for name in schema.get("required", []) if name not in value)
    for name, content in value.items():
        below = schema["properties"].get(name)
        if below is None:
            yield f"{path}.{name} is not in the schema"
        else:
            yield from _violations(below, content, f"{path}.{name}")
