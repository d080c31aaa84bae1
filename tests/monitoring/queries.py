"""The expressions of alerts and dashboard, and what they name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from localworld.paths import REPOSITORY

RULES = REPOSITORY / "manifests/monitoring/rules.yaml"
DASHBOARD = REPOSITORY / "manifests/monitoring/dashboard/transship.json"
_METRIC = re.compile(r"\b((?:transship|apiserver|process)_[a-z_]+)(?:\{([^}]*)\})?")


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    return dict(json.loads(DASHBOARD.read_text()))


def of_dashboard() -> Iterator[tuple[str, str]]:
    """The title of a panel with each of its queries."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def every() -> dict[str, str]:
    """All of them by what they are for."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in alerts()}
    for number, (title, query) in enumerate(of_dashboard()):
        found[f"panel {title} ({number})"] = query
    return found


def metrics(query: str) -> list[tuple[str, set[str]]]:
    """Each metric of an expression, with the labels by which its series are chosen."""
    return [
        (name, set(re.findall(r"(\w+) *[=!]", re.sub(r'"[^"]*"', '""', chosen))))
        for name, chosen in _METRIC.findall(query)
    ]


def grouped(query: str) -> set[str]:
    """The labels that an expression adds up by."""
    return {
        name.strip() for names in re.findall(r"\b(?:by|on) *\(([^)]*)\)", query) for name in names.split(",") if name
    }
