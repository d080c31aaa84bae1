"""What would become of a reference, step by step, found out without writing anything.

Each step is done as the identity that would do it in a promotion. Whatever is refused comes with the IAM statement that
is missing, and with the policy it belongs in.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from transship.aws.hosts import EcrHost
from transship.aws.permissions import LOOK, PULL, PUSH, TOKEN, Permission, arn_of, to_create
from transship.cli.ecr_repository import EcrRepository
from transship.cli.output import Colour, clean, paint
from transship.cli.registries import AwsRegistries
from transship.denials import OWN, Denial, Kind
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Repository
from transship.oci.store import Fetcher
from transship.promotion.image import find_route
from transship.promotion.policy import Endpoint, Namespace, PromotionPolicy, Route


class Finding(StrEnum):
    """How a step went."""

    OK = "ok"
    MISSING = "missing"
    UNCHECKED = "unchecked"


_COLOURS = {Finding.OK: Colour.GOOD, Finding.MISSING: Colour.BAD, Finding.UNCHECKED: Colour.BUSY}


@dataclass(frozen=True, slots=True)
class Step:
    """One step, in words; `statement` is what an IAM policy lacks, and `belongs_in` says which."""

    step: str
    finding: Finding
    message: str
    statement: Mapping[str, Any] | None = None
    belongs_in: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All steps of one reference by one policy."""

    reference: str
    policy: str
    steps: tuple[Step, ...]

    @property
    def is_ok(self) -> bool:
        """Nothing is missing, as far as can be seen without writing."""
        return all(each.finding is not Finding.MISSING for each in self.steps)


def explain(registries: AwsRegistries, policies: Sequence[PromotionPolicy], text: str) -> Iterator[Explanation]:
    """Explain one reference, by each policy that covers it."""
    try:
        ways = _ways(policies, text)
    except TransshipError as error:
        yield Explanation(text, "", (Step("policy", Finding.MISSING, error.message),))
        return
    for way in ways:
        yield Explanation(text, way.policy.name, tuple(_Look(registries, way).steps()))


def _ways(policies: Sequence[PromotionPolicy], text: str) -> list[Route]:
    """The ways of a reference; each policy is asked in a namespace that it selects."""
    ways = [find_route(text, [policy], _selected(policy)) for policy in policies if _covers(policy, text)]
    return ways or [find_route(text, policies[:1], _selected(policies[0]))]


def _covers(policy: PromotionPolicy, text: str) -> bool:
    try:
        find_route(text, [policy], _selected(policy))
    except NeedsHuman as error:
        return error.reason not in {Reason.NOT_COVERED, Reason.INVALID_IMAGE}
    return True


def _selected(policy: PromotionPolicy) -> Namespace:
    name = min(policy.namespaces.names, default="any")
    return Namespace(name, policy.namespaces.match_labels)


class _Look:
    """Looks at one way from its beginning to where it is blocked."""

    def __init__(self, registries: AwsRegistries, way: Route) -> None:
        self._registries = registries
        self._way = way
        self._policy = way.policy

    def steps(self) -> Iterator[Step]:
        way = self._way
        yield Step("policy", Finding.OK, f"PromotionPolicy {self._policy.name} maps it to {way.source}")
        wanted: list[Descriptor] = []
        yield from self._side("source", self._policy.source, way.source, PULL, lambda: self._look_at_source(wanted))
        yield from self._side(
            "destination",
            self._policy.destination,
            way.destination,
            PUSH,
            lambda: self._look_at_destination(wanted[0] if wanted else None),
        )

    def _side(
        self,
        side: str,
        endpoint: Endpoint,
        reference: Reference,
        permission: Permission,
        rest: Callable[[], Iterator[Step]],
    ) -> Iterator[Step]:
        """Identity and token of a side, then the rest; the first step that fails is the last one."""
        needed = TOKEN
        try:
            caller = self._registries.caller(self._policy, endpoint)
            yield Step(f"{side} identity", Finding.OK, caller.arn if caller else "none of AWS: the registry is not ECR")
            self._registries.authorize(self._policy, endpoint)
            yield Step(f"{side} token", Finding.OK, f"good for {endpoint.registry}")
            needed = permission
            yield from rest()
        except TransshipError as error:
            yield failed(side, error, needed, reference.repository)

    def _look_at_source(self, wanted: list[Descriptor]) -> Iterator[Step]:
        reference, store = self._way.source, self._registries.source(self._policy, self._way.source.repository)
        found = store.resolve(reference.target)
        if found is None:
            is_kept = store.is_archived(reference.target)
            advice = (
                "is archived: restore it or push it again" if is_kept else "does not exist: push it or name another"
            )
            yield Step("source image", Finding.MISSING, f"{reference} {advice}")
            return
        wanted.append(found)
        yield Step("source image", Finding.OK, f"{found}")
        blob = _smallest_blob(store, found)
        if blob is None:
            yield Step("source layers", Finding.UNCHECKED, "its manifest names none that could be tried")
            return
        with store.read_blob(blob).open(0, 1) as stream:
            stream.readinto(memoryview(bytearray(1)))
        yield Step("source layers", Finding.OK, f"can be read from where the registry keeps them, as {blob.digest} was")

    def _look_at_destination(self, wanted: Descriptor | None) -> Iterator[Step]:
        reference = self._way.destination
        store = self._registries.destination(self._policy, reference.repository)
        if isinstance(store, EcrRepository) and not store.exists():
            yield no_repository(self._policy, reference.repository)
            yield may_write(reference.repository)
            return
        yield Step("destination repository", Finding.OK, f"{reference.repository} exists")
        yield self._destination_image(store.resolve(reference.target), wanted)
        if isinstance(store, EcrRepository):
            probe = wanted.digest if wanted is not None else Digest.of(b"")
            store.missing_blobs([Descriptor("", probe, 0)])
            yield may_write(reference.repository)

    def _destination_image(self, found: Descriptor | None, wanted: Descriptor | None) -> Step:
        reference = self._way.destination
        if found is None:
            return Step("destination image", Finding.OK, f"{reference} is not there yet")
        if wanted is None or found.digest == wanted.digest:
            return Step("destination image", Finding.OK, f"{reference} is at {found.digest}")
        if self._policy.overwrite_tags:
            return Step("destination image", Finding.OK, f"{reference} is at {found.digest} and will be moved")
        return Step(
            "destination image",
            Finding.MISSING,
            f"{reference} is at {found.digest}, the source at {wanted.digest}: name another tag (tagConflict: Refuse)",
        )


def _smallest_blob(store: Fetcher, image: Descriptor) -> Descriptor | None:
    """One blob of an image, to try whether its bytes can be had; of an index, one of its first image's."""
    manifest = store.fetch_manifest(image.digest)
    while manifest is not None and manifest.children:
        manifest = store.fetch_manifest(manifest.children[0].digest)
    return min(manifest.blobs, key=lambda blob: blob.size, default=None) if manifest is not None else None


def no_repository(policy: PromotionPolicy, repository: Repository) -> Step:
    """A destination repository that is not there: whether it may be created cannot be seen without doing it."""
    settings = policy.destination_repository
    if settings.create:
        will = f"{repository} does not exist and will be created; that cannot be tried without writing; it needs this"
        return Step("destination repository", Finding.UNCHECKED, will, to_create(settings).statement(repository), OWN)
    hint = f"{repository} does not exist: create it, or set destinationRepository.create in the policy"
    return Step("destination repository", Finding.MISSING, hint)


def may_write(repository: Repository) -> Step:
    """What nobody can see without writing, and what it takes."""
    text = "whether the identity may write cannot be seen without writing; it needs this"
    return Step("destination write", Finding.UNCHECKED, text, PUSH.statement(repository), OWN)


def failed(side: str, error: TransshipError, permission: Permission, repository: Repository) -> Step:
    """A step that was refused or did not work, with the statement that is missing where IAM said which."""
    step = f"{side} {error.step or 'identity'}"
    if error.denial is None:
        return Step(step, Finding.MISSING, error.message)
    statement, belongs_in = _remedy(error.denial, permission, repository)
    return Step(step, Finding.MISSING, error.message, statement, belongs_in)


def _remedy(denial: Denial, permission: Permission, repository: Repository) -> tuple[Mapping[str, Any] | None, str]:
    """All of what a step needs, not just the action that was refused first."""
    if denial.is_explicit:
        return None, ""
    if denial.action not in permission.actions and denial.action in LOOK.actions:
        permission = LOOK
    if denial.action not in permission.actions or EcrHost.of(repository.registry) is None:
        return denial.statement(), denial.belongs_in
    if denial.kind is Kind.RESOURCE:
        return permission.shared(denial.principal), f"the policy of the repository {arn_of(repository)}"
    anybody = {"Principal": "*"} if denial.kind is Kind.ENDPOINT else {}
    return {**anybody, **permission.statement(repository)}, denial.belongs_in


def as_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as programs get it."""
    steps = [
        {"belongsIn" if name == "belongs_in" else name: value for name, value in asdict(each).items()}
        for each in explanation.steps
    ]
    return {"reference": explanation.reference, "policy": explanation.policy, "steps": steps, "ok": explanation.is_ok}


def lines_of(explanation: Explanation) -> Iterable[str]:
    """An explanation as people get it."""
    yield clean(explanation.reference)
    for each in explanation.steps:
        word = paint(f"{each.finding.upper():<9}", _COLOURS[each.finding])
        yield f"  {word} {each.step:<22} {clean(each.message)}"
        if each.statement is not None:
            yield f"            add to {clean(each.belongs_in)}:"
            yield f"            {json.dumps(each.statement)}"
