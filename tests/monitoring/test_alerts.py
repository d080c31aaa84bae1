"""Alerts fire when they should, say what to do, and lead to a page that says more."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from localworld.paths import REPOSITORY
from monitoring.queries import RULES, alerts, every, grouped, metrics
from transship.metrics.families import FAMILIES, PREFIX, Kind

CASES = sorted(Path(__file__).parent.glob("*.yaml"))
RUNBOOKS = REPOSITORY / "docs/runbooks"
ALERTS = {rule["alert"]: rule for rule in alerts()}
OF_TARGETS = {"cluster", "namespace", "job", "instance"}
"""Labels that whoever scrapes gives to everything."""
NOT_OURS = {
    # Of the API server.
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_rejection_count": {"name", "type", "operation", "error_type", "rejection_code"},
    "process_resident_memory_bytes": set(),  # of prometheus-client
    "process_cpu_seconds_total": set(),
}
SECTIONS = ["What it means", "Look", "Do", "What heals by itself"]


def known() -> dict[str, set[str]]:
    """Every metric that may be asked for, with its labels."""
    found: dict[str, set[str]] = dict(NOT_OURS)
    for family in FAMILIES:
        if family.kind is Kind.HISTOGRAM:
            found[f"{PREFIX}{family.name}_bucket"] = {*family.labels, "le"}
        else:
            found[family.full_name] = set(family.labels)
    return found


def fired(sample: str) -> str:
    (name,) = re.findall(r'alertname="(\w+)"', sample)
    return str(name)


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: Callable[..., str]) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


@pytest.mark.parametrize("cases", CASES, ids=lambda each: each.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool: Callable[..., str], cases: Path) -> None:
    promtool("test", "rules", str(cases))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_does_not_fire_is_found_by_its_case(
    promtool: Callable[..., str], tmp_path: Path, alert: str
) -> None:
    """The cases can fail: with an alert that is never true, the one in which it fires does."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"] if rule["alert"] == alert):
        rule["expr"] = f"({rule['expr']}) and vector(1) > 2"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (cases,) = (each for each in CASES if f'"{alert}"' in each.read_text())
    changed = {**yaml.safe_load(cases.read_text()), "rule_files": ["rules.yaml"]}
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(changed))

    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", str(tmp_path / "cases.yaml"))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_case_in_which_it_does_not_fire_at_first(alert: str) -> None:
    cases = [case for file in CASES for case in yaml.safe_load(file.read_text())["tests"]]
    looks = [[{fired(each["labels"]) for each in look["exp_samples"]} for look in _looks(case)] for case in cases]

    assert any({alert} in case and any(alert not in fired for fired in case) for case in map(_as_sets, looks))


def _looks(case: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(case["promql_expr_test"], key=lambda look: int(look["eval_time"].removesuffix("m")))


def _as_sets(looks: list[set[str]]) -> list[set[str]]:
    return [{name} for fired in looks for name in fired] + [fired for fired in looks if not fired]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_in_one_sentence_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    told = rule["annotations"]

    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert told.keys() == {"summary", "description", "runbook_url"}
    for text in (told["summary"], told["description"]):
        assert re.fullmatch(r"[^\n]+[.]", text)
    assert len(re.findall(r"[.] [A-Z]", told["description"])) == 0, "it is one sentence"
    assert told["runbook_url"] == f"https://github.com/transship/transship/blob/main/docs/runbooks/{alert}.md"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {each.stem for each in RUNBOOKS.glob("*.md")} == {*ALERTS, "index"}

    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", (RUNBOOKS / "index.md").read_text(), re.MULTILINE)
    assert listed == [(name, name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_says_what_it_means_where_to_look_what_to_do_and_what_heals(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text()

    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert "```console\n$ " in text, "it has a command to type"


@pytest.mark.parametrize("purpose", every())
def test_what_is_asked_for_is_counted_with_these_labels(purpose: str) -> None:
    query = every()[purpose]
    asked = metrics(query)
    families = known()

    assert asked
    for name, labels in asked:
        assert name in families, name
        assert labels <= families[name] | OF_TARGETS, name
    assert grouped(query) <= OF_TARGETS.union(*(families[name] for name, _ in asked))
