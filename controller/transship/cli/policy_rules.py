"""`transship policy lint` and `transship policy test`: policies checked before they count, and asked which decides."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from transship.cli.command import command
from transship.cli.configuration import Configuration, read_cluster, read_files
from transship.cli.exits import Exit
from transship.cli.kube import Connection, Kube
from transship.cli.lint import as_document
from transship.cli.lint import lint as find_problems
from transship.cli.output import Cell, Colour, Output, clean, paint, table
from transship.cli.policy_files import FilesOrCluster
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Reference
from transship.promotion.judging import Judgement, judge
from transship.promotion.policy import Namespace, Route, route


@command
def lint(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="YAML with PromotionPolicies, transship.yaml too; - is standard input"),
    ],
    *,
    out: Output,
) -> None:
    """Say everything that is wrong with the PromotionPolicies in files, with line numbers.

    It is what the API server would refuse, what the operator would tell in the Ready condition, and what policies in
    these files cover twice. Neither is asked. Exit code 1: something is wrong.
    """
    count, problems = find_problems(files)
    out.show(
        [as_document(each) for each in problems],
        lambda: "\n".join(clean(str(each)) for each in problems),
        [f"{each.file}:{each.line}" for each in problems],
    )
    if problems:
        many = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        out.say(f"transship: {many} in {count} PromotionPolic{'ies' if count != 1 else 'y'}")
        raise typer.Exit(Exit.ERROR)
    out.say(f"{count} PromotionPolic{'ies' if count != 1 else 'y'}, and nothing wrong")


@command
def decide(  # noqa: PLR0913 - a command's options
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="destination reference, as a workload names it")],
    *,
    files: FilesOrCluster = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels", metavar="KEY=VALUE", help="labels of the namespace, instead of the cluster's; may be repeated"
        ),
    ] = None,
    only: Annotated[
        str, typer.Option("--policy", metavar="NAME", help="the only policy to go by, as spec.policy of a request")
    ] = "",
    kube: Kube,
    out: Output,
) -> None:
    """Say which policy decides about an image in a namespace, by which rule, and what the others lack.

    Nothing is asked of a registry. Exit code 1: the image would not be promoted.
    """
    connection = None if files and kube.namespace else kube.connect(out)
    space = kube.namespace or (connection.namespace if connection is not None else "")
    found = read_files(files) if files else _of_cluster(connection, out)
    namespace = Namespace(space, _labels(labels)) if labels else found.namespace(space)
    try:
        reference = Reference.parse(image)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write registry/repository:tag") from error
    judgements = judge(found.policies, namespace, reference)
    way, refusal = _route(found, namespace, reference, only)
    document = _document(image, namespace, way, refusal, judgements)
    out.show(document, lambda: _text(way, refusal, judgements), [way.policy.name] if way is not None else [])
    for each in found.problems:
        out.say(f"transship: {clean(each)}")
    if way is None:
        raise typer.Exit(Exit.ERROR)


def _of_cluster(connection: Connection | None, out: Output) -> Configuration:
    if connection is None:
        raise NeedsHuman(Reason.INVALID_REQUEST, "name policies with -f, or a cluster that has them")
    out.detail("reading the PromotionPolicies and namespaces of the cluster")
    return read_cluster(connection.cluster)


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
