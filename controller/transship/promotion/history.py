"""What was promoted, as PromotionRequests tell it: one entry for each image that was proven to have arrived."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transship.oci.reference import Reference
from transship.promotion.argocd import OPTION_PREFIX
from transship.promotion.request import PromotionRequest, parse_request
from transship.promotion.status import ImageStatus

ASKED_BY, FIRST_ASKED_BY, OVERLAY = (f"{OPTION_PREFIX}{each}" for each in ("asked-by", "first-asked-by", "overlay"))
"""Annotations of a request that was made from outside the cluster; whoever writes it may write anything there. Whoever
asked last is `ASKED_BY`; whoever asked first, where that was somebody else, stays."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which images are meant.

    Attributes:
        path: of the repository; without a registry also the end of one: `checkout` is `shop/checkout`.
        registry: host of source or destination; empty for any.
        tag, digest: empty for any.
    """

    path: str
    registry: str = ""
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Read what a person writes: a reference, or a repository with or without its registry.

        Raises:
            ValueError: it is neither.
        """
        reference = Reference.parse(text)
        first, _, rest = text.partition("/")
        named = bool(rest) and (any(each in first for each in ".:") or first == "localhost")
        path = reference.repository.path if named else text.partition("@")[0].partition(":")[0]
        tag = text.partition("@")[0].partition(":")[2] if not named else _tag(text)
        return cls(path, reference.repository.registry.host if named else "", tag, str(reference.digest or ""))

    def fits(self, image: ImageStatus) -> bool:
        """Whether an image of a request is meant, by where it came from or where it went."""
        return (not self.digest or image.digest == self.digest) and any(
            self._fits(each) for each in (image.destination, image.source)
        )

    def _fits(self, text: str) -> bool:
        try:
            reference = Reference.parse(text)
        except ValueError:
            return False
        repository = reference.repository
        if self.tag and (reference.tag is None or reference.tag.name != self.tag):
            return False
        if self.registry:
            return (repository.registry.host, repository.path) == (self.registry, self.path)
        return repository.path == self.path or repository.path.endswith(f"/{self.path}")


def _tag(text: str) -> str:
    """The tag as it was written: a reference without one would mean `latest` to a kubelet, and any here."""
    return text.partition("@")[0].rpartition("/")[2].partition(":")[2]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and who wanted it.

    Attributes:
        by: the workload or hook; or who asked from outside the cluster the last time, by what they say; or "by hand".
        first: who asked from outside the first time, where that was somebody else; empty otherwise.
        application: of Argo CD; empty if none.
        revision: of the application's source; empty when nothing tells it.
    """

    request: PromotionRequest
    by: str
    first: str
    application: str
    revision: str


def read_asked(resource: Mapping[str, Any]) -> Asked:
    """Read a PromotionRequest custom resource, and what it tells of who asked."""
    request = parse_request(resource)
    annotations = resource["metadata"].get("annotations") or {}
    is_from_outside = request.owner is None
    return Asked(
        request,
        by=_by(request, annotations),
        first=annotations.get(FIRST_ASKED_BY, "") if is_from_outside else "",
        application=request.status.application or request.application,
        revision=str((resource["spec"].get("trigger") or {}).get("revision", "")) or request.origin.revision,
    )


def _by(request: PromotionRequest, annotations: Mapping[str, str]) -> str:
    owner = request.owner
    if owner is not None:
        return f"{owner.kind}/{owner.name}"
    asker, overlay = annotations.get(ASKED_BY, ""), annotations.get(OVERLAY, "")
    return f"{asker or 'somebody'} with {overlay}" if overlay else asker or "by hand"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One image that was proven to be at its destination.

    Attributes:
        at: when work on it ended.
        asked: what promoted it, and for whom.
    """

    at: datetime
    image: ImageStatus
    asked: Asked


def arrivals(requests: Iterable[Asked], pattern: Pattern) -> list[Arrival]:
    """What has arrived of the images that are meant, the last first."""
    found = (arrival for each in requests for arrival in _arrivals(each, pattern))
    return sorted(found, key=lambda each: (each.at, each.asked.request.key.name), reverse=True)


def _arrivals(asked: Asked, pattern: Pattern) -> Iterator[Arrival]:
    for each in asked.request.status.images:
        at = each.finished_at or each.verified_at
        if each.is_proven and at is not None and pattern.fits(each):
            yield Arrival(at, each, asked)
