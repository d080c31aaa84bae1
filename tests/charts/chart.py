"""The chart as Helm renders it, and as it is compared with what kustomize builds."""

import copy
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from localworld.paths import REPOSITORY

CHART = REPOSITORY / "charts" / "transship"
KUBERNETES = "1.34.4"  # Helm 4 that is built from source takes a cluster that it is not told of for an old one
NAMESPACE = "transship-system"
Resource = dict[str, Any]
Values = Mapping[str, Any]
_BY_NAME = ("env", "volumes", "volumeMounts")
"""Lists whose order means nothing here."""
_OF_HELM = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
}


@dataclass(frozen=True)
class Helm:
    """One of the Helms, which keeps everything it writes in a directory of ours.

    Attributes:
        binary: The program.
        home: Where it keeps its files.
        options: What every command gets, such as the cluster to work with.
    """

    binary: Path
    home: Path
    options: Sequence[str] = ()

    def run(self, *arguments: str, values: Values | None = None) -> str:
        """Run a command and return what it printed.

        Raises:
            HelmError: It was refused.
        """
        given = ["--values=-"] if values is not None else []
        result = subprocess.run(
            [str(self.binary), *arguments, *given, *self.options],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECACHEDIR": str(self.home / "kube")},
            input=None if values is None else json.dumps(dict(values)),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        if result.returncode != 0:
            raise HelmError(result.stderr.strip())
        return result.stdout

    def template(
        self, values: Values | None = None, *options: str, release: str = "transship", namespace: str = NAMESPACE
    ) -> list[Resource]:
        """What the chart becomes, as resources."""
        place = (f"--namespace={namespace}", f"--kube-version={KUBERNETES}")
        text = self.run("template", release, str(CHART), *place, *options, values=values or {})
        return [each for each in yaml.safe_load_all(text) if each]

    def notes(self, values: Values | None = None) -> str:
        """What is said after an installation."""
        place = (f"--namespace={NAMESPACE}", "--dry-run=client")
        return self.run("install", "transship", str(CHART), *place, values=values or {}).partition("NOTES:\n")[2]


class HelmError(Exception):
    """Helm refused; the message is what it wrote."""


def find(resources: Iterable[Resource], kind: str, name: str = "transship") -> Resource:
    """The resource of a kind and a name."""
    (found,) = (each for each in resources if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pod(resources: Iterable[Resource], name: str = "transship") -> Resource:
    """The pod of a Deployment."""
    return dict(find(resources, "Deployment", name)["spec"]["template"]["spec"])


def env(resources: Iterable[Resource], name: str = "transship") -> dict[str, str | None]:
    """The environment of a Deployment's container; None for what is not known before it runs."""
    (container,) = pod(resources, name)["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def normalised(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Resources by kind, namespace and name, without what Helm adds and in one order."""
    found: dict[str, Resource] = {}
    for resource in resources:
        metadata = resource["metadata"]
        key = f"{resource['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        assert key not in found, f"{key} comes twice"
        found[key] = _without(copy.deepcopy(resource))
    return found


def _without(node: Any) -> Any:
    if isinstance(node, list):
        return [_without(each) for each in node]
    if not isinstance(node, dict):
        return node
    left = {name: _without(value) for name, value in node.items() if name not in _OF_HELM}
    for name in _BY_NAME:
        if isinstance(left.get(name), list):
            left[name].sort(key=lambda each: json.dumps(each, sort_keys=True))
    if left.get("annotations") == {}:
        del left["annotations"]
    return left
