"""Two places compared: which images each has, in which version, of which age."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from transship.aws.hosts import EcrHost
from transship.aws.identity import Identity
from transship.aws.listing import Listed
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, Side, TransshipError
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Registry, Repository, Tag
from transship.oci.threads import Threads
from transship.promotion.policy import Endpoint, PromotionPolicy

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an image in one place.

    Attributes:
        reference: as the place has it.
        digest: what it is; None where nobody told.
        pushed_at: when it was pushed there, where the registry tells.
        problem: why its registry did not tell.
        is_unknown: the registry could not be asked; otherwise it said that it has none.
    """

    reference: str
    tag: str = ""
    digest: Digest | None = None
    pushed_at: datetime | None = None
    problem: str = ""
    is_unknown: bool = False


Place = Mapping[str, Sequence[Version]]
"""Versions by the name of an image that is the same in both places."""


class Kind(StrEnum):
    """In what two places differ."""

    ONLY_FIRST = "OnlyFirst"
    ONLY_SECOND = "OnlySecond"
    DIFFERENT = "Different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One image in which two places differ."""

    kind: Kind
    name: str
    first: tuple[Version, ...]
    second: tuple[Version, ...]


def differences(first: Place, second: Place) -> list[Difference]:
    """All of them, by name: what the first has and the second has not, before what they have otherwise."""
    found = []
    for name in sorted({*first, *second}):
        here, there = tuple(first.get(name, ())), tuple(second.get(name, ()))
        if not there:
            found.append(Difference(Kind.ONLY_FIRST, name, here, ()))
        elif not here:
            found.append(Difference(Kind.ONLY_SECOND, name, (), there))
        elif not _is_same(here, there):
            found.append(Difference(Kind.DIFFERENT, name, here, there))
    order = list(Kind)
    return sorted(found, key=lambda each: order.index(each.kind))


def _is_same(here: Sequence[Version], there: Sequence[Version]) -> bool:
    """By digests where both are known: a tag may have moved, or one digest have two tags."""
    if all(each.digest for each in (*here, *there)):
        return {each.digest for each in here} == {each.digest for each in there}
    return {_written(each) for each in here} == {_written(each) for each in there}


def _written(version: Version) -> str:
    return version.reference.rpartition("/")[2]


class Places:
    """Reads places.

    Args:
        registries: asked; None to ask nobody.
        policies: say as whom a registry is asked, and which repositories of two registries are the same.
    """

    def __init__(self, registries: AwsRegistries | None, policies: Sequence[PromotionPolicy]) -> None:
        self._registries = registries
        self._policies = policies
        self._threads = Threads(_AT_ONCE, "compare")

    def of_images(self, images: Iterable[str]) -> Place:
        """What an overlay runs; images that cannot be parsed are passed over, as `check` tells of them."""
        references = dict.fromkeys(filter(None, map(_parsed, images)))
        versions = self._threads.all(partial(self._version, each) for each in references)
        found: dict[str, list[Version]] = {}
        for reference, version in zip(references, versions, strict=True):
            found.setdefault(self._name(reference.repository), []).append(version)
        return found

    def of_registry(self, place: str) -> Place:
        """The tags of a registry, of one repository of it, or of those below a path.

        Raises:
            NeedsHuman, RetryLater: it is no registry that can be listed, or refuses.
        """
        host, _, prefix = place.partition("/")
        try:
            registry = Registry.parse(host)
            if not {".", ":"} & set(host):
                raise ValueError(f"{host} is no host with a domain or port")  # noqa: TRY301 - one sentence for both
        except ValueError as error:
            raise NeedsHuman(
                Reason.INVALID_REQUEST, f"{place[:200]!r} is neither a folder nor a registry: {error}"
            ) from error
        if self._registries is None:
            raise NeedsHuman(Reason.INVALID_REQUEST, "registries cannot be compared with --offline")
        if EcrHost.of(registry) is None and not prefix:
            raise NeedsHuman(
                Reason.INVALID_REQUEST, f"{registry} is not ECR, and is not listed; name a repository of it"
            )
        listed = self._listed(self._registries, registry, prefix)
        names = {each.repository: self._name(each.repository) for each in listed}
        return {
            f"{names[each.repository]}:{each.tag}": [
                Version(f"{each.repository}:{each.tag}", str(each.tag), each.digest, each.pushed_at)
            ]
            for each in listed
        }

    def _listed(self, registries: AwsRegistries, registry: Registry, prefix: str) -> list[Listed]:
        identity = self._identity(registry)
        if EcrHost.of(registry) is None:
            return list(_tags(registries, Repository.of(registry, prefix)))
        try:
            alone = _alone(registries, identity, registry, prefix)
        except NeedsHuman as refusal:
            repositories = _below(registries, identity, registry, prefix, refusal)
        else:
            if alone is not None:
                return alone
            repositories = _below(registries, identity, registry, prefix)
        calls: list[Callable[[], list[Listed]]] = [
            partial(_list, registries, identity, repository) for repository in repositories
        ]
        return [each for some in self._threads.all(calls) for each in some]

    def _version(self, reference: Reference) -> Version:
        tag = str(reference.tag or "")
        if self._registries is None:
            return Version(str(reference), tag, reference.digest)
        try:
            found = self._find(self._registries, reference)
        except TransshipError as error:
            return Version(str(reference), tag, reference.digest, problem=error.message, is_unknown=True)
        if found is None:
            return Version(str(reference), tag, reference.digest, problem="is not there")
        return Version(str(reference), tag, found.digest, found.pushed_at)

    def _find(self, registries: AwsRegistries, reference: Reference) -> Listed | None:
        repository, target = reference.repository, reference.target
        if EcrHost.of(repository.registry) is not None:
            return registries.listing.find(self._identity(repository.registry), repository, target)
        descriptor = registries.open(repository, Side.SOURCE).resolve(target)
        return Listed(repository, reference.tag, descriptor.digest, None) if descriptor is not None else None

    def _identity(self, registry: Registry) -> Identity:
        for policy in self._policies:
            for endpoint in (policy.source, policy.destination):
                if endpoint.registry == registry:
                    return Identity.of(policy.name, endpoint)
        return Identity()

    def _name(self, repository: Repository) -> str:
        ends: list[Endpoint] = [end for each in self._policies for end in (each.source, each.destination)]
        names = [name for end in ends if (name := end.name_of(repository)) is not None]
        return min(names, key=len, default=repository.path)


def _parsed(image: str) -> Reference | None:
    try:
        return Reference.parse(image)
    except ValueError:
        return None


def _alone(registries: AwsRegistries, identity: Identity, registry: Registry, path: str) -> list[Listed] | None:
    """The tags of the one repository of that path, which takes no right to list the registry; None if there is none."""
    try:
        repository = Repository.of(registry, path)
    except ValueError:
        return None  # nothing, or something that ends in a slash
    return registries.listing.tags(identity, repository)


def _below(
    registries: AwsRegistries, identity: Identity, registry: Registry, path: str, refusal: NeedsHuman | None = None
) -> list[Repository]:
    """The repositories below a path; who may look neither into the one nor for others is told about the one."""
    folder = f"{path.rstrip('/')}/" if path else ""
    try:
        found = registries.listing.repositories(identity, registry, path.rstrip("/"))
    except NeedsHuman as error:
        raise refusal or error from None
    return [each for each in found if f"{each.path}/".startswith(folder)]


def _list(registries: AwsRegistries, identity: Identity, repository: Repository) -> list[Listed]:
    return registries.listing.tags(identity, repository) or []


def _tags(registries: AwsRegistries, repository: Repository) -> Iterable[Listed]:
    store = registries.open(repository, Side.SOURCE)
    tags: list[Tag] = sorted(store.list_tags())
    for tag, descriptor in store.resolve_all(tags).items():
        if descriptor is not None and isinstance(tag, Tag):
            yield Listed(repository, tag, descriptor.digest, None)
