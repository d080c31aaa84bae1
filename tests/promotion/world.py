"""A world to promote in: two registries in memory, a clock that is set by hand, and one request with its status.

`World` fills the port `Registries` for real: a destination repository must exist or be made, a closed one refuses, and
every write is noted in one log, together with what is published. `Desk` keeps a request as the API server would: what
is written goes through the resource's own form and is held against the schema of the custom resource.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from oci.images import Content
from promotion.schema import status_schema, violations
from transship.errors import NeedsHuman, Reason, Side
from transship.oci.copier import Copier, Limits
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import Manifest
from transship.oci.memory import MemoryRepository
from transship.oci.reference import Repository, Tag
from transship.oci.store import Chunk
from transship.promotion.policy import Namespace, PromotionPolicy, parse_policy
from transship.promotion.promoter import Occasion, Promoter
from transship.promotion.report import Result
from transship.promotion.request import parse_request
from transship.promotion.status import ImageStatus, RequestStatus, parse_status, to_resource

SOURCE = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
DESTINATION = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
PUBLISHED = "published"
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ONE_BY_ONE = Limits(blobs=1, lookups=1, restarts=0)
"""So that what happens has an order, and a failure is one."""
NAMESPACE = Namespace("shop", {"team": "shop"})


def policy_resource(name: str = "shop", **spec: Any) -> dict[str, Any]:
    """A PromotionPolicy from SOURCE to DESTINATION; keyword arguments replace fields of its spec."""
    return {
        "metadata": {"name": name},
        "spec": {
            "source": {"registry": SOURCE},
            "destination": {"registry": DESTINATION},
            "namespaces": {"names": ["shop"]},
            "repositories": ["shop/*"],
            "destinationRepository": {"create": True},
            **spec,
        },
    }


def policy(name: str = "shop", **spec: Any) -> PromotionPolicy:
    return parse_policy(policy_resource(name, **spec))


@dataclass(slots=True)
class Clock:
    """Time as the tests say."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(slots=True)
class NotedRepository(MemoryRepository):
    """A repository that notes what is written to it, and may be told to fail or to do something first.

    Attributes:
        name: how it appears in the log.
        log: shared by a whole world.
        exists: whether the registry has it; one that it has not is empty for a reader and closed for a writer.
        before: called before a method of that name does its work; what it raises, the method raises.
    """

    name: str = ""
    log: list[str] = field(default_factory=list)
    exists: bool = True
    before: dict[str, Callable[[], None]] = field(default_factory=dict)

    def resolve(self, target: Tag | Digest) -> Descriptor | None:
        self._about_to("resolve")
        return MemoryRepository.resolve(self, target)

    def fetch_manifest(self, digest: Digest) -> Manifest | None:
        self._about_to("fetch_manifest")
        return MemoryRepository.fetch_manifest(self, digest)

    def push_blob(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None = None) -> bool:
        self._about_to("push_blob")
        is_mounted = MemoryRepository.push_blob(self, blob, chunks, mount)
        self.log.append(f"{self.name} {blob.digest}")
        return is_mounted

    def push_manifest(self, manifest: Manifest, target: Tag | Digest) -> None:
        self._about_to("push_manifest")
        MemoryRepository.push_manifest(self, manifest, target)
        self.log.append(f"{self.name} {target}")

    def _about_to(self, method: str) -> None:
        if (first := self.before.get(method)) is not None:
            first()
        if method.startswith("push") and not self.exists:
            raise NeedsHuman(Reason.REPOSITORY_MISSING, f"{self.name} does not exist", side=Side.DESTINATION)

    def hold(self, content: Content, *tags: str) -> None:
        """Have an image from the beginning, without a note."""
        self.manifests.update({each.descriptor.digest: each for each in content.manifests})
        self.blobs.update({Digest.of(blob): blob for blob in content.blobs})
        self.tags.update({Tag(tag): content.root.descriptor.digest for tag in tags})

    def forget(self, content: Content) -> None:
        """Lose an image and the tags that lead to it."""
        root = content.root.descriptor.digest
        for each in content.manifests:
            self.manifests.pop(each.descriptor.digest, None)
        self.tags = {tag: digest for tag, digest in self.tags.items() if digest != root}

    def holds(self, content: Content) -> bool:
        return all(self.manifests.get(each.descriptor.digest) == each for each in content.manifests) and all(
            self.blobs.get(Digest.of(blob)) == blob for blob in content.blobs
        )

    def snapshot(self) -> tuple[object, ...]:
        return dict(self.manifests), dict(self.blobs), dict(self.tags)

    def at(self, tag: str) -> str:
        """The digest a tag is at, or an empty string."""
        return str(self.tags.get(Tag(tag), ""))


@dataclass(slots=True)
class World:
    """Registries in memory; implements `Registries`."""

    log: list[str] = field(default_factory=list)
    repositories: dict[str, NotedRepository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    prepared: set[Repository] = field(default_factory=set)

    def at_source(self, path: str = "shop/checkout") -> NotedRepository:
        return self._repository(f"{SOURCE}/{path}")

    def at_destination(self, path: str = "shop/checkout") -> NotedRepository:
        return self._repository(f"{DESTINATION}/{path}")

    def prepare_source(self, policy: PromotionPolicy, repository: Repository) -> None:
        assert repository.registry == policy.source.registry, "an identity is for its own registry only"
        self.prepared.add(repository)

    def source(self, policy: PromotionPolicy, repository: Repository) -> NotedRepository:
        assert repository.registry == policy.source.registry, "an identity is for its own registry only"
        assert repository in self.prepared, "a source is prepared before it is read"
        self.asked.append(f"{policy.name} reads {repository}")
        return self._repository(str(repository), exists=False)

    def destination(self, policy: PromotionPolicy, repository: Repository) -> NotedRepository:
        assert repository.registry == policy.destination.registry, "an identity is for its own registry only"
        self.asked.append(f"{policy.name} writes {repository}")
        return self._repository(str(repository), exists=False)

    def ensure_repository(self, policy: PromotionPolicy, repository: Repository) -> None:
        found = self.destination(policy, repository)
        if not found.exists and not policy.destination_repository.create:
            raise NeedsHuman(Reason.REPOSITORY_MISSING, f"{repository} does not exist", side=Side.DESTINATION)
        if not found.exists:
            found.exists = True
            self.log.append(f"created {repository}")

    def _repository(self, name: str, *, exists: bool = True) -> NotedRepository:
        return self.repositories.setdefault(name, NotedRepository(name=name, log=self.log, exists=exists))

    @property
    def writes(self) -> list[str]:
        """What was written to any registry, in order."""
        return [each for each in self.log if each != PUBLISHED]

    def snapshot(self) -> dict[str, object]:
        """Everything that all repositories hold."""
        return {name: each.snapshot() for name, each in self.repositories.items() if each.exists}


@dataclass
class Desk:
    """One request as the API server keeps it, and a promoter that looks at it when told to."""

    world: World
    images: Mapping[str, str]
    policies: Iterable[PromotionPolicy] = field(default_factory=lambda: [policy()])
    clock: Clock = field(default_factory=Clock)
    promoter: Promoter = field(init=False)
    resource: dict[str, Any] = field(init=False)
    published: list[RequestStatus] = field(default_factory=list)
    before_publish: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.promoter = Promoter(self.world, Copier(ONE_BY_ONE), self.clock)
        self.resource = request_resource(self.images)

    def look(
        self,
        *,
        is_asked: bool = False,
        is_cancelled: Callable[[], bool] = lambda: False,
        promoter: Promoter | None = None,
    ) -> Result | None:
        """Reconcile once and keep what comes of it."""
        occasion = Occasion(list(self.policies), NAMESPACE, is_asked, is_cancelled)
        result = (promoter or self.promoter).reconcile(parse_request(self.resource), occasion, self._publish)
        if result is not None:
            self._write(result.status)
        return result

    def ask(self) -> Result | None:
        """A workload asks for the images a second later."""
        self.clock.advance(seconds=1)
        return self.look(is_asked=True)

    def change(self, images: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Edit the spec, as a user does."""
        if images is not None:
            spec["containers"] = containers(images)
        self.resource["spec"] = self.resource["spec"] | spec
        self.resource["metadata"]["generation"] += 1

    def forge(self, **changes: Any) -> None:
        """Write fields of the status, as nobody but the operator should."""
        self.resource["status"] = self.resource.get("status", {}) | changes

    @property
    def status(self) -> RequestStatus:
        return parse_status(self.resource.get("status", {}))

    def image(self, name: str = "app") -> ImageStatus:
        return next(each for each in self.status.images if each.name == name)

    def _publish(self, status: RequestStatus) -> None:
        self.before_publish()
        self.published.append(status)
        self.world.log.append(PUBLISHED)
        self._write(status)

    def _write(self, status: RequestStatus) -> None:
        resource = to_resource(status)
        assert violations(status_schema(), resource) == []
        self.resource["status"] = resource


def containers(images: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "image": image} for name, image in images.items()]


def request_resource(images: Mapping[str, str], name: str = "checkout", **spec: Any) -> dict[str, Any]:
    """A PromotionRequest that somebody wrote by hand."""
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "generation": 1,
            "creationTimestamp": "2026-03-01T11:59:59Z",
        },
        "spec": {"containers": containers(images), **spec},
    }
