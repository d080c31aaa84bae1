"""The dashboard is one that Grafana reads: by Grafana's own types, as Grafana itself is not to be had here."""

import json
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.queries import dashboard, of_dashboard

OF_PROMETHEUS = {f".annotations.list[0].{name}" for name in ("expr", "titleFormat", "textFormat")}
"""Fields of an annotation that its data source reads: the types know none of any data source's."""


def test_nothing_in_it_is_unknown_to_grafana() -> None:
    """What the types do not know is not written again."""
    written = dashboard()

    read = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))

    assert {each.partition(":")[0] for each in lost(written, read)} <= OF_PROMETHEUS


def lost(written: Any, read: Any, path: str = "") -> list[str]:
    """Where something that was written is not what was read; what is null was not written."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [
            each
            for name, value in written.items()
            if value is not None
            for each in lost(value, read.get(name), f"{path}.{name}")
        ]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [
            each
            for number, pair in enumerate(zip(written, read, strict=True))
            for each in lost(*pair, f"{path}[{number}]")
        ]
    return [] if written == read else [f"{path}: {written} became {read}"]


def test_panels_have_numbers_of_their_own_and_none_covers_another() -> None:
    panels = dashboard()["panels"]

    assert len({each["id"] for each in panels}) == len(panels)
    for one, other in combinations((each["gridPos"] for each in panels), 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below, (one, other)
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in panels)


@pytest.mark.parametrize("title", sorted({title for title, _ in of_dashboard()}))
def test_a_panel_shows_what_is_chosen_at_the_top(title: str) -> None:
    (panel,) = (each for each in dashboard()["panels"] if each["title"] == title)

    for target in panel["targets"]:
        assert 'namespace=~"$namespace", instance=~"$instance"' in target["expr"]
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["description"].endswith(".")


def test_what_is_scraped_without_such_labels_is_chosen_too() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}

    assert variables.keys() == {"datasource", "namespace", "instance"}
    assert all(variables[name]["allValue"] == ".*" for name in ("namespace", "instance"))
