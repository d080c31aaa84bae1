"""Which policy decides about an image, by which rule, and what the others lack."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from transship.cli.configuration import Configuration, find, read_beside, read_cluster, read_files
from transship.cli.exits import Exit
from transship.cli.kube import Connection, Kube
from transship.cli.output import Cell, Colour, Output, clean, paint, table
from transship.cli.policy_options import CONFIGURATION
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Reference
from transship.promotion.judging import Judgement, judge
from transship.promotion.policy import Namespace, Route, route


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of the namespace, and which policies may decide.

    Attributes:
        files: with policies; none to look for them.
        from_cluster: look for them in the cluster only.
        labels: of the namespace, as KEY=VALUE.
        only: the name of the only policy to go by.
    """

    files: Sequence[str]
    from_cluster: bool
    labels: Sequence[str]
    only: str


def decide_image(image: str, asked: Asked, kube: Kube, out: Output) -> None:
    """Print what would be decided.

    Raises:
        typer.Exit: the image would not be promoted.
    """
    found, space = _policies(asked, kube, out)
    namespace = Namespace(space, _labels(asked.labels)) if asked.labels else found.namespace(space)
    try:
        reference = Reference.parse(image)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write registry/repository:tag") from error
    judgements = judge(found.policies, namespace, reference)
    way, refusal = _route(found, namespace, reference, asked.only)
    document = _document(image, namespace, way, refusal, judgements)
    out.show(document, lambda: _text(way, refusal, judgements), [way.policy.name] if way is not None else [])
    for each in found.problems:
        out.say(f"transship: {clean(each)}")
    if way is None:
        raise typer.Exit(Exit.ERROR)


def _policies(asked: Asked, kube: Kube, out: Output) -> tuple[Configuration, str]:
    """The policies, and the namespace that is asked about: the one that was named, or the context's."""
    if asked.files and asked.from_cluster:
        raise NeedsHuman(Reason.INVALID_REQUEST, "-f and --from-cluster exclude each other; choose one")
    found = None if asked.from_cluster else _written(asked, out)
    if found is not None:
        return found, kube.namespace or _connect(kube, out, "name the namespace with --namespace").namespace
    way_out = "name policies with -f" if asked.from_cluster else f"write a {CONFIGURATION}, or name policies with -f"
    connection = _connect(kube, out, way_out)
    out.detail("reading the PromotionPolicies and namespaces of the cluster")
    return read_cluster(connection.cluster), connection.namespace


def _written(asked: Asked, out: Output) -> Configuration | None:
    """Those of files that were named, or else of the one that overlays here would go by."""
    if asked.files:
        return read_files(asked.files)
    if find(Path.cwd()) is None:
        return None
    found = read_beside(Path.cwd())
    out.say(f"transship: by the policies of {clean(found.origin)}; --from-cluster asks the cluster")
    return found


def _connect(kube: Kube, out: Output, way_out: str) -> Connection:
    try:
        return kube.connect(out)
    except NeedsHuman as error:
        raise NeedsHuman(error.reason, f"{error}; or {way_out}") from error


def _labels(given: Iterable[str]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for each in (part for text in given for part in text.split(",")):
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise NeedsHuman(Reason.INVALID_REQUEST, f"--labels {each[:80]!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _route(
    found: Configuration, namespace: Namespace, reference: Reference, only: str
) -> tuple[Route | None, TransshipError | None]:
    try:
        return route(found.policies, namespace, reference, only), None
    except TransshipError as error:
        return None, error


def _text(way: Route | None, refusal: TransshipError | None, judgements: Iterable[Judgement]) -> str:
    if way is not None:
        first = f"{paint('promoted', Colour.GOOD)} by PromotionPolicy {way.policy.name}, from {way.source}"
    else:
        first = f"{paint('refused', Colour.BAD)}" + (f" ({refusal.reason}): {clean(str(refusal))}" if refusal else "")
    rows = [
        (
            each.policy,
            Cell("covers" if each.covers else "no", Colour.GOOD if each.covers else None),
            each.rule,
            each.why,
        )
        for each in judgements
    ]
    return f"{first}\n\n{table(('POLICY', 'VERDICT', 'RULE', 'WHY'), rows)}"


def _document(
    image: str, namespace: Namespace, way: Route | None, refusal: TransshipError | None, judgements: Iterable[Judgement]
) -> Mapping[str, Any]:
    return {
        "image": image,
        "namespace": namespace.name,
        "policy": way.policy.name if way else "",
        "source": str(way.source) if way else "",
        "reason": str(refusal.reason) if refusal else "",
        "message": str(refusal) if refusal else "",
        "policies": [
            {"policy": each.policy, "covers": each.covers, "rule": each.rule, "why": each.why} for each in judgements
        ],
    }
