"""Which PromotionPolicies a command goes by: named files, `transship.yaml` beside the overlays, or the cluster's.

`transship.yaml` holds PromotionPolicies as the cluster would: one document or several, or one document with a list of
them under `policies`. It is looked for in the overlay's folder and then further up, as far as the git repository that
the overlay is in; outside of one only beside the overlay, because anybody may write further up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from transship.cli.given import read_given
from transship.cli.policy_files import MAX_BYTES, parse_policies, resources_of
from transship.cli.policy_options import CONFIGURATION
from transship.errors import NeedsHuman, Reason
from transship.kustomization.files import read_text
from transship.promotion.policy import Namespace, NamespaceSelector, PolicyError, PromotionPolicy, parse_policy

_KINDLESS = {"apiVersion": "transship.dev/v1alpha1", "kind": "PromotionPolicy"}


class Policies(Protocol):
    """What is needed of a cluster to read the policies of it."""

    def policies(self) -> list[dict[str, Any]]:
        """All PromotionPolicies."""

    def namespaces(self) -> list[dict[str, Any]]:
        """All namespaces."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Policies, and where they are from.

    Attributes:
        policies: those that can be used.
        origin: for people: files, or the cluster.
        namespaces: with their labels, by name; None where there is no cluster to know them.
        problems: why others cannot be used.
    """

    policies: tuple[PromotionPolicy, ...]
    origin: str
    namespaces: Mapping[str, Namespace] | None = None
    problems: tuple[str, ...] = field(default=())

    def namespace(self, name: str) -> Namespace:
        """A namespace as far as it is known."""
        return (self.namespaces or {}).get(name, Namespace(name))

    def policies_for(self, name: str) -> Sequence[PromotionPolicy]:
        """The policies as they hold in a namespace.

        Without a cluster nobody can see which labels it has, so a selector of labels is taken to select it; and where
        no namespace is named, as in an overlay that leaves it to Argo CD, every selector is.
        """
        if self.namespaces is not None:
            return self.policies
        return [_opened(each, name) if not name or each.namespaces.match_labels else each for each in self.policies]


def _opened(policy: PromotionPolicy, name: str) -> PromotionPolicy:
    selector = NamespaceSelector(policy.namespaces.names | {name}, policy.namespaces.match_labels)
    return replace(policy, namespaces=selector)


def read_files(files: Iterable[str]) -> Configuration:
    """The policies of files that somebody named; they may be in the form of `transship.yaml`.

    Raises:
        NeedsHuman: InvalidRequest: one cannot be read.
        PolicyError: there is none, or one cannot be used.
    """
    return _configuration([(read_given(each, MAX_BYTES), each) for each in files])


def _configuration(texts: Sequence[tuple[str, str]]) -> Configuration:
    found = (each for text, name in texts for each in _unwrapped(resources_of(text, name), name))
    return Configuration(_unique(tuple(parse_policies(found))), ", ".join(name for _, name in texts))


def read_beside(start: Path) -> Configuration:
    """The policies of the `transship.yaml` that counts for an overlay's folder.

    It came with the overlay, so that it may not lead out of where it is looked for by a symbolic link.

    Raises:
        NeedsHuman: InvalidRequest: it cannot be read.
        PolicyError: there is none, or one cannot be used.
    """
    file = find(start)
    if file is None:
        raise PolicyError(
            f"there is no {CONFIGURATION} in {start} or above it in its git repository; write one with your "
            "PromotionPolicy, or name one with --policy FILE, or say --from-cluster"
        )
    text = read_text(file, _folders(start.resolve())[-1], Path(shown(file)))
    return _configuration([(text, shown(file))])


def read_cluster(cluster: Policies) -> Configuration:
    """The policies of a cluster; what cannot be used there is a problem to tell, as it is for the operator.

    Raises:
        PolicyError: there is none that can be used.
        NeedsHuman, RetryLater: the API server refuses, or does not answer.
    """
    found, problems = list[PromotionPolicy](), list[str]()
    for resource in cluster.policies():
        try:
            found.append(parse_policy(resource))
        except PolicyError as error:
            problems.append(f"PromotionPolicy {resource['metadata']['name']} cannot be used: {error}")
    if not found:
        raise PolicyError("; ".join(["the cluster has no PromotionPolicy that can be used", *problems]))
    return Configuration(tuple(found), "the cluster", _namespaces(cluster), tuple(problems))


def _namespaces(cluster: Policies) -> Mapping[str, Namespace] | None:
    try:
        metadata = [each["metadata"] for each in cluster.namespaces()]
    except NeedsHuman as error:
        if error.reason is not Reason.DENIED:
            raise
        return None  # who may not list them sees no labels, as without a cluster
    return {each["name"]: Namespace(each["name"], dict(each.get("labels", {}))) for each in metadata}


def shown(file: Path) -> str:
    """A path as short as it can be named from here."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def find(start: Path) -> Path | None:
    """The `transship.yaml` that counts for a folder: the nearest one, no further up than its git repository."""
    folder = start.resolve()
    for each in _folders(folder):
        if (each / CONFIGURATION).is_file():
            return each / CONFIGURATION
    return None


def _folders(folder: Path) -> Sequence[Path]:
    upwards = [folder, *folder.parents]
    roots = [at for at, each in enumerate(upwards) if (each / ".git").exists()]
    return upwards[: roots[0] + 1] if roots else upwards[:1]


def _unwrapped(resources: Iterable[Mapping[str, Any]], name: str) -> Iterable[Mapping[str, Any]]:
    for resource in resources:
        if "policies" not in resource:
            yield resource
            continue
        listed = resource["policies"]
        if set(resource) != {"policies"} or not isinstance(listed, list):
            raise PolicyError(f"{name}: policies is a list of PromotionPolicies, and stands in its document alone")
        for each in listed:
            if not isinstance(each, dict):
                raise PolicyError(f"{name}: policies has an entry that is no PromotionPolicy: {str(each)[:80]!r}")
            yield _KINDLESS | each


def _unique(policies: tuple[PromotionPolicy, ...]) -> tuple[PromotionPolicy, ...]:
    seen: set[str] = set()
    for each in policies:
        if each.name in seen:
            raise PolicyError(f"two PromotionPolicies are called {each.name}; give each a name of its own")
        seen.add(each.name)
    return policies
