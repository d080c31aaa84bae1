"""Looking at many images at once: what two repositories say, asked for in as few requests as they allow.

A registry that answers for many targets in one request is asked once for all images of a reconcile that share its
repository (ecr.md §3: 100 tags a call). What it said is remembered for the decision only: what is written is claimed,
looked at again and proven by fresh questions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Repository, Tag
from transship.oci.store import Destination, Resolver, Source
from transship.promotion.policy import Route
from transship.promotion.ports import Registries

Target: TypeAlias = Tag | Digest
Store = TypeVar("Store", bound=Resolver)


@dataclass(slots=True)
class Seen(Generic[Store]):
    """A repository, and what it said when it was asked about many targets together."""

    store: Store
    answers: dict[Target, Descriptor | None] = field(default_factory=dict)

    def resolve(self, target: Target) -> Descriptor | None:
        """What the repository said of a target, or says now."""
        return self.answers[target] if target in self.answers else self.store.resolve(target)

    def ask(self, targets: Iterable[Target]) -> None:
        """Ask about many targets, where that saves requests."""
        new = [target for target in dict.fromkeys(targets) if target not in self.answers]
        if len(new) > 1 and self.store.targets_per_request > 1:
            self.answers.update(self.store.resolve_all(new))


@dataclass(frozen=True, slots=True)
class Sight:
    """One image's way, and both of its repositories as they have been seen so far.

    Attributes:
        pinned: the digest this promotion resolved the tag to earlier; None to resolve it now.
    """

    way: Route
    pinned: Digest | None
    source: Seen[Source]
    destination: Seen[Destination]

    @property
    def target(self) -> Target:
        """What is asked of the source."""
        return self.pinned or self.way.source.target

    @property
    def digest(self) -> Digest | None:
        """The digest that is wanted, as far as it is known without another request."""
        found = self.source.answers.get(self.target)
        return found.digest if found else (self.target if isinstance(self.target, Digest) else None)

    def vouches(self, root: Descriptor | None) -> bool:
        """Whether the destination's word for a root is its word for the whole image."""
        return root is not None and self.destination.store.keeps_whole


class Sights:
    """Opens repositories once for all images of one reconcile. Thread-safe."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._lock = Lock()
        self._sources: dict[tuple[str, Repository], Seen[Source]] = {}
        self._destinations: dict[tuple[str, Repository], Seen[Destination]] = {}

    def open(self, way: Route, pinned: Digest | None) -> Sight:
        """Both repositories of an image's way; nothing is asked yet.

        Raises:
            NeedsHuman, RetryLater: the source cannot be made readable.
        """
        source, destination = way.source.repository, way.destination.repository
        here, there = (way.policy.name, source), (way.policy.name, destination)
        self._registries.prepare_source(way.policy, source)
        with self._lock:
            if here not in self._sources:
                self._sources[here] = Seen(self._registries.source(way.policy, source))
            if there not in self._destinations:
                self._destinations[there] = Seen(self._registries.destination(way.policy, destination))
            return Sight(way, pinned, self._sources[here], self._destinations[there])


def look(sights: Sequence[Sight]) -> None:
    """Ask about images that share both repositories: their source targets, their tags, and digests without a tag.

    Raises:
        NeedsHuman, RetryLater: of a registry; it holds for all of them.
    """
    source, destination = sights[0].source, sights[0].destination
    source.ask(sight.target for sight in sights)
    destination.ask(sight.way.destination.tag for sight in sights if sight.way.destination.tag is not None)
    destination.ask(digest for sight in sights if (digest := _unseen(sight)) is not None)


def _unseen(sight: Sight) -> Digest | None:
    """The wanted digest, unless the destination's tag is known to be at it."""
    tag = sight.way.destination.tag
    tagged = sight.destination.answers.get(tag) if tag is not None else None
    return None if tagged is not None and tagged.digest == sight.digest else sight.digest
