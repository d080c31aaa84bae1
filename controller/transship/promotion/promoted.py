"""What the gate lets workloads name: the references that are known to be promoted, and nothing else.

The list of a namespace is derived from what its requests and its workloads name, and is kept nowhere but in the
PromotedImages of that namespace. What nothing names any more leaves it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from transship.oci.reference import Reference
from transship.promotion.policy import Namespace
from transship.promotion.request import API_VERSION, PromotionRequest

KIND = "PromotedImages"
NAME = "transship"
GATE_LABEL = "transship.dev/gate"
GATE_VALUES = frozenset({"enforce", "warn"})
MAX_REFERENCES = 8192
MAX_BYTES = 900_000
"""Of references and digests: the API server takes an object of 1.5 MiB, and JSON adds to them."""
_JSON_BYTES = 6


@dataclass(frozen=True, slots=True)
class Mention:
    """An image that a request or a workload names.

    Attributes:
        image: as it is written there.
        digest: what the destination was seen to hold under it; empty when it was not seen there.
        is_open: nobody has looked yet, or somebody is looking again: what is listed stays so until there is a verdict.
    """

    image: str
    digest: str = ""
    is_open: bool = False


def is_gated(namespace: Namespace | None) -> bool:
    """Whether a namespace asks for the gate by its label."""
    return namespace is not None and namespace.labels.get(GATE_LABEL) in GATE_VALUES


def mentions(request: PromotionRequest) -> Iterator[Mention]:
    """What a request says of its images, by a status that speaks of its present spec."""
    status = request.status
    is_current = status.observed_generation == request.generation
    images = {each.name: each for each in status.images} if is_current else {}
    for container in request.containers:
        image = images.get(container.name)
        if image is not None and image.is_proven and image.digest:
            yield Mention(container.image, image.digest)
        elif image is None or image.outcome is None:
            yield Mention(container.image, is_open=not request.is_suspended)


def promoted(named: Iterable[Mention], listed: Mapping[str, str]) -> dict[str, str]:
    """The references that may be named, with their digests.

    Args:
        named: what all requests and workloads of a namespace name.
        listed: what is listed now.
    """
    references: dict[str, str] = {}
    for mention in sorted(set(named), key=lambda each: (each.image, each.digest)):
        digest = mention.digest or (listed.get(mention.image, "") if mention.is_open else "")
        if digest:
            references |= dict.fromkeys(spellings(mention.image, digest), digest)
    return references


def spellings(image: str, digest: str) -> Iterator[str]:
    """How a workload may write an image: as it was asked for, and pinned to its digest."""
    yield image
    name = image.partition("@")[0]
    tag = Reference.parse(image).tag
    repository = name.removesuffix(f":{tag}")
    yield f"{repository}@{digest}"
    if name != repository:
        yield f"{name}@{digest}"


def bounded(wanted: Mapping[str, str], listed: Iterable[str]) -> dict[str, str]:
    """As much as one object can hold; what is listed already comes first."""
    before = set(listed)
    kept: dict[str, str] = {}
    room = MAX_BYTES
    for reference in sorted(wanted, key=lambda each: (each not in before, each)):
        room -= len(reference) + len(wanted[reference]) + _JSON_BYTES
        if room < 0 or len(kept) == MAX_REFERENCES:
            break
        kept[reference] = wanted[reference]
    return dict(sorted(kept.items()))


def to_resource(namespace: str, references: Mapping[str, str], resource_version: str = "") -> dict[str, object]:
    """The PromotedImages of a namespace; with the version of the one that it replaces."""
    metadata = {
        "name": NAME,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "transship"},
        **({"resourceVersion": resource_version} if resource_version else {}),
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"references": dict(references)}}
