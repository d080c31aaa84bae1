"""What was promoted: which digest where, when, by whom and from which revision."""

from collections.abc import Mapping
from typing import Any

from transship.cli.kube import KubeOrAll
from transship.cli.output import Format, Output, clean, table
from transship.cluster.following import Requests
from transship.errors import NeedsHuman, Reason
from transship.promotion.history import Arrival, Pattern, arrivals, read_asked
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
    found = arrivals((read_asked(each) for each in Requests(connection.api).all(connection.namespace)), pattern)
    if not found and out.output is Format.TABLE:
        where = f"namespace {connection.namespace}" if connection.namespace else "the cluster"
        out.say(f"No PromotionRequest in {where} tells of {clean(image)} having been promoted.")
        return
    out.show(
        [_document(each) for each in found],
        lambda: table(_COLUMNS, [_row(each) for each in found]),
        [f"{each.image.destination}@{each.image.digest}" for each in found],
    )


def _row(arrival: Arrival) -> tuple[str, ...]:
    asked = arrival.asked
    return (
        format_time(arrival.at),
        arrival.image.digest,
        str(arrival.image.outcome),
        arrival.image.destination,
        f"{asked.by}, first {asked.first}" if asked.first else asked.by,
        asked.application,
        asked.revision,
        str(asked.request.key),
    )


def _document(arrival: Arrival) -> Mapping[str, Any]:
    image, asked = arrival.image, arrival.asked
    return {
        "at": format_time(arrival.at),
        "digest": image.digest,
        "outcome": str(image.outcome),
        "source": image.source,
        "destination": image.destination,
        "previousDigest": image.previous_digest,
        "by": asked.by,
        "firstAskedBy": asked.first,
        "application": asked.application,
        "revision": asked.revision,
        "policy": asked.request.status.policy,
        "namespace": asked.request.key.namespace,
        "request": asked.request.key.name,
    }
