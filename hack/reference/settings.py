"""docs/reference/settings.md: every environment variable the processes read, with its default and bounds."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reference.schemas import ROOT
from transship.settings import Settings

PAGE = ROOT / "docs/reference/settings.md"
_HEAD = """\
# Settings

<!-- Written by `make reference` from transship.settings; change that and not this page. -->

Environment variables of `transship operator` and `transship admission`. What may be promoted is not among them: that is
a [PromotionPolicy](promotionpolicy.md). A value that cannot be used ends the process at its start with one sentence
for each; `transship settings` prints what a process would use. Times are in seconds.

| variable | default | | meaning |
|---|---|---|---|
"""
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    prefix = Settings.model_config["env_prefix"]
    for name, schema in Settings.model_json_schema()["properties"].items():
        default = json.dumps(schema["default"]) if "default" in schema else ""
        shown = f"`{default.strip(chr(34))}`" if default not in {'""', "[]", "null", ""} else ""
        meaning = schema.get("description", "").replace("|", "\\|")
        yield f"| `{prefix}{name.upper()}` | {shown} | {_shape(schema)} | {meaning} |"


def _shape(schema: Mapping[str, Any]) -> str:
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    (kind,) = kinds
    if "enum" in kind:
        return " or ".join(f"`{each}`" for each in kind["enum"])
    if kind["type"] == "boolean":
        return "`true` or `false`"
    return ", ".join(text.format(kind[word]) for word, text in _BOUNDS.items() if word in kind)
