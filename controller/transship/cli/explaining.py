"""Why a request does not go on, or what would become of an image: a paragraph of each."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transship.cli.ages import age, now
from transship.cli.kube import Connection, Kube
from transship.cli.naming import is_of, no_request
from transship.cli.output import Output, clean
from transship.cluster.following import Requests
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Reference
from transship.promotion.request import PromotionRequest, RequestKey, parse_request
from transship.promotion.status import Phase, to_resource
from transship.promotion.story import tell, troubled

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained.

    Attributes:
        images: destination references.
        requests: names of PromotionRequests.
        owner: kind and name of a workload or hook whose newest request is meant.
        files: of policies, for images; those of the cluster where there are none.
    """

    images: Sequence[str]
    requests: Sequence[str]
    owner: tuple[str, str] | None
    files: Sequence[str]


def show(asked: Asked, kube: Kube, out: Output) -> bool:
    """Explain it all; whether nothing has stalled and nothing is missing.

    Raises:
        NeedsHuman: there is no such request, or the cluster or a registry refuses.
        PolicyError: a policy cannot be used.
        RetryLater: the cluster is not to be reached.
    """
    parts, documents, is_ok = _images(asked.images, asked.files, kube, out) if asked.images else ([], [], True)
    if asked.requests or asked.owner is not None:
        connection = kube.connect(out)
        requests = _requests(connection, asked.requests, asked.owner)
        parts += [_paragraph(connection, each) for each in requests]
        documents += [_document(connection, each) for each in requests]
        is_ok = is_ok and not any(each.status.phase is Phase.STALLED for each in requests)
    out.show(documents, lambda: "\n\n".join(parts), [*asked.images, *asked.requests])
    return is_ok


def _images(
    images: Sequence[str], files: Sequence[str], kube: Kube, out: Output
) -> tuple[list[str], list[Mapping[str, Any]], bool]:
    # What talks to AWS takes half a second to load, and no request needs it.
    from transship.cli.configuration import read_cluster, read_files  # noqa: PLC0415
    from transship.cli.environment import load_settings  # noqa: PLC0415
    from transship.cli.explain_image import as_document, explain, lines_of  # noqa: PLC0415
    from transship.cli.registries import build_registries  # noqa: PLC0415

    policies = (read_files(files) if files else read_cluster(kube.connect(out).cluster)).policies
    registries = build_registries(load_settings())
    found = [each for text in images for each in explain(registries, policies, text)]
    texts = ["\n".join(lines_of(each)) for each in found]
    return texts, [as_document(each) for each in found], all(each.is_ok for each in found)


def _requests(connection: Connection, names: Iterable[str], owner: tuple[str, str] | None) -> list[PromotionRequest]:
    found = []
    for name in names:
        key = RequestKey(connection.namespace, name)
        resource = connection.cluster.request(key)
        if resource is None:
            raise no_request(key)
        found.append(parse_request(resource))
    return found + (_of_owner(connection, owner) if owner is not None else [])


def _of_owner(connection: Connection, owner: tuple[str, str]) -> list[PromotionRequest]:
    """The newest request of a workload or hook."""
    all_of_them = (parse_request(each) for each in Requests(connection.api).all(connection.namespace))
    found = [each for each in all_of_them if is_of(each, owner)]
    if not found:
        kind, name = owner
        sentence = (
            f"{kind} {connection.namespace}/{name} has no PromotionRequest: its images are at the destination, or no "
            "policy covers them; `transship policy test` says which"
        )
        raise NeedsHuman(Reason.INVALID_REQUEST, sentence)
    return [max(found, key=lambda each: (each.created_at, each.key.name))]


def _paragraph(connection: Connection, request: PromotionRequest) -> str:
    text = " ".join(clean(each) for each in [*tell(request, now(), age), *_misses(connection, request)])
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _document(connection: Connection, request: PromotionRequest) -> Mapping[str, Any]:
    ready = request.status.ready
    return {
        "name": request.key.name,
        "namespace": request.key.namespace,
        "phase": request.status.phase.value,
        "reason": ready.reason if ready else "",
        "explanation": [*tell(request, now(), age), *_misses(connection, request)],
        "images": to_resource(request.status).get("images", []),
    }


def _misses(connection: Connection, request: PromotionRequest) -> list[str]:
    """For images that no policy covers: what the policies that come nearest say, as far as one may see them."""
    uncovered = [each for each in troubled(request) if each.reason == Reason.NOT_COVERED]
    if not uncovered:
        return []
    # What no other request needs.
    from transship.cli.configuration import read_cluster  # noqa: PLC0415
    from transship.promotion.judging import judge  # noqa: PLC0415
    from transship.promotion.policy import PolicyError  # noqa: PLC0415

    try:
        found = read_cluster(connection.cluster)
    except (TransshipError, PolicyError) as error:
        return [f"Which policies there are cannot be told: {error}."]
    namespace = found.namespace(request.key.namespace)
    told = {
        f"PromotionPolicy {miss.policy} does not cover {reference.repository}: {miss.why}."
        for each in uncovered
        if (reference := _reference(each.destination)) is not None
        for miss in judge(found.policies, namespace, reference)
    }
    return [*sorted(told), *(f"{each}." for each in found.problems)]


def _reference(text: str) -> Reference | None:
    try:
        return Reference.parse(text)
    except ValueError:
        return None
