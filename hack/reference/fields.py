"""docs/reference/fields.md: every field of the custom resources, from their definitions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from reference.schemas import CRDS, ROOT

PAGE = ROOT / "docs/reference/fields.md"
_FILES = (
    (CRDS / "promotionpolicies.yaml", "promotionpolicy.md"),
    (CRDS / "promotionrequests.yaml", "promotionrequest.md"),
    (ROOT / "manifests/gate/component/promotedimages.yaml", "promotedimages.md"),
)
_HEAD = """\
# Fields of the custom resources

<!-- Written by `make reference` from the custom resource definitions; change those and not this page. -->

What `kubectl explain` says, on one page. What happens with the fields is told on the pages of the kinds.
"""
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for file, told in _FILES for line in _kind(file.read_text("utf-8"), told))]) + "\n"


def _kind(text: str, told: str) -> Iterator[str]:
    definition = next(each for each in yaml.safe_load_all(text) if each["kind"] == "CustomResourceDefinition")
    names = definition["spec"]["names"]
    (version,) = definition["spec"]["versions"]
    also = f", short `{'`, `'.join(names['shortNames'])}`" if names.get("shortNames") else ""
    yield f"## {names['kind']}\n"
    group, scope = definition["spec"]["group"], definition["spec"]["scope"].lower()
    yield f"`{group}/{version['name']}`, {scope}{also}; [{names['kind']}]({told}).\n"
    yield "| field | type | | meaning |\n|---|---|---|---|"
    schema = version["schema"]["openAPIV3Schema"]
    for path, field, is_required in _fields(schema, ""):
        if path.split(".")[0] in {"spec", "status"}:
            cells = (
                f"`{path}`",
                _type(field),
                _bounds(field, is_required=is_required),
                _cell(field.get("description", "")),
            )
            yield f"| {' | '.join(cells)} |"
    yield ""


def _fields(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in schema.get("required", [])
        inner = field.get("items", field)
        yield from _fields(inner, f"{path}{'[]' if 'items' in field else ''}.")


def _type(field: Mapping[str, Any]) -> str:
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    return str(field.get("format", field["type"]))


def _bounds(field: Mapping[str, Any], *, is_required: bool) -> str:
    said = ["**required**"] if is_required else []
    default = field.get("default", "")
    if default != "":
        said.append(f"default `{json.dumps(default).strip(chr(34))}`")
    if "enum" in field:
        said.append(" or ".join(f"`{each}`" for each in field["enum"]))
    said += [text.format(field[word]) for word, text in _BOUNDS.items() if word in field]
    return ", ".join(said)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
