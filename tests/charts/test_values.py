"""What a value does, one by one, where kustomize has nothing to compare it with."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from charts.chart import CHART, NAMESPACE, Helm, HelmError, Resource, env, find, pod

DIGEST = f"sha256:{'5' * 64}"


def image(helm: Helm, **values: Any) -> str:
    return str(pod(helm.template({"image": values}))["containers"][0]["image"])


def test_a_digest_wins_over_a_tag(one_helm: Helm) -> None:
    assert image(one_helm, repository="r.example.com/t", tag="v2") == "r.example.com/t:v2"
    assert image(one_helm, repository="r.example.com/t", tag="v2", digest=DIGEST) == f"r.example.com/t@{DIGEST}"


@pytest.mark.parametrize(
    ("value", "variable"),
    [
        ("debug", "debug"),
        (12000000, "12000000"),
        (0.5, "0.5"),
        (True, "true"),
        ({"a.example.com": "b<c"}, '{"a.example.com":"b<c"}'),
    ],
)
def test_a_setting_is_written_as_the_operator_reads_it(one_helm: Helm, value: Any, variable: str) -> None:
    rendered = one_helm.template({"settings": {"TRANSSHIP_REGISTRY_CONNECT": value} if isinstance(value, dict) else {}})
    name = "TRANSSHIP_REGISTRY_CONNECT"
    if not isinstance(value, dict):
        name = "TRANSSHIP_LOG_LEVEL"
        rendered = one_helm.template({"settings": {name: value}})

    assert env(rendered)[name] == variable


def test_another_name_and_namespace_leave_nothing_of_the_first(one_helm: Helm) -> None:
    parts = {"admission": {"enabled": True}, "gate": {"enabled": True}, "waitingPods": {"enabled": True}}
    rendered = one_helm.template({"fullnameOverride": "delivery", **parts}, namespace="ci")
    kinds = [each for each in rendered if each["kind"] != "CustomResourceDefinition"]
    rules = find(rendered, "Role", "delivery-leader")["rules"]
    policy = find(rendered, "ValidatingAdmissionPolicy", "delivery-promotedimages")
    (admission,) = pod(rendered, "delivery-admission")["containers"]

    assert {each["metadata"]["name"].partition("-")[0] for each in kinds} == {"delivery"}
    assert {each["metadata"].get("namespace", "ci") for each in kinds} == {"ci"}
    assert "transship-system" not in str(kinds)
    assert [rule["resourceNames"] for rule in rules if "resourceNames" in rule] == [["delivery"]]
    assert env(rendered, "delivery")["TRANSSHIP_LEASE_NAME"] == "delivery"
    assert policy["spec"]["variables"][0]["expression"] == "'system:serviceaccount:ci:delivery'"
    assert admission["args"] == [
        "admission",
        "--secret=delivery-admission-tls",
        "--configuration=delivery-admission",
        "--name=delivery-admission.ci.svc",
        "--name=delivery-admission.ci.svc.cluster.local",
    ]
    names = find(rendered, "ClusterRole", "delivery-admission-certificate")["rules"][0]["resourceNames"]
    assert names == ["delivery-admission"]


def test_exempt_references_become_a_list_in_the_policy(one_helm: Helm) -> None:
    rendered = one_helm.template({"gate": {"enabled": True, "exempt": ["registry.k8s.io/", "quay.io/istio/"]}})

    policy = find(rendered, "ValidatingAdmissionPolicy", "transship-gate")
    exempt = {"name": "exempt", "expression": '["registry.k8s.io/","quay.io/istio/"]'}
    assert policy["spec"]["variables"][0] == exempt


@pytest.mark.parametrize(("values", "kept"), [({}, {"helm.sh/resource-policy": "keep"}), ({"keep": False}, None)])
def test_definitions_are_kept_unless_one_says_otherwise(
    one_helm: Helm, values: dict[str, Any], kept: dict[str, str] | None
) -> None:
    definition = find(
        one_helm.template({"crds": values}), "CustomResourceDefinition", "promotionrequests.transship.dev"
    )

    assert definition["metadata"].get("annotations") == kept


def test_without_definitions_rights_or_accounts_none_are_rendered(one_helm: Helm) -> None:
    rendered = one_helm.template(
        {
            "crds": {"enabled": False},
            "rbac": {"create": False, "people": False},
            "serviceAccount": {"create": False},
            "networkPolicy": {"enabled": False},
            "podDisruptionBudget": {"enabled": False},
        }
    )

    assert sorted(each["kind"] for each in rendered) == ["Deployment", "Service"]
    assert pod(rendered)["serviceAccountName"] == "default"


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://proxy:3128", 3128), ("http://proxy.example.com:8080/", 8080), ("https://proxy.example.com/", 443)],
)
def test_the_port_of_a_proxy_is_let_out(one_helm: Helm, url: str, port: int) -> None:
    policy = find(one_helm.template({"proxy": {"https": url}}), "NetworkPolicy")

    assert policy["spec"]["egress"][-1] == {"ports": [{"port": port, "protocol": "TCP"}]}


def test_a_proxy_out_of_a_secret_is_let_out_and_goes_around_the_api_server_as_any_other(one_helm: Helm) -> None:
    given = {"secret": "way-out", "key": "url", "port": 8443, "noProxy": [".example.com"]}
    by_secret = one_helm.template({"proxy": given, "admission": {"enabled": True}})
    by_url = one_helm.template({"proxy": {"https": "http://p:8443", "noProxy": [".example.com"]}})

    for name in ("transship", "transship-admission"):
        (container,) = pod(by_secret, name)["containers"]
        (found,) = (each for each in container["env"] if each["name"] == "HTTPS_PROXY")
        assert found == {
            "name": "HTTPS_PROXY",
            "valueFrom": {"secretKeyRef": {"name": "way-out", "key": "url"}},
        }
        assert env(by_secret, name)["NO_PROXY"] == env(by_url)["NO_PROXY"]
        egress = find(by_secret, "NetworkPolicy", name)["spec"]["egress"]
        assert egress == find(by_url, "NetworkPolicy")["spec"]["egress"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"proxy": {"https": "http://p:1", "secret": "p"}}, "proxy.https and proxy.secret both name the proxy"),
        ({"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://p:1"}]}, "HTTPS_PROXY is no variable for extraEnv"),
        ({"extraEnv": [{"name": "no_proxy", "value": "*"}]}, "no_proxy is no variable for extraEnv"),
    ],
)
def test_a_proxy_is_given_in_one_way(one_helm: Helm, values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=words):
        one_helm.template(values)


@pytest.mark.parametrize(
    "values",
    [
        {"proxy": {"https": "http://proxy.example.com"}},
        {"proxy": {"secret": "p", "port": 80}},
        {"proxy": {"http": "http://p:80"}},
        {"networkPolicy": {"egressPorts": [443, 80]}},
    ],
)
def test_port_80_is_let_out_everywhere_but_to_the_metadata_of_the_node(one_helm: Helm, values: dict[str, Any]) -> None:
    egress = find(one_helm.template(values), "NetworkPolicy")["spec"]["egress"]

    (plain,) = (rule for rule in egress if 80 in [each["port"] for each in rule["ports"]])
    blocks = [each["ipBlock"] for each in plain["to"] if "ipBlock" in each]
    assert {"namespaceSelector": {}} in plain["to"]
    for metadata, everything in (("169.254.169.254", "0.0.0.0/0"), ("fd00:ec2::254", "::/0")):
        (block,) = (each for each in blocks if each["cidr"] == everything)
        assert any(ip_address(metadata) in ip_network(each) for each in block["except"])


def test_who_may_come_in_can_be_limited(one_helm: Helm) -> None:
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    server = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    values = {"networkPolicy": {"metricsFrom": prometheus, "webhookFrom": server}, "admission": {"enabled": True}}

    policy = find(one_helm.template(values), "NetworkPolicy", "transship-admission")

    assert [(rule["ports"][0]["port"], rule["from"]) for rule in policy["spec"]["ingress"]] == [
        (8443, server),
        (8080, prometheus),
    ]


def test_both_pods_get_what_is_for_both(one_helm: Helm) -> None:
    values = {
        "admission": {"enabled": True},
        "image": {"pullSecrets": ["pull"], "pullPolicy": "Always"},
        "extraEnv": [{"name": "AWS_REGION", "value": "eu-west-1"}],
        "podSecurityContext": {"runAsUser": None},
        "settings": {"TRANSSHIP_LOG_LEVEL": "debug"},
        "commonLabels": {"team": "platform"},
    }
    rendered = one_helm.template(values)

    for name in ("transship", "transship-admission"):
        found = pod(rendered, name)
        assert found["imagePullSecrets"] == [{"name": "pull"}]
        assert found["containers"][0]["imagePullPolicy"] == "Always"
        assert "runAsUser" not in found["securityContext"]
        assert env(rendered, name).items() >= {("AWS_REGION", "eu-west-1"), ("TRANSSHIP_LOG_LEVEL", "debug")}
    assert {each["metadata"]["labels"]["team"] for each in rendered} == {"platform"}


def test_each_deployment_is_scheduled_by_its_own_values(one_helm: Helm) -> None:
    toleration = {"key": "platform", "operator": "Exists"}
    own = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [toleration],
        "priorityClassName": "system-cluster-critical",
    }
    rendered = one_helm.template({"admission": {"enabled": True, **own}})

    operator, admission = pod(rendered), pod(rendered, "transship-admission")

    assert admission["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "system"}
    assert (admission["tolerations"], admission["priorityClassName"]) == ([toleration], "system-cluster-critical")
    assert "tolerations" not in operator
    assert operator["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_further_objects_are_rendered_as_templates(one_helm: Helm) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}"
    tree = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-tree"}}

    rendered = one_helm.template({"extraObjects": [text, tree]})

    assert {each["metadata"]["name"] for each in rendered if each["kind"] == "ConfigMap"} == {
        "transship-text",
        "transship-tree",
    }


def test_an_issuer_of_your_own_takes_the_place_of_ours(one_helm: Helm) -> None:
    issuer = {"name": "platform", "kind": "ClusterIssuer"}
    values = {"admission": {"enabled": True, "certificate": {"by": "cert-manager", "issuerRef": issuer}}}

    rendered = one_helm.template(values)

    assert [each["kind"] for each in rendered if each["apiVersion"] == "cert-manager.io/v1"] == ["Certificate"]
    assert find(rendered, "Certificate", "transship-admission")["spec"]["issuerRef"] == issuer


def test_alerts_and_the_dashboard_have_labels_by_which_they_are_found(one_helm: Helm) -> None:
    rendered = one_helm.template(
        {
            "monitoring": {
                "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
                "dashboard": {
                    "enabled": True,
                    "labels": {"grafana_dashboard": None, "dashboards": "platform"},
                    "annotations": {"grafana_folder": "Platform"},
                },
            }
        }
    )

    rules = find(rendered, "PrometheusRule")
    dashboard = find(rendered, "ConfigMap", "transship-dashboard")["metadata"]
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    assert dashboard["labels"]["dashboards"] == "platform"
    assert "grafana_dashboard" not in dashboard["labels"]
    assert dashboard["annotations"] == {"grafana_folder": "Platform"}


class Strict(yaml.SafeLoader):
    """Reads no document that says one thing twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), sorted(key for key in keys if keys.count(key) > 1)
        return super().construct_mapping(node, deep)


def strictly(helm: Helm, values: Any, release: str, namespace: str) -> list[Resource]:
    place = (f"--namespace={namespace}", "--kube-version=1.34.4")
    text = helm.run("template", release, str(CHART), *place, values=values)
    return [each for each in yaml.load_all(text, Strict) if each]


def names(node: Any) -> Iterator[Any]:
    """Every value of a key that names something, and of every label and selector."""
    if isinstance(node, list):
        for each in node:
            yield from names(each)
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"matchLabels", "labels"} or (key == "selector" and not isinstance(value, list)):
                yield from (each for each in value.values() if not isinstance(each, dict))
            if key.lower().endswith("name") or key in {"namespace", "image", "value"}:
                yield value
            yield from names(value)


@pytest.mark.parametrize("word", ["123", "1e3", "0x1f", "true", "null", "on", "1-2"])
def test_a_name_that_could_be_something_else_stays_a_name(one_helm: Helm, word: str) -> None:
    values = {
        "namespaces": [word],
        "fullnameOverride": word if word.isalpha() else "x",
        "nameOverride": word if word.isalpha() else "",
        "image": {"repository": word, "tag": "20", "pullSecrets": [word]},
        "serviceAccount": {"name": word},
        "priorityClassName": word,
        "ca": {"configMap": word},
        "dockerConfig": {"secret": word},
        "podLabels": {"a": word},
        "commonLabels": {"b": word},
        "gate": {"enabled": True},
        "admission": {"enabled": True, "priorityClassName": word, "serviceAccount": {"name": word}},
        "monitoring": {each: {"enabled": True} for each in ("serviceMonitor", "prometheusRule", "dashboard")},
    }
    rendered = strictly(one_helm, values, word, word)
    found = list(names([each for each in rendered if each["kind"] != "CustomResourceDefinition"]))

    assert word in found
    assert [each for each in found if not isinstance(each, str)] == []
    roles = [each for each in rendered if each["kind"] in {"Role", "RoleBinding"}]
    assert {each["metadata"]["namespace"] for each in roles} == {word}


def test_a_release_after_which_no_service_can_be_named_is_told_what_to_give(one_helm: Helm) -> None:
    for release in ("123", "my.release"):
        with pytest.raises(HelmError, match=f"named after {release}-transship: give a fullnameOverride"):
            one_helm.template({}, release=release)


@pytest.mark.parametrize(
    "values",
    [
        {"commonLabels": {"app.kubernetes.io/part-of": "platform"}},
        {"podLabels": {"app.kubernetes.io/component": "x"}},
        {"admission": {"enabled": True, "podLabels": {"app.kubernetes.io/name": "x"}}},
        {"commonLabels": {"helm.sh/chart": "x"}},
        {"monitoring": {"podMonitor": {"enabled": True, "labels": {"app.kubernetes.io/instance": "prometheus"}}}},
    ],
)
def test_a_label_that_the_chart_gives_is_not_given_twice(one_helm: Helm, values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="is the chart's own: leave it out"):
        one_helm.template(values)


def test_labels_of_all_objects_and_of_one_and_constraints_of_ones_own_come_once(one_helm: Helm) -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    values = {
        "commonLabels": {"team": "platform", "grafana_dashboard": "0"},
        "podLabels": {"team": "shop"},
        "monitoring": {"dashboard": {"enabled": True}},
        "topologySpreadConstraints": [
            spread | {"matchLabelKeys": ["mine"]},
            spread | {"labelSelector": {}},
            spread | {"labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["mine"]},
        ],
    }
    rendered = strictly(one_helm, values, "transship", NAMESPACE)

    own, empty, whole = pod(rendered)["topologySpreadConstraints"]
    assert own["matchLabelKeys"] == ["mine"]
    assert own["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    assert empty["labelSelector"] == own["labelSelector"]
    assert (whole["labelSelector"], whole["matchLabelKeys"]) == ({"matchLabels": {"a": "b"}}, ["mine"])
    template = find(rendered, "Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "shop"
    assert find(rendered, "ConfigMap", "transship-dashboard")["metadata"]["labels"]["grafana_dashboard"] == "1"
