"""What a report is made of: the objects of a cluster, or of files."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from transship.cli.ages import now
from transship.cli.kube import Connection
from transship.cli.output import Output
from transship.errors import NeedsHuman, Reason
from transship.kustomization.loading import PatientLoader
from transship.promotion.allowed import Allowed, allowed
from transship.promotion.overview import Overview, overview
from transship.promotion.request import KIND

_STANDARD_INPUT = "-"
_POLICY = "PromotionPolicy"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says.

    Attributes:
        title: of what it is the report.
        facts: where it comes from, in pairs of a word and what it is.
        warnings: sentences about what could not be read.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    made: datetime
    overview: Overview
    policies: Sequence[Allowed]
    warnings: Sequence[str] = ()


def from_cluster(connection: Connection, out: Output) -> Report:
    """Read the PromotionRequests of a cluster or a namespace, and the policies where that is allowed.

    Raises:
        NeedsHuman, RetryLater: the API server refuses, or does not answer.
    """
    from transship.cluster.following import Requests  # noqa: PLC0415 - the Kubernetes client takes long to load

    requests = Requests(connection.api).all(connection.namespace)
    policies, warnings = list[dict[str, Any]](), list[str]()
    try:
        policies = connection.cluster.policies()
    except NeedsHuman as error:
        if error.reason is not Reason.DENIED:
            raise
        warnings.append("Policies are not shown, as whoever made this may not list them.")
        out.detail(str(error))
    where = connection.namespace or "all"
    facts = [("Cluster", connection.api.host), ("Context", connection.context), ("Namespaces", where)]
    title = connection.context or connection.api.host
    return Report(title, [each for each in facts if each[1]], now(), overview(requests), allowed(policies), warnings)


def from_files(names: Sequence[str]) -> Report:
    """Read what kubectl printed.

    Raises:
        NeedsHuman: InvalidRequest: a file cannot be read, or has no PromotionRequest.
    """
    resources = [each for name in names for each in _resources(name)]
    requests = [each for each in resources if each.get("kind") == KIND]
    policies = [each for each in resources if each.get("kind") == _POLICY]
    if resources and not requests:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"{', '.join(names)}: no PromotionRequest among {len(resources)} objects; give what "
            "`kubectl get promotionrequests.transship.dev -A -o json` prints",
        )
    sources = ", ".join("standard input" if each == _STANDARD_INPUT else Path(each).name for each in names)
    return Report(sources, [("Read from", sources)], now(), overview(requests), allowed(policies))


def _resources(name: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a file: one, a List, or several documents; JSON is YAML, and much faster to read as what it is."""
    try:
        text = sys.stdin.read() if name == _STANDARD_INPUT else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{name} cannot be read: {why}") from error
    for document in _parsed(text, name):
        kind, items = "", document
        if isinstance(document, dict):
            kind, items = str(document.get("kind", "")).removesuffix("List"), document.get("items", [document])
        if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
            raise NeedsHuman(Reason.INVALID_REQUEST, f"{name} has an entry that is no object of a cluster")
        yield from ({"kind": kind} | each for each in items)


def _parsed(text: str, name: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [each for each in yaml.load_all(text, PatientLoader) if each is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NeedsHuman(
            Reason.INVALID_REQUEST, f"{name} is neither JSON nor YAML; give what `kubectl get ... -o json` prints"
        ) from error
