"""What is wrong with values is said before anything is installed, by the chart's schema."""

import json
from typing import Any

import pytest
import yaml

from charts.chart import CHART, Helm, HelmError
from reference import chart as generated
from transship.settings import Settings

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"replica": 2}, "''", "additional properties 'replica' not allowed"),
    ({"image": {"repo": "x"}}, "/image", "additional properties 'repo' not allowed"),
    ({"image": {"digest": "sha256:123"}}, "/image/digest", "does not match pattern"),
    ({"image": {"repository": "https://registry.example.com/transship"}}, "/image/repository", "does not match"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy", "must be one of 'Always', 'IfNotPresent', 'Never'"),
    ({"replicas": "two"}, "/replicas", "got string, want integer"),
    ({"replicas": -1}, "/replicas", "minimum: got -1, want 0"),
    ({"namespaces": "shop"}, "/namespaces", "got string, want array"),
    ({"namespaces": ["Shop"]}, "/namespaces/0", "does not match pattern"),
    ({"settings": {"TRANSSHIP_LOGLEVEL": "debug"}}, "/settings", "'TRANSSHIP_LOGLEVEL' not allowed"),
    ({"settings": {"TRANSSHIP_GATE": True}}, "/settings", "'TRANSSHIP_GATE' not allowed"),
    ({"proxy": {"https": "proxy:3128"}}, "/proxy/https", "does not match pattern"),
    ({"proxy": {"https": "http://me:secret@proxy:3128"}}, "/proxy/https", "does not match pattern"),
    ({"gate": {"enabled": True, "exempt": ["registry.k8s.io"]}}, "/gate/exempt/0", "does not match pattern"),
    ({"admission": {"certificate": {"by": "vault"}}}, "/admission/certificate/by", "'self-managed', 'cert-manager'"),
    ({"admission": {"timeoutSeconds": 60}}, "/admission/timeoutSeconds", "maximum: got 60, want 30"),
    ({"networkPolicy": {"egressPorts": ["https"]}}, "/networkPolicy/egressPorts/0", "got string, want integer"),
    ({"serviceAccount": {"annotations": {"role": 5}}}, "/serviceAccount/annotations/role", "want string"),
    ({"monitoring": {"serviceMonitor": {"interval": "often"}}}, "/monitoring/serviceMonitor/interval", "pattern"),
]


@pytest.mark.parametrize(("values", "place", "words"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
def test_a_value_that_cannot_be_is_refused_with_its_place(
    helm: Helm, values: dict[str, Any], place: str, words: str
) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(values)

    (line,) = (line for line in str(refusal.value).splitlines() if line.startswith("- at "))
    assert place in line
    assert words in line


def test_an_api_server_that_is_too_old_is_refused(helm: Helm) -> None:
    with pytest.raises(
        HelmError, match=r"requires kubeVersion: >=1.32.0-0 which is incompatible with Kubernetes v1.31"
    ):
        helm.template({}, "--kube-version=1.31.9")


def test_helm_finds_nothing_to_complain_of(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), "--kube-version=1.34.4")


def test_every_value_is_documented_and_in_the_schema_and_nothing_else_is() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    documented = {value.path for value in generated.values()}

    def paths(schema: dict[str, Any], values: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if not isinstance(values, dict) or "properties" not in schema:
            return {path}
        below = schema["properties"].keys() | values.keys() if values else set()
        return {path}.union(*(paths(schema["properties"][key], values[key], (*path, key)) for key in below))

    of_others = {key: schema for key, schema in SCHEMA["properties"].items() if key not in {"global", "enabled"}}
    every = paths({**SCHEMA, "properties": of_others}, defaults) - {()}
    assert documented <= every
    # A group whose members say it all needs no words of its own.
    assert {path for path in every - documented if not _has_members(path, defaults)} == set()


def _has_members(path: tuple[str, ...], values: Any) -> bool:
    for key in path:
        values = values[key]
    return isinstance(values, dict) and bool(values)


def test_every_setting_can_be_given_or_is_decided_by_the_chart() -> None:
    given = {name.removeprefix("TRANSSHIP_").lower() for name in SCHEMA["properties"]["settings"]["properties"]}

    assert given | generated.DECIDED == set(Settings.model_fields)
    assert given & generated.DECIDED == set()
