"""A real Prometheus scrapes a real operator: rules and queries are made of what is there."""

import re
from typing import Any

from endtoend.scene import Scene
from endtoend.waiting import eventually
from localworld.prometheus import Prometheus
from monitoring.queries import alerts, dashboard, of_dashboard

CHOSEN = {"$namespace": ".*", "$instance": ".*", "$__rate_interval": "1m", "$__range": "1h"}
"""What Grafana puts into queries when nothing is chosen."""
NOTHING_YET = {
    "Pods the webhook was asked about": "there is no webhook",
    "Attempts that have to wait, by reason": "nothing stands in the way",
}


def filled(query: str) -> str:
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    return query


def rules(prometheus: Prometheus) -> dict[str, Any]:
    """What Prometheus says of each rule."""
    return {rule["name"]: rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}


def test_a_promotion_that_fails_is_an_alert_and_one_that_succeeds_is_none(scene: Scene, prometheus: Prometheus) -> None:
    """The first of this file: alerts about failures last for a quarter of an hour."""
    eventually(lambda: prometheus.query("transship_leader == 1"), "the operator is scraped")
    scene.request(scene.image(), name="good")
    scene.until_request("good", "Promoted")
    eventually(lambda: prometheus.query('transship_promotions_total{result="success"} > 0'), "the success is scraped")
    assert rules(prometheus)["TransshipPromotionFailing"]["state"] == "inactive"

    scene.request(scene.image("v9.9.9"), name="bad")
    scene.until_request("bad", "Stalled", "SourceMissing")

    def firing() -> dict[str, Any]:
        return {name: rule for name, rule in rules(prometheus).items() if rule["state"] == "firing"}

    eventually(firing, "the alert fires")
    assert firing().keys() == {"TransshipPromotionFailing"}
    (alert,) = firing()["TransshipPromotionFailing"]["alerts"]
    assert alert["labels"]["reason"] == "SourceMissing"
    assert alert["annotations"]["summary"] == "Promotions fail: SourceMissing."
    assert alert["annotations"]["description"].startswith("Requests have stalled with the reason SourceMissing within")


def test_every_rule_can_be_evaluated(scene: Scene, prometheus: Prometheus) -> None:
    eventually(
        lambda: all(each["health"] == "ok" for each in rules(prometheus).values()), "all rules have been evaluated"
    )

    found = rules(prometheus)
    assert found.keys() == {each["alert"] for each in alerts()}
    assert {name: each.get("lastError", "") for name, each in found.items() if each["health"] != "ok"} == {}


def test_every_query_of_the_dashboard_has_an_answer(scene: Scene, prometheus: Prometheus) -> None:
    scene.deploy(scene.image("v1.5.0"))
    scene.until_request(scene.request_for("checkout")["metadata"]["name"], "Promoted")
    scene.request(scene.image("v9.9.8"))
    scene.until_request("by-hand", "Stalled", "SourceMissing")

    def all_but_these_answer() -> bool:
        silent = {title for title, query in of_dashboard() if not prometheus.query(filled(query))}
        assert silent <= NOTHING_YET.keys(), silent
        return True

    eventually(all_but_these_answer, "panels have something to show", poll=1)
    assert not any("$" in filled(query) for _, query in of_dashboard())
    answers = {title: prometheus.query(filled(query)) for title, query in of_dashboard()}
    assert answers["Active replicas"][0]["value"][1] == "1"
    reasons = {each["metric"]["reason"] for each in answers["Outcomes by reason"]}
    assert reasons >= {"Promoted", "SourceMissing"}
    silence = float(answers["Silence of the watch"][0]["value"][1])
    assert 0 <= silence < 20


def test_a_legend_names_labels_that_the_answer_has(scene: Scene, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.query("transship_leader == 1"), "the operator is scraped")
    for panel in _panels():
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for each in prometheus.query(filled(target["expr"])):
                assert wanted == set(each["metric"]), panel["title"]


def _panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each.get("targets")]
