"""What promoting the images of overlays would do: the promoter's own plan, and what it costs.

Here and in `looking` nothing is written: rights to read are enough.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

from transship.aws.batch import PER_CALL
from transship.aws.hosts import EcrHost
from transship.cli.configuration import Configuration
from transship.cli.looking import Grant, Looking, Standing
from transship.errors import NeedsHuman, Reason, Side, TransshipError
from transship.kustomization.found import FoundImage
from transship.oci.amounts import Amounts
from transship.oci.attaching import Attaching
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Registry, Repository
from transship.promotion.image import Plan, find_route
from transship.promotion.plan import AddTag, Copy, Present
from transship.promotion.policy import PromotionPolicy
from transship.promotion.promoter import Occasion, Promoter
from transship.promotion.report import Job
from transship.promotion.request import PromotionRequest, parse_request
from transship.promotion.status import format_time
from transship.promotion.workload import ContainerImage

NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MAX_CONTAINER = 50
Calls = Mapping[str, Mapping[str, int]]
"""Calls of AWS's APIs, by registry and action."""


class Verdict(StrEnum):
    """What is to be done about an image."""

    PRESENT = "AlreadyPresent"
    COPY = "Copy"
    ADD_TAG = "AddTag"
    REFUSED = "Refused"
    UNKNOWN = "Unknown"
    PENDING = "Pending"
    NOT_COVERED = "NotCovered"


@dataclass(frozen=True, slots=True)
class WantedImage:
    """One image of an overlay, wherever in it it stands.

    Attributes:
        namespace: of the resources it is in; empty where none is named.
        image: as it is written.
        found: every place where it is.
    """

    namespace: str
    image: str
    found: tuple[FoundImage, ...]

    @property
    def is_asked(self) -> bool:
        """A hook or request names it, so that a sync waits for it."""
        return any(each.is_hook for each in self.found)


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """One image, and what is to be done about it.

    Attributes:
        reason: of the closed list, where it is not simply to be done.
        message: in one sentence.
        amounts: what there is to move, when something is to be written.
        standing: how its destination repository stands, when something is to be written.
        grant: what its source repository's policy lacks.
        is_second: an image before it is the same at the destination, and does the work.
    """

    wanted: WantedImage
    verdict: Verdict
    message: str
    reason: str = ""
    policy: str = ""
    source: Reference | None = None
    destination: Reference | None = None
    digest: Digest | None = None
    replaces: Digest | None = None
    amounts: Amounts | None = None
    standing: Standing | None = None
    grant: Grant | None = None
    is_second: bool = False

    @property
    def is_wrong(self) -> bool:
        """Somebody has to change something first, or what is to be done could not be found out."""
        if self.verdict is Verdict.NOT_COVERED:
            return bool(self.reason)
        return self.verdict in {Verdict.REFUSED, Verdict.UNKNOWN}

    @property
    def is_to_do(self) -> bool:
        """Promoting would write something for it."""
        lacks_statement = self.grant is not None and self.grant.statement is not None
        return lacks_statement or self.verdict in {Verdict.COPY, Verdict.ADD_TAG, Verdict.PENDING}

    @property
    def calls(self) -> Calls:
        """Calls of AWS's APIs that copying it makes, beside those that look for it."""
        if self.amounts is None or self.source is None or self.destination is None:
            return {}
        return calls(self.amounts, self.source.repository.registry, self.destination.repository.registry)


@dataclass(frozen=True, slots=True)
class Totals:
    """All images together; a blob that several need is moved once.

    Attributes:
        verdicts: images by verdict.
        repositories: to be created.
        grants: statements to be added, and those that could not be looked for.
    """

    verdicts: Mapping[Verdict, int]
    bytes: int
    blobs: int
    manifests: int
    referrers: int
    requests: Mapping[str, int]
    calls: Calls
    repositories: tuple[Repository, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of one overlay or stream."""

    name: str
    policies: str
    images: tuple[PlannedImage, ...]
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "totals", totals(self.images))

    @property
    def is_wrong(self) -> bool:
        """Something cannot be promoted as it is."""
        return any(each.is_wrong for each in self.images)

    @property
    def is_to_do(self) -> bool:
        """Promoting would write something."""
        return any(each.is_to_do for each in self.images)


def wanted_images(found: Iterable[FoundImage], namespace: str = "") -> list[WantedImage]:
    """Each image of each namespace once, in the order in which they were found.

    Args:
        found: everything that was found.
        namespace: of resources that name none.
    """
    places: dict[tuple[str, str], list[FoundImage]] = {}
    for each in found:
        places.setdefault((each.resource.namespace or namespace, each.image), []).append(each)
    return [WantedImage(where, image, tuple(each)) for (where, image), each in places.items()]


def plan(
    wanted: Sequence[WantedImage], found: Configuration, looking: Looking, promoter: Promoter
) -> tuple[PlannedImage, ...]:
    """Plan images; nothing is written.

    Args:
        wanted: what is to be promoted.
        found: the policies that hold.
        looking: the registries of `promoter`.
        promoter: plans.
    """
    planned: dict[tuple[str, str], PlannedImage] = {}
    for namespace in dict.fromkeys(each.namespace for each in wanted):
        covered, others = split([each for each in wanted if each.namespace == namespace], found)
        planned |= {(namespace, each.wanted.image): each for each in others}
        # Nobody who plans waits for an image that is on its way.
        policies = [replace(each, source_grace_seconds=0.0) for each in found.policies_for(namespace)]
        occasion = Occasion(policies, found.namespace(namespace))
        jobs = promoter.plan(request_of(namespace, covered), occasion) if covered else ()
        for each, job in zip(covered, jobs, strict=True):
            planned[namespace, each.image] = _planned(each, job, looking)
    return tuple(planned[each.namespace, each.image] for each in wanted)


def containers(wanted: Sequence[WantedImage]) -> list[ContainerImage]:
    """The images by the names of the first containers that run them, made to be different."""
    named: dict[str, str] = {}
    for each in wanted:
        asked = NOT_IN_NAMES.sub("-", each.found[0].container.lower())[:_MAX_CONTAINER].strip("-") or "image"
        name, count = asked, 1
        while name in named:
            count += 1
            name = f"{asked}-{count}"
        named[name] = each.image
    return [ContainerImage(name, image) for name, image in named.items()]


def request_of(namespace: str, wanted: Sequence[WantedImage], timeout: str = "30m") -> PromotionRequest:
    """A request for images that no cluster knows of; each is called what it is."""
    metadata = {"namespace": namespace, "name": "overlay", "uid": "", "generation": 1}
    containers = [{"name": each.image, "image": each.image} for each in wanted]
    return parse_request(
        {
            "metadata": metadata | {"creationTimestamp": format_time(datetime.now(UTC))},
            "spec": {"containers": containers, "timeout": timeout},
        }
    )


def split(wanted: Sequence[WantedImage], found: Configuration) -> tuple[Sequence[WantedImage], Sequence[PlannedImage]]:
    """Images that a policy speaks of, and the others with what there is to say about them."""
    covered, others = list[WantedImage](), list[PlannedImage]()
    for each in wanted:
        policies = found.policies_for(each.namespace)
        try:
            find_route(each.image, policies, found.namespace(each.namespace))
        except NeedsHuman as error:
            if error.reason is Reason.NOT_COVERED:
                others.append(_uncovered(each, policies, error))
                continue
        covered.append(each)  # with what is wrong about it, which the promoter says
    return covered, others


def _uncovered(wanted: WantedImage, policies: Sequence[PromotionPolicy], error: NeedsHuman) -> PlannedImage:
    """Of an image elsewhere nobody expects that it is promoted, unless a hook asks for it."""
    reference = Reference.parse(wanted.image)
    is_ours = reference.repository.registry in {each.destination.registry for each in policies}
    reason = error.reason if is_ours or wanted.is_asked else ""
    message = error.message if reason else "no policy speaks of its registry; it is left alone"
    return PlannedImage(wanted, Verdict.NOT_COVERED, message, reason=reason, destination=reference)


def _planned(wanted: WantedImage, job: Job, looking: Looking) -> PlannedImage:
    if job.sight is None:
        return _refused(partial(PlannedImage, wanted), job)
    way = job.sight.way
    about = partial(
        PlannedImage,
        wanted,
        policy=way.policy.name,
        source=way.source,
        destination=way.destination,
        digest=Digest.parse(job.status.digest) if job.status.digest else None,
        grant=looking.grant(way.policy, way.source.repository),
    )
    if job.plan is None or job.is_over:
        return _refused(about, job)
    standing = looking.standing(way.policy, way.destination.repository) if job.plan.writes else None
    if standing is Standing.MISSING:
        message = (
            f"the repository {way.destination.repository} does not exist; create it, or set "
            "destinationRepository.create in the policy"
        )
        return about(verdict=Verdict.REFUSED, message=message, reason=Reason.REPOSITORY_MISSING, standing=standing)
    verdict, message = _verdict(job.plan)
    return about(
        verdict=verdict,
        message=message,
        replaces=job.plan.replaces,
        amounts=_amounts(job.plan),
        standing=standing,
        is_second=job.leader is not None,
    )


def _refused(about: Callable[..., PlannedImage], job: Job) -> PlannedImage:
    verdict = Verdict.REFUSED if isinstance(job.error, NeedsHuman) else Verdict.UNKNOWN
    refused = about(verdict=verdict, message=job.status.message, reason=job.status.reason)
    if _waits_for_statement(refused.grant, job.error):
        message = "cannot be read before the statement is in the source repository's policy, which promoting adds"
        return replace(refused, verdict=Verdict.PENDING, message=message, reason=Reason.SOURCE_ACCESS_PENDING)
    return refused


def _waits_for_statement(grant: Grant | None, error: TransshipError | None) -> bool:
    if grant is None or grant.statement is None or error is None:
        return False
    return error.reason is Reason.DENIED and error.side is Side.SOURCE


def _verdict(plan: Plan) -> tuple[Verdict, str]:
    match plan.decision:
        case Present(note=note):
            return Verdict.PRESENT, note or "the destination has all of it"
        case AddTag(replaces=replaces):
            return Verdict.ADD_TAG, f"the content is there, the tag {_elsewhere(replaces)}"
        case Copy(descriptor=root, replaces=replaces):
            if replaces is not None:
                return Verdict.COPY, f"the tag {_elsewhere(replaces)}"
            is_new = root.digest in plan.lacking.manifests
            return Verdict.COPY, "not there" if is_new else "there and incomplete, so it is repaired"


def _elsewhere(replaces: Digest | None) -> str:
    return f"moves from {replaces} (tagConflict: Overwrite)" if replaces else "is not"


def _amounts(plan: Plan) -> Amounts | None:
    if not plan.writes or plan.whole is None:
        return None
    return Amounts(plan.whole, plan.lacking, plan.route.destination.tag, plan.attaching or Attaching())


def calls(amounts: Amounts, source: Registry, destination: Registry) -> Calls:
    """Calls of AWS's APIs that a copy makes, when nothing has to be tried again; registries elsewhere have none.

    Requests of the distribution API count as calls of the API they stand for (ecr.md §2).
    """
    requests, count = amounts.requests, len(amounts.blobs)
    beside = sum(len(step.attachment.whole.manifests) for step in amounts.attaching.steps)
    tags = sum(len(step.tags) for step in amounts.attaching.steps)
    below = len(amounts.whole.manifests) - 1 + beside
    there = {
        "InitiateLayerUpload": count,
        "UploadLayerPart": count + sum(amounts.is_large(each) for each in amounts.blobs),  # closing brings bytes, too
        "CompleteLayerUpload": count,
        "PutImage": requests["push manifest"],
        "BatchGetImage": 1 + -(-below // PER_CALL) + -(-tags // PER_CALL),
    }
    found: dict[str, Counter[str]] = {}
    for registry, actions in ((source, {"GetDownloadUrlForLayer": count}), (destination, there)):
        if EcrHost.of(registry) is not None:
            found.setdefault(str(registry), Counter()).update({name: each for name, each in actions.items() if each})
    return found


def totals(images: Sequence[PlannedImage]) -> Totals:
    """All images together."""
    moved: dict[Repository, set[Digest]] = {}
    counted: set[Reference] = set()  # an image may be wanted in several namespaces
    requests: Counter[str] = Counter()
    made: dict[str, Counter[str]] = {}
    bytes_, blobs, manifests, referrers = 0, 0, 0, 0
    for each in images:
        if each.amounts is None or each.source is None or each.destination is None or each.is_second:
            continue
        if each.destination in counted:
            continue
        counted.add(each.destination)
        known = moved.setdefault(each.destination.repository, set())
        left = each.amounts.beside(known)
        known |= {blob.digest for blob in left.blobs}
        requests.update(left.requests)
        bytes_ += left.bytes_missing
        blobs += len(left.blobs)
        manifests += left.manifests_missing
        referrers += len(left.attaching.steps)
        for registry, actions in calls(
            left, each.source.repository.registry, each.destination.repository.registry
        ).items():
            made.setdefault(registry, Counter()).update(actions)
    to_create = (each.destination for each in images if each.standing is Standing.TO_CREATE)
    return Totals(
        verdicts=Counter(each.verdict for each in images),
        bytes=bytes_,
        blobs=blobs,
        manifests=manifests,
        referrers=referrers,
        requests=dict(requests),
        calls=made,
        repositories=tuple(sorted({each.repository for each in to_create if each is not None})),
        grants=tuple({each.grant.repository: each.grant for each in images if each.grant is not None}.values()),
    )
