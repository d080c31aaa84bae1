"""What is wrong with the images of an overlay, as far as its text and the source tell: nothing else is asked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from transship.cli.configuration import Configuration
from transship.cli.planning import WantedImage, split
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Repository, Tag
from transship.promotion.image import find_route
from transship.promotion.policy import PromotionPolicy, Route
from transship.promotion.request import KIND, require_fitting
from transship.promotion.workload import ContainerImage

UNPINNED = "Unpinned"
STALE = "Stale"
_OFFERS = {Reason.UNCOVERED.value: "`transship check --fix` writes one", STALE: "`transship check --fix` takes it out"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with one image.

    Attributes:
        reason: of the closed list, or Unpinned, or Stale: a hook waits for what nobody runs.
        message: what is wrong.
        obstacle: why a hook that is written anew would not mend it, and what to do instead.
    """

    image: WantedImage
    reason: str
    message: str
    obstacle: str = ""

    @property
    def is_fixable(self) -> bool:
        """Writing the hook anew mends it."""
        return self.reason in _OFFERS and not self.obstacle

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do."""
        return f"{self.message}; {self.obstacle or _OFFERS[self.reason]}" if self.reason in _OFFERS else self.message


@dataclass(frozen=True, slots=True)
class Demands:
    """What is checked beside what the policy denies.

    Attributes:
        pinned: every image has a digest.
        hook: a hook or PromotionRequest names every image.
    """

    pinned: bool = False
    hook: bool = True


def check(
    wanted: Sequence[WantedImage], found: Configuration, demands: Demands, registries: AwsRegistries | None
) -> list[Finding]:
    """Everything that is wrong.

    Args:
        wanted: all images of an overlay.
        found: its policies.
        demands: what is checked.
        registries: asked whether images exist at the source; None to ask nobody.
    """
    findings: list[Finding] = []
    covered, others = split(wanted, found)
    findings += [Finding(each.wanted, each.reason, each.message) for each in others if each.is_wrong]
    ways: list[tuple[WantedImage, Route]] = []
    for each in covered:
        try:
            ways.append((each, _way(each, found)))
        except NeedsHuman as error:
            findings.append(Finding(each, error.reason, error.message))
    findings += [each for image, way in ways for each in _pinned(image, way, is_demanded=demands.pinned)]
    if demands.hook:
        findings += _hooked(covered)
        findings += _fitting(wanted, covered)
    if registries is not None:
        findings += _there(ways, registries)
    order = {id(each): at for at, each in enumerate(wanted)}
    return sorted(findings, key=lambda each: order[id(each.image)])


def needed(wanted: Sequence[WantedImage], found: Configuration) -> list[WantedImage]:
    """What a hook has to name: what a policy covers and something runs."""
    return [each for each in split(wanted, found)[0] if _runs(each)]


def _way(wanted: WantedImage, found: Configuration) -> Route:
    return find_route(wanted.image, found.policies_for(wanted.namespace), found.namespace(wanted.namespace))


def _runs(wanted: WantedImage) -> bool:
    return any(not each.is_hook for each in wanted.found)


def _pinned(wanted: WantedImage, way: Route, *, is_demanded: bool) -> Iterator[Finding]:
    if way.destination.digest is not None:
        return
    if is_demanded:
        yield Finding(wanted, UNPINNED, "has no digest; `transship set-image --pin` writes the one that it has now")
    elif Reference.parse(f"{wanted.image}@{Digest.of(b'')}").tag is None:
        yield Finding(wanted, UNPINNED, "has neither tag nor digest, which means latest; name a version")


def _hooked(covered: Sequence[WantedImage]) -> Iterator[Finding]:
    has_hook = any(each.is_asked for each in covered)
    for each in covered:
        if not each.is_asked:
            message = (
                "no hook or PromotionRequest names it, so that a sync does not wait for it"
                if has_hook
                else "there is no hook or PromotionRequest that a sync would wait for"
            )
            yield Finding(each, Reason.UNCOVERED, message)
        elif not _runs(each):
            yield Finding(each, STALE, "a hook or PromotionRequest waits for it, and nothing runs it")


def _fitting(wanted: Sequence[WantedImage], covered: Sequence[WantedImage]) -> Iterator[Finding]:
    """Hooks and requests with more than the operator takes; of a hook it leaves out what no policy covers."""
    is_covered = {id(each) for each in covered}
    asked: dict[str, list[tuple[WantedImage, ContainerImage]]] = {}
    for image in wanted:
        for each in image.found:
            if each.is_hook and (id(image) in is_covered or each.resource.kind == KIND):
                asked.setdefault(str(each.resource), []).append((image, ContainerImage(each.container, each.image)))
    for resource, images in asked.items():
        try:
            require_fitting([each for _, each in images])
        except NeedsHuman as error:
            yield Finding(images[0][0], error.reason, f"{resource}: {error.message}")


def _there(ways: Iterable[tuple[WantedImage, Route]], registries: AwsRegistries) -> Iterator[Finding]:
    """Ask for all images of a repository together."""
    groups: dict[tuple[str, Repository], list[tuple[WantedImage, Route]]] = {}
    for image, way in ways:
        groups.setdefault((way.policy.name, way.source.repository), []).append((image, way))
    for group in groups.values():
        policy, repository = group[0][1].policy, group[0][1].source.repository
        try:
            missing = _missing(registries, policy, repository, [way.source.target for _, way in group])
        except TransshipError as error:
            yield from (Finding(image, error.reason, f"source: {error.message}") for image, _ in group)
            continue
        for image, way in group:
            if way.source.target in missing:
                yield Finding(image, Reason.SOURCE_MISSING, f"{way.source} does not exist; push it or name another")


def _missing(
    registries: AwsRegistries, policy: PromotionPolicy, repository: Repository, targets: Sequence[Tag | Digest]
) -> set[Tag | Digest]:
    store = registries.source(policy, repository)
    answers = store.resolve_all(targets)
    return {each for each in targets if (answers[each] if each in answers else store.resolve(each)) is None}
