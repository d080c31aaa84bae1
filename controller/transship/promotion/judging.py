"""Why a policy decides about an image in a namespace, or why it does not: each rule with the outcome that it had."""

from collections.abc import Iterable
from dataclasses import dataclass

from transship.oci.reference import Reference
from transship.promotion.policy import Namespace, PromotionPolicy


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one policy says.

    Attributes:
        policy: its name.
        covers: it is the one, or one of those, that decide.
        rule: the field that decided, such as `namespaces`.
        why: in words.
    """

    policy: str
    covers: bool
    rule: str
    why: str


def judge(policies: Iterable[PromotionPolicy], namespace: Namespace, reference: Reference) -> list[Judgement]:
    """What each policy says about an image in a namespace: those that cover it first, then the nearest misses."""
    found = [_judge(each, namespace, reference) for each in policies]
    nearness = ("repositories", "namespaces", "destination.repositoryPrefix", "destination.registry")
    return sorted(found, key=lambda each: (not each.covers, nearness.index(each.rule), each.policy))


def _judge(policy: PromotionPolicy, namespace: Namespace, reference: Reference) -> Judgement:
    """The rules in the order in which they are asked; the first that does not hold decides."""
    destination, repository = policy.destination, reference.repository
    if destination.registry != repository.registry:
        why = f"it promotes to {destination.registry}, not to {repository.registry}"
        return Judgement(policy.name, covers=False, rule="destination.registry", why=why)
    name = destination.name_of(repository)
    if name is None:
        why = f"{repository.path} is not below {destination.repository_prefix}"
        return Judgement(policy.name, covers=False, rule="destination.repositoryPrefix", why=why)
    if not policy.namespaces.selects(namespace):
        return Judgement(policy.name, covers=False, rule="namespaces", why=_unselected(policy, namespace))
    pattern = next((glob.pattern for glob in policy.repositories if glob.matches(name)), None)
    if pattern is None:
        patterns = ", ".join(each.pattern for each in policy.repositories)
        return Judgement(policy.name, covers=False, rule="repositories", why=f"{name} fits none of {patterns}")
    return Judgement(
        policy.name,
        covers=True,
        rule="repositories",
        why=f"{name} fits {pattern}, and namespace {namespace.name} is selected {_selected(policy, namespace)}",
    )


def _selected(policy: PromotionPolicy, namespace: Namespace) -> str:
    if namespace.name in policy.namespaces.names:
        return "by its name"
    return f"by its labels {_labels(policy)}"


def _unselected(policy: PromotionPolicy, namespace: Namespace) -> str:
    names, labels = policy.namespaces.names, policy.namespaces.match_labels
    ways = [f"the names {', '.join(sorted(names))}"] if names else []
    ways += [f"the labels {_labels(policy)}"] if labels else []
    has = ", ".join(f"{key}={value}" for key, value in sorted(namespace.labels.items())) or "no labels"
    return f"it selects {' and '.join(ways)}; namespace {namespace.name} has {has}"


def _labels(policy: PromotionPolicy) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(policy.namespaces.match_labels.items()))
