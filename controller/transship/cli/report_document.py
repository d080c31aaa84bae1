"""The report of `transship report -o json`: what the page shows, for programs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from transship import __version__
from transship.cli.report_sources import Report
from transship.promotion.overview import Row, Standing
from transship.promotion.status import format_time
from transship.promotion.trouble import Trouble, troubles


def document(report: Report) -> str:
    """The report for programs."""
    seen = report.overview
    fields = {
        "madeAt": format_time(report.made),
        "version": __version__,
        "origin": {_camel(word): text for word, text in report.facts},
        "counts": {_camel(each.value): seen.counts[each] for each in Standing},
        "requests": seen.requests,
        "leftOut": seen.left_out,
        "unreadable": seen.unreadable,
        "warnings": list(report.warnings),
        "troubles": [_trouble(each) for each in troubles(seen)],
        "images": [_image(each) for each in seen.rows],
        "policies": [_fields(each) for each in report.policies],
    }
    return f"{json.dumps(fields, indent=2)}\n"


def _image(row: Row) -> Mapping[str, Any]:
    return _fields(row) | {"standing": row.standing.value}


def _trouble(trouble: Trouble) -> Mapping[str, Any]:
    said = [
        _fields(point) | {"said": [{"image": image, "message": text} for image, text in point.said]}
        for point in trouble.points
    ]
    return _fields(trouble) | {"standing": trouble.standing.value, "points": said}


def _fields(value: Any) -> dict[str, Any]:
    pairs: Iterable[tuple[str, Any]] = ((name, getattr(value, name)) for name in type(value).__dataclass_fields__)
    return {_camel(name): format_time(each) if hasattr(each, "astimezone") else each for name, each in pairs}


def _camel(name: str) -> str:
    head, *rest = name.lower().replace("_", " ").split(" ")
    return head + "".join(part.title() for part in rest)
