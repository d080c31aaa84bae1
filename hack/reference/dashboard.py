"""The Grafana dashboard, and docs/reference/dashboard.md, which lists its panels: both are written from `panels`."""

import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from reference.panels import ROWS, Look, Panel, Row
from reference.schemas import ROOT

DASHBOARD = ROOT / "manifests/monitoring/dashboard/transship.json"
PAGE = ROOT / "docs/reference/dashboard.md"
SCHEMA_VERSION = 41
"""Of the dashboard's JSON: Grafana 11.6's, which later ones bring up to date by themselves."""

_DOCUMENTS = "https://github.com/transship/transship/blob/main/docs"
_SEEN = 'namespace=~"$namespace", instance=~"$instance"'
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HEIGHTS = {Look.STAT: 4, Look.LINES: 8, Look.TEXT: 8}
_FULL = 24
_HEAD = """\
# The dashboard, panel by panel

<!-- Written by `make reference` from hack/reference/panels.py; change that and not this page. -->

What `manifests/monitoring/dashboard` shows in Grafana; [Monitoring](../how-to/monitoring.md) says how it gets there.
Every query is narrowed to the namespaces and instances that are chosen at the top, which is left out here.
"""


def files() -> Mapping[Path, str]:
    """The dashboard, and the page about it."""
    return {DASHBOARD: json.dumps(_dashboard(), indent=2) + "\n", PAGE: "\n".join([_HEAD, *_page()]) + "\n"}


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "transship",
        "title": "Transship",
        "description": "Promotions of container images: queue, outcomes, bytes, registries, gates.",
        "tags": ["transship"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_alerts()]},
        "links": [_link("Runbooks", "runbooks/index.md"), _link("Panels", "reference/dashboard.md")],
        "templating": {"list": [*_variables()]},
        "panels": [*_panels()],
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Transship.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{reason}}{{registry}}",
    }


def _link(title: str, page: str) -> dict[str, Any]:
    return {
        "title": title,
        "type": "link",
        "icon": "doc",
        "tooltip": "",
        "url": f"{_DOCUMENTS}/{page}",
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}
    chosen = "transship_build_info"
    for name in ("namespace", "instance"):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({chosen}, {name})",
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",  # also what has no such label, as it is scraped without an operator of Prometheus
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "hide": 0,
        }
        chosen = f'transship_build_info{{namespace=~"${name}"}}'


def _panels() -> Iterator[dict[str, Any]]:
    numbers, top = count(1), 0
    for row in ROWS:
        place = {"h": 1, "w": _FULL, "x": 0, "y": top}
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        top += 1
        for panel, left, line in _placed(row):
            height = _HEIGHTS[panel.look]
            place = {"h": height, "w": panel.width, "x": left, "y": top + line}
            yield {"id": next(numbers), "gridPos": place, **_panel(panel)}
        top += max(line + _HEIGHTS[panel.look] for panel, _, line in _placed(row))


def _placed(row: Row) -> Iterator[tuple[Panel, int, int]]:
    """Each panel with its place from the left, and from the top of its row."""
    left = line = 0
    for panel in row.panels:
        if left + panel.width > _FULL:
            left, line = 0, line + _HEIGHTS[panel.look]
        yield panel, left, line
        left += panel.width


def _panel(panel: Panel) -> dict[str, Any]:
    about = {"type": panel.look.value, "title": panel.title}
    if panel.look is Look.TEXT:
        return {**about, "options": {"mode": "markdown", "content": panel.shows}}
    return {
        **about,
        "description": panel.shows.replace("../", f"{_DOCUMENTS}/"),
        "datasource": _SOURCE,
        "targets": [*_targets(panel)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _STAT_OPTIONS if panel.look is Look.STAT else _LINES_OPTIONS,
    }


_STAT_OPTIONS = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "textMode": "auto",
    "wideLayout": True,
    "showPercentChange": False,
    "percentChangeColorMode": "standard",
}
_LINES_OPTIONS = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _targets(panel: Panel) -> Iterator[dict[str, Any]]:
    for number, (legend, query) in enumerate(panel.queries.items()):
        yield {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "expr": query.replace("SEEN", _SEEN),
            "legendFormat": legend or "__auto",
            "editorMode": "code",
            "instant": panel.look is Look.STAT,
            "range": panel.look is not Look.STAT,
        }


def _field(panel: Panel) -> dict[str, Any]:
    steps = [{"color": panel.first, "value": None}]
    steps += [{"color": color, "value": value} for value, color in panel.steps]  # type: ignore[dict-item]
    found: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "color": {"mode": "thresholds" if panel.look is Look.STAT else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.look is Look.LINES:
        found["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.is_stacked else 0,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        }
    return found


def _page() -> Iterator[str]:
    for row in ROWS:
        yield f"## {row.title}\n"
        for panel in row.panels:
            yield f"### {panel.title}\n"
            yield f"{panel.shows.strip()}\n"
            for legend, query in panel.queries.items():
                named = f"# {legend}\n" if legend and len(panel.queries) > 1 else ""
                yield f"```text\n{named}{_readable(query)}\n```\n"


def _readable(query: str) -> str:
    return query.replace("{SEEN}", "").replace("SEEN, ", "")
