"""What of the chart is written from elsewhere, so that it cannot drift.

`files/` has the definitions, the rules of every role, the policies of the gate, the alerts and the dashboard, out of
`manifests/`; names that a release chooses become templates, which the chart renders with `tpl`. README.md and the
descriptions of values.schema.json come from the comments of values.yaml.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reference import alerts, dashboard
from reference.schemas import ROOT
from transship.settings import Settings

CHART = ROOT / "charts/transship"
MANIFESTS = ROOT / "manifests"
FILES = CHART / "files"
DEFINITIONS = (MANIFESTS / "crd", MANIFESTS / "gate/component")
POLICIES = MANIFESTS / "gate/component/policy.yaml"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"

DECIDED = frozenset(
    {
        *("namespace", "namespaces", "lease_name", "identity", "kubeconfig", "gate", "admission", "ca_bundle"),
        *("docker_config", "health_host", "health_port"),
    }
)
"""Settings that other values of the chart decide, or the pod itself."""

_WRITTEN = "# Written by `make reference` from manifests/; change it there.\n"
_FULLNAME = '{{ include "transship.fullname" . }}'
_KINDS = frozenset({"ClusterRole", "Role"})
# The longer ones first. A list of the gate has a name of its own, which is no release's.
_NAMES = (
    (
        "system:serviceaccount:transship-system:transship",
        'system:serviceaccount:{{ .Release.Namespace }}:{{ include "transship.serviceAccountName" . }}',
    ),
    ("transship-system", "{{ .Release.Namespace }}"),
    ("ame: transship-", f"ame: {_FULLNAME}-"),
    ('expression: "[]"', "expression: {{ .Values.gate.exempt | toRawJson | quote }}"),
)
_ENTRY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]+):(?: (?P<value>.*))?")
_HEAD = """\
# The chart of Transship

<!-- Written by `make reference` from values.yaml; change its comments and not this page. -->

Installs what `manifests/` installs, by Helm 3 or 4. Neither the chart nor an image is published yet: install it from a
clone.
[Install](../../docs/how-to/install.md) is the way to go about it, with upgrades and what uninstalling leaves behind.

```console
$ helm install transship charts/transship --namespace transship-system --create-namespace \\
    --set image.repository=REGISTRY/transship
```

A value that does not exist, or cannot be what it says, is refused before anything is installed. `files/` holds what
comes from `manifests/` by `make reference`: the definitions, the rules of roles, the policies of the hard gate, the
alerts and the dashboard.

## Values

| value | by default | |
|---|---|---|
"""


@dataclass(frozen=True)
class Value:
    """One value, or a group of some.

    Attributes:
        path: Its keys from the outside to the inside.
        text: Its comment, on one line.
    """

    path: tuple[str, ...]
    text: str


def files() -> Mapping[Path, str]:
    """Each generated file with its content."""
    return {
        **{FILES / "crds" / path.name: path.read_text(encoding="utf-8") for path in _definitions()},
        FILES / "monitoring/rules.yaml": alerts.RULES.read_text(encoding="utf-8"),
        FILES / "monitoring/dashboard.json": dashboard.files()[dashboard.DASHBOARD],
        FILES / "rules.yaml": _rules(),
        FILES / "gate.yaml": _gate(),
        SCHEMA: _schema(),
        README: _readme(),
    }


def values() -> list[Value]:
    """What values.yaml documents, in its order."""
    found: list[Value] = []
    open_keys: list[str] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        entry = _ENTRY.fullmatch(line)
        if entry:
            open_keys[len(entry["indent"]) // 2 :] = [entry["key"]]
        if entry and comment:
            found.append(Value(tuple(open_keys), " ".join(comment)))
        comment = []
    return found


def _definitions() -> Iterator[Path]:
    for folder in DEFINITIONS:
        for path in sorted(folder.glob("*.yaml")):
            if "kind: CustomResourceDefinition" in path.read_text(encoding="utf-8"):
                yield path


def _rules() -> str:
    """The rules of every role by its kind and name."""
    found = {}
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")) if _has_roles(path) else ():
            if resource["kind"] in _KINDS:
                found[f"{resource['kind']} {resource['metadata']['name']}"] = [*map(_released, resource["rules"])]
    return _WRITTEN + yaml.safe_dump(found, sort_keys=True, width=120)


def _has_roles(path: Path) -> bool:
    return re.search(r"^kind: (Cluster)?Role$", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _released(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = rule.get("resourceNames")
    if names is None:
        return dict(rule)
    return {**rule, "resourceNames": [re.sub("^transship", _FULLNAME, name) for name in names]}


def _gate() -> str:
    text = POLICIES.read_text(encoding="utf-8")
    for before, after in _NAMES:
        text = text.replace(before, after)
    return _WRITTEN + text


def _schema() -> str:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for value in values():
        node = schema
        for key in value.path:
            node = node["properties"][key]
        node["description"] = value.text
    schema["properties"]["settings"]["properties"] = dict(_settings())
    return json.dumps(schema, indent=2) + "\n"


def _settings() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in Settings.model_fields.items():
        if name not in DECIDED:
            kinds = ["object", "string"] if field.default_factory is not None else ["string", "number", "boolean"]
            described = {"description": field.description} if field.description else {}
            yield f"TRANSSHIP_{name.upper()}", {"type": kinds, **described}


def _readme() -> str:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return _HEAD + "".join(_rows(values(), defaults))


def _rows(documented: Iterable[Value], defaults: Mapping[str, Any]) -> Iterator[str]:
    for value in documented:
        found: Any = defaults
        for key in value.path:
            found = found[key]
        default = "" if isinstance(found, dict) and found else f"`{json.dumps(found)}`"
        yield f"| `{'.'.join(value.path)}` | {default} | {_cell(value.text)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
