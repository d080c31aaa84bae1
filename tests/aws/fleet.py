"""Many small images in development, and a promotion of them by the real Promoter on a twin."""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from oci.images import Content, image
from oci.store_contract import push
from promotion.world import Desk, World, policy
from transship.aws.quotas import Quotas, Rates
from transship.cli.registries import AwsRegistries
from transship.oci.copier import Copier
from transship.oci.reference import Reference, Registry, Repository, Tag
from transship.promotion.policy import PromotionPolicy
from transship.promotion.promoter import Promoter
from transship.promotion.report import Job

DEVELOPMENT = Registry("111111111111.dkr.ecr.eu-west-1.amazonaws.com")
PRODUCTION = Registry("222222222222.dkr.ecr.eu-west-1.amazonaws.com")
ROLE = "arn:aws:iam::111111111111:role/transship-source"
WORKERS = 8
CANARY = "canary-in-every-secret-5f1d"
"""Part of every secret that the tests' twins hand out."""
SAID: list[str] = []
"""What commands have printed; looked through for CANARY at the end."""
DESKS: list[Desk] = []
"""All requests; so are their statuses."""
PER_REQUEST = 50


def unhurried() -> Quotas:
    """Quotas that nobody meets: for twins without limits."""
    return Quotas(Rates(1000.0))


def promotion(**spec: Any) -> PromotionPolicy:
    """From development, by its role, to production."""
    source = {"registry": str(DEVELOPMENT), "roleArn": ROLE, "externalId": "transship-example"}
    return policy(**{"source": source, "sourceGrace": "0s", **spec})


def build(
    registries: AwsRegistries, path: str, contents: dict[str, Content], *, registry: Registry = DEVELOPMENT
) -> None:
    """Push images to a registry as whoever the registries are for."""
    elsewhere = Registry("333333333333.dkr.ecr.eu-west-1.amazonaws.com")
    own = policy(source={"registry": str(elsewhere)}, destination={"registry": str(registry)})
    repository = registries.destination(own, Repository.of(registry, path))
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda item: push(repository, item[1], Tag(item[0])), contents.items()))


def small_images(count: int) -> dict[str, Content]:
    """Images of one layer of their own and one they share, by tag."""
    return {f"v{number}": image([b"shared" * 100, b"layer %d" % number]) for number in range(count)}


def in_parallel(step: Any, jobs: Sequence[Job]) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(step, jobs))


def desk(
    registries: AwsRegistries, images: Iterable[tuple[str, str]], *, to: Registry = PRODUCTION, **spec: Any
) -> Desk:
    """A request for images, each (repository, tag), and the promoter that looks at it, with as many workers."""
    wanted = {f"c{number}": f"{to}/{path}:{tag}" for number, (path, tag) in enumerate(images)}
    made = Desk(World(), wanted, [promotion(**spec)])
    DESKS.append(made)
    made.promoter = Promoter(registries, Copier(), made.clock, in_parallel)
    return made


def desks(registries: AwsRegistries, path: str, tags: Sequence[str]) -> list[Desk]:
    """Requests for many images of one repository."""
    parts = [tags[at : at + PER_REQUEST] for at in range(0, len(tags), PER_REQUEST)]
    return [desk(registries, [(path, tag) for tag in part]) for part in parts]


def requests(twin: Any, **where: str) -> "Counter[str]":
    """What the twin was asked since its ledger was last reset, by action."""
    counts: Counter[str] = Counter()
    for row in twin.ledger.rows():
        if all(row[name] == value for name, value in where.items()):
            counts[row["action"]] += row["requests"]
    return counts


def destination(registries: AwsRegistries, path: str, *, by: PromotionPolicy | None = None) -> Any:
    return registries.destination(by or promotion(), Repository.of(PRODUCTION, path))


def holds(registries: AwsRegistries, path: str, tag: str, content: Content) -> bool:
    """Whether production has an image, byte for byte, under its tag."""
    store = destination(registries, path)
    found = store.resolve(Reference.parse(f"{PRODUCTION}/{path}:{tag}").target)
    if found != content.root.descriptor:
        return False
    if any(store.fetch_manifest(each.descriptor.digest) != each for each in content.manifests):
        return False
    return not store.missing_blobs(blob for each in content.manifests for blob in each.blobs)


@dataclass
class Heard:
    """What an observer of the traffic hears."""

    milliseconds: "Counter[str]" = field(default_factory=Counter)
    answers: "Counter[tuple[str, int]]" = field(default_factory=Counter)
    failures: "Counter[str]" = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def registry_waited(self, registry: str, seconds: float) -> None:
        with self.lock:
            self.milliseconds[registry] += round(seconds * 1000)

    def registry_answered(self, registry: str, method: str, status: int) -> None:
        with self.lock:
            self.answers[method, status] += 1

    def token_failed(self, registry: str) -> None:
        with self.lock:
            self.failures[registry] += 1

    @property
    def throttled(self) -> int:
        return sum(count for (_, status), count in self.answers.items() if status == 429)
