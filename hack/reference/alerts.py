"""The alerts for the Prometheus operator: manifests/monitoring/rules.yaml as a PrometheusRule."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from reference.schemas import ROOT

RULES = ROOT / "manifests/monitoring/rules.yaml"
RESOURCE = ROOT / "manifests/monitoring/alerts/prometheusrule.yaml"
_HEAD = """\
# Written by `make reference` from ../rules.yaml; change that and not this file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: transship
  namespace: transship-system
  labels:
    app.kubernetes.io/name: transship
    app.kubernetes.io/part-of: transship
spec:
"""


def files() -> Mapping[Path, str]:
    """The resource by its path."""
    text = RULES.read_text(encoding="utf-8")
    plain = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)
    resource = _HEAD + "".join(f"  {line}\n" if line else "\n" for line in plain.splitlines())
    _require_same(text, resource)
    return {RESOURCE: resource}


def _require_same(rules: str, resource: str) -> None:
    if json.dumps(yaml.safe_load(rules)) != json.dumps(yaml.safe_load(resource)["spec"]):
        raise ValueError(f"{RULES} has a line that begins with # and is no comment: begin it with something else")
