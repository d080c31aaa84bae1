"""A real Prometheus scrapes a real operator: rules and queries are made of what is there."""

import re
from typing import Any

from admission import pods
from endtoend.scene import POLICIES, Scene
from endtoend.waiting import eventually
from localworld.ledger import fault
from localworld.prometheus import Prometheus
from monitoring.queries import alerts, dashboard, of_dashboard

CHOSEN = {"$namespace": ".*", "$instance": ".*", "$__rate_interval": "1m", "$__range": "1h"}
"""What Grafana puts into queries when nothing is chosen."""


def filled(query: str) -> str:
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    return query


def rules(prometheus: Prometheus) -> dict[str, Any]:
    """What Prometheus says of each rule."""
    return {rule["name"]: rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}


def failing(prometheus: Prometheus) -> dict[str, Any]:
    """The alerts about failures that fire, by their reason: what earlier tests have left may be among them."""
    found = rules(prometheus)["TransshipPromotionFailing"]["alerts"]
    return {each["labels"]["reason"]: each for each in found if each["state"] == "firing"}


def test_a_promotion_that_fails_is_an_alert_and_one_that_succeeds_is_none(scene: Scene, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.query("transship_leader == 1"), "the operator is scraped")
    scene.request(scene.image(), name="good")
    scene.until_request("good", "Promoted")
    eventually(lambda: prometheus.query('transship_promotions_total{result="success"} > 0'), "the success is scraped")
    assert "Promoted" not in failing(prometheus)
    assert "TagDenied" not in failing(prometheus)

    policy = scene.policy_resource()["metadata"]["name"]
    scene.admin.patch(f"{POLICIES}/{policy}", {"spec": {"tags": {"deny": ["v9.*"]}}})
    scene.request(scene.image("v9.9.9"), name="bad")
    scene.until_request("bad", "Stalled", "TagDenied")

    alert = eventually(lambda: failing(prometheus).get("TagDenied"), "the alert fires")
    assert alert["annotations"]["summary"] == "Promotions fail: TagDenied."
    assert alert["annotations"]["description"].startswith("Requests have stalled with the reason TagDenied within")


def test_every_rule_can_be_evaluated(scene: Scene, prometheus: Prometheus) -> None:
    eventually(
        lambda: all(each["health"] == "ok" for each in rules(prometheus).values()), "all rules have been evaluated"
    )

    found = rules(prometheus)
    assert found.keys() == {each["alert"] for each in alerts()}
    assert {name: each.get("lastError", "") for name, each in found.items() if each["health"] != "ok"} == {}


def test_every_query_of_the_dashboard_has_an_answer(scene: Scene, prometheus: Prometheus) -> None:
    with fault(scene.world.registries, "status", action="BatchGetImage", status=500, times=0):
        scene.request(scene.image("v1.5.0"), name="later")
        scene.until_request("later", "Retrying", seconds=60)
    scene.until_request("later", "Promoted", seconds=90)
    scene.request(scene.image("v9.9.8"))
    scene.until_request("by-hand", "Stalled", "SourceMissing")

    namespace = f"/api/v1/namespaces/{scene.namespace}"
    scene.admin.patch(namespace, {"metadata": {"labels": {"transship.dev/admission": "enabled"}}})
    probe = pods.resource("elsewhere.example/probe:v1", name="probe")

    def all_answer() -> bool:
        pods.create(scene, probe, "?dryRun=All")
        silent = {title for title, query in of_dashboard() if not prometheus.query(filled(query))}
        assert not silent, silent
        return True

    eventually(all_answer, "panels have something to show", poll=1)
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
