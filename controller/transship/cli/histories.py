"""What was promoted: which digest where, when, by whom and from which revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transship.cli.kube import KubeOrAll
from transship.cli.output import Format, Output, clean, table
from transship.cluster.following import Requests
from transship.errors import NeedsHuman, Reason
from transship.promotion.history import ASKED_BY, FIRST_ASKED_BY, OVERLAY, Arrival, Pattern, arrivals
from transship.promotion.request import PromotionRequest, parse_request
from transship.promotion.status import format_time

_COLUMNS = ("WHEN", "DIGEST", "OUTCOME", "DESTINATION", "BY", "APPLICATION", "REVISION", "REQUEST")


def show(image: str, kube: KubeOrAll, out: Output) -> None:
    """Print which digests of an image were promoted.

    Raises:
        NeedsHuman: it cannot be read, or the cluster refuses.
        RetryLater: the cluster is not to be reached.
    """
    try:
        pattern = Pattern.parse(image)
    except ValueError as error:
        raise NeedsHuman(
            Reason.INVALID_IMAGE, f"{error}; write registry/repository, with a :tag if one is meant"
        ) from error
    connection = kube.connect(out)
    resources = {}
    requests = []
    for resource in Requests(connection.api).all(connection.namespace):
        request = parse_request(resource)
        requests.append(request)
        resources[request.key] = resource
    found = arrivals(requests, pattern)
    if not found and out.output is Format.TABLE:
        where = f"namespace {connection.namespace}" if connection.namespace else "the cluster"
        out.say(f"No PromotionRequest in {where} tells of {clean(image)} having been promoted.")
        return
    origins = {each.request.key: _origin(each, resources[each.request.key]) for each in found}
    out.show(
        [_document(each, origins[each.request.key]) for each in found],
        lambda: table(_COLUMNS, [_row(each, origins[each.request.key]) for each in found]),
        [f"{each.image.destination}@{each.image.digest}" for each in found],
    )


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a request is from.

    Attributes:
        by: a workload or hook; or who asked from outside the cluster, the last time.
        first: who asked the first time, where that was somebody else.
    """

    by: str
    first: str
    revision: str


def _origin(arrival: Arrival, resource: Mapping[str, Any]) -> _Origin:
    annotations = resource["metadata"].get("annotations") or {}
    asker, overlay = annotations.get(ASKED_BY, ""), annotations.get(OVERLAY, "")
    if arrival.request.owner is not None or not (asker or overlay):
        return _Origin(arrival.by, "", _revision(resource))
    by = f"{asker or 'somebody'} with {overlay}" if overlay else asker
    return _Origin(by, annotations.get(FIRST_ASKED_BY, ""), _revision(resource))


def _revision(resource: Mapping[str, Any]) -> str:
    return str((resource["spec"].get("trigger") or {}).get("revision", "")) or parse_request(resource).origin.revision


def _row(arrival: Arrival, origin: _Origin) -> tuple[str, ...]:
    request = arrival.request
    return (
        format_time(arrival.at),
        arrival.image.digest,
        str(arrival.image.outcome),
        arrival.image.destination,
        f"{origin.by}, first {origin.first}" if origin.first else origin.by,
        _application(request),
        origin.revision,
        str(request.key),
    )


def _document(arrival: Arrival, origin: _Origin) -> Mapping[str, Any]:
    image, request = arrival.image, arrival.request
    return {
        "at": format_time(arrival.at),
        "digest": image.digest,
        "outcome": str(image.outcome),
        "source": image.source,
        "destination": image.destination,
        "previousDigest": image.previous_digest,
        "by": origin.by,
        "firstAskedBy": origin.first,
        "application": _application(request),
        "revision": origin.revision,
        "policy": request.status.policy,
        "namespace": request.key.namespace,
        "request": request.key.name,
    }


def _application(request: PromotionRequest) -> str:
    return request.status.application or request.application
