"""Policies: what an administrator allows to be promoted, from where to where.

A `PromotionPolicy` custom resource becomes a value here, or a `PolicyError` that says in one sentence what is wrong
with it. Everything is denied that no policy covers. A destination reference is the only input that users control;
its source is computed from the policy alone (design §4).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Reference, Registry, Repository
from transship.oci.referrers import Referrers
from transship.promotion.desired import (
    EXTERNAL_ID,
    ROLE_ARN,
    RepositorySettings,
    SourceAccess,
    parse_repository_settings,
    parse_source_access,
)
from transship.promotion.duration import parse_duration
from transship.promotion.glob import Glob

_PREFIX = re.compile(r"(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*\Z")
T = TypeVar("T")


class PolicyError(ValueError):
    """A PromotionPolicy that cannot be used; the message says which field and what to write instead."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a policy: where the images are and as whom the controller goes there.

    Attributes:
        registry: host of the registry.
        repository_prefix: put before NAME to get the repository; empty or ending in a slash.
        role_arn: IAM role to assume for this side; None means the controller's own identity.
        external_id: external id the role's trust policy asks for.
    """

    registry: Registry
    repository_prefix: str = ""
    role_arn: str | None = None
    external_id: str | None = None

    def repository(self, name: str) -> Repository:
        """The repository that holds NAME on this side.

        Raises:
            ValueError: prefix and NAME together break the grammar of repositories.
        """
        return Repository.of(self.registry, self.repository_prefix + name)

    def name_of(self, repository: Repository) -> str | None:
        """NAME of a repository on this side; None when it lies outside registry and prefix."""
        if repository.registry != self.registry or not repository.path.startswith(self.repository_prefix):
            return None
        return repository.path.removeprefix(self.repository_prefix) or None


@dataclass(frozen=True, slots=True)
class NamespaceSelector:
    """Which namespaces may use a policy: those named, or those that carry all the labels."""

    names: frozenset[str] = frozenset()
    match_labels: Mapping[str, str] = field(default_factory=dict)

    def selects(self, namespace: "Namespace") -> bool:
        """Whether the namespace may use the policy. An empty selector selects nothing."""
        if namespace.name in self.names:
            return True
        return bool(self.match_labels) and self.match_labels.items() <= namespace.labels.items()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace as far as policies look at it."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PromotionPolicy:
    """What may be promoted, from where to where, for whom."""

    name: str
    source: Endpoint
    destination: Endpoint
    namespaces: NamespaceSelector
    repositories: tuple[Glob, ...]
    denied_tags: tuple[Glob, ...] = ()
    overwrite_tags: bool = False
    referrers: Referrers = Referrers.BEST_EFFORT
    source_grace_seconds: float = 60.0
    watch_workloads: bool = True
    recreate_waiting_pods: bool = False
    max_hold_seconds: float = 600.0
    destination_repository: RepositorySettings = field(default_factory=RepositorySettings)
    source_access: SourceAccess = field(default_factory=SourceAccess)

    def covers(self, namespace: Namespace, reference: Reference) -> bool:
        """Whether this policy is the one that speaks about the reference in that namespace.

        Tags do not count here: a denied tag is covered and refused, not unknown.
        """
        name = self.destination.name_of(reference.repository)
        if name is None or not self.namespaces.selects(namespace):
            return False
        return any(glob.matches(name) for glob in self.repositories)

    def overlaps(self, other: "PromotionPolicy", namespaces: Iterable[Namespace]) -> str | None:
        """A repository pattern by which both policies cover the same image in one of the namespaces, or None."""
        if self.destination.registry != other.destination.registry:
            return None
        if not any(self.namespaces.selects(each) and other.namespaces.selects(each) for each in namespaces):
            return None
        mine, theirs = self.destination_globs, other.destination_globs
        return next((each.pattern for each in mine if any(each.overlaps(glob) for glob in theirs)), None)

    @cached_property
    def destination_globs(self) -> tuple[Glob, ...]:
        """The repositories with the destination's prefix before them."""
        prefix = self.destination.repository_prefix
        return tuple(glob.under(prefix) for glob in self.repositories)


@dataclass(frozen=True, slots=True)
class Route:
    """One image's way: the reference a pod will pull, and the one it is copied from."""

    policy: PromotionPolicy
    source: Reference
    destination: Reference


def covering(policies: Iterable[PromotionPolicy], namespace: Namespace, reference: Reference) -> list[PromotionPolicy]:
    """The policies that cover the reference, by name; more than one is the administrator's mistake."""
    return sorted((policy for policy in policies if policy.covers(namespace, reference)), key=lambda each: each.name)


def route(policies: Sequence[PromotionPolicy], namespace: Namespace, reference: Reference, only: str = "") -> Route:
    """Find the one way a destination reference may come by.

    Args:
        policies: all that there are.
        namespace: who asks.
        reference: what is asked for.
        only: name of the one policy to go by; empty for whichever covers the reference.

    Raises:
        NeedsHuman: NotCovered, PolicyAmbiguous, TagDenied, or PolicyInvalid when the policy's prefix yields no name.
    """
    candidates = [each for each in covering(policies, namespace, reference) if only in {"", each.name}]
    if not candidates and only:
        raise NeedsHuman(
            Reason.NOT_COVERED,
            f"PromotionPolicy {only[:80]}, which the request names, does not let namespace {namespace.name} promote "
            f"{reference.repository}, or does not exist; name another one or none",
        )
    if not candidates:
        raise NeedsHuman(
            Reason.NOT_COVERED,
            f"no PromotionPolicy lets namespace {namespace.name} promote {reference.repository}; "
            "ask an administrator to add the registry, repository and namespace to one",
        )
    if len(candidates) > 1:
        names = ", ".join(policy.name for policy in candidates)
        raise NeedsHuman(
            Reason.POLICY_AMBIGUOUS,
            f"PromotionPolicies {names} all cover {reference.repository}; "
            "nothing is copied until only one does: narrow their repositories or namespaces",
        )
    return _route_by(candidates[0], reference)


def _route_by(policy: PromotionPolicy, reference: Reference) -> Route:
    for glob in policy.denied_tags:
        if reference.tag is not None and glob.matches(reference.tag.name):
            raise NeedsHuman(
                Reason.TAG_DENIED,
                f"PromotionPolicy {policy.name} denies the tag {reference.tag} ({glob.pattern}); name another tag",
            )
    name = policy.destination.name_of(reference.repository) or ""
    try:
        source = policy.source.repository(name)
    except ValueError as error:
        raise NeedsHuman(
            Reason.POLICY_INVALID, f"PromotionPolicy {policy.name} gives no valid source repository: {error}"
        ) from error
    return Route(policy, reference.at(source), reference)


def parse_policy(resource: Mapping[str, Any]) -> PromotionPolicy:
    """Turn a PromotionPolicy custom resource (the parsed YAML or JSON) into a value.

    The API server has checked types and enums by the CRD's schema; what is checked here is what a schema cannot say.

    Raises:
        PolicyError: with the field and what to write instead.
    """
    spec = resource["spec"]
    destination = _endpoint(spec["destination"], "destination")
    source = _endpoint(spec["source"], "source")
    if source.registry == destination.registry and source.repository_prefix == destination.repository_prefix:
        raise PolicyError(
            "spec.source and spec.destination are the same place, so nothing could be promoted; "
            "give one of them another registry or repositoryPrefix"
        )
    return PromotionPolicy(
        name=resource["metadata"]["name"],
        source=source,
        destination=destination,
        namespaces=_namespaces(spec.get("namespaces", {})),
        repositories=_globs(spec["repositories"], "spec.repositories"),
        denied_tags=_globs(spec.get("tags", {}).get("deny", []), "spec.tags.deny"),
        overwrite_tags=spec.get("tagConflict", "Refuse") == "Overwrite",
        referrers=_referrers(spec.get("referrers", Referrers.BEST_EFFORT)),
        source_grace_seconds=_duration(spec.get("sourceGrace", "60s"), "spec.sourceGrace"),
        watch_workloads=spec.get("watch", {}).get("workloads", True),
        recreate_waiting_pods=spec.get("watch", {}).get("recreateWaitingPods", False),
        max_hold_seconds=_duration(spec.get("admission", {}).get("maxHold", "10m"), "spec.admission.maxHold"),
        destination_repository=_part(parse_repository_settings, spec, "destinationRepository"),
        source_access=_part(parse_source_access, spec, "sourceAccess"),
    )


def _endpoint(spec: Mapping[str, Any], side: str) -> Endpoint:
    try:
        registry = Registry.parse(spec["registry"])
    except ValueError as error:
        raise PolicyError(f"spec.{side}.registry: {error}") from error
    prefix = spec.get("repositoryPrefix", "")
    if not _PREFIX.match(prefix):
        raise PolicyError(f"spec.{side}.repositoryPrefix {prefix[:80]!r} must be empty or path parts ending in a slash")
    role = spec.get("roleArn")
    if role is not None and not ROLE_ARN.match(role):
        raise PolicyError(f"spec.{side}.roleArn {role[:80]!r} must be like arn:aws:iam::111111111111:role/name")
    external_id = spec.get("externalId")
    if external_id is not None and not EXTERNAL_ID.match(external_id):
        raise PolicyError(
            f"spec.{side}.externalId {external_id[:80]!r} may hold letters, digits and _ + = , . @ : / - only"
        )
    return Endpoint(registry, prefix, role, external_id)


def _globs(patterns: Iterable[str], field_name: str) -> tuple[Glob, ...]:
    try:
        return tuple(Glob.parse(pattern) for pattern in patterns)
    except ValueError as error:
        raise PolicyError(f"{field_name}: {error}") from error


def _namespaces(spec: Mapping[str, Any]) -> NamespaceSelector:
    selector = NamespaceSelector(frozenset(spec.get("names", [])), dict(spec.get("matchLabels", {})))
    if not selector.names and not selector.match_labels:
        raise PolicyError("spec.namespaces selects nothing; give names or matchLabels")
    return selector


def _referrers(text: str) -> Referrers:
    try:
        return Referrers(text)
    except ValueError as error:
        raise PolicyError(f"spec.referrers {text[:80]!r} must be one of {', '.join(Referrers)}") from error


def _part(parse: Callable[[Mapping[str, Any]], T], spec: Mapping[str, Any], name: str) -> T:
    try:
        return parse(spec.get(name, {}))
    except ValueError as error:
        raise PolicyError(f"spec.{name}.{error}") from error


def _duration(text: str, field_name: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise PolicyError(f"{field_name}: {error}") from error
