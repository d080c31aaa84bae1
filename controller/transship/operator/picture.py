"""Policies and namespaces as they are, when what the watches told may not be enough.

Watches of different kinds are not in step: a hook may be seen before the policy or the namespace it needs. A refusal
is final for a hook, so before one is given the API server itself is asked.
"""

from collections.abc import Callable, Iterable, Sequence

from transship.oci.reference import Reference
from transship.operator.known import Known
from transship.operator.ports import Cluster
from transship.promotion.policy import Namespace, PromotionPolicy, covering
from transship.promotion.workload import ContainerImage


class Picture:
    """What `Known` knows, made up to date where that matters.

    Args:
        known: what the watches told.
        cluster: asked when that is not enough.
        policies_changed: called when asking brought a policy that no watch has told of yet.
        namespace_changed: called with a namespace whose labels no watch has told of yet.
    """

    def __init__(
        self,
        known: Known,
        cluster: Cluster,
        policies_changed: Callable[[], None],
        namespace_changed: Callable[[str], None],
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._policies_changed = policies_changed
        self._namespace_changed = namespace_changed

    def load(self) -> None:
        """Read all policies and namespaces: nothing is judged before they are known."""
        for namespace in self._cluster.namespaces():
            self._known.see_namespace(namespace)
        self._load_policies()

    def namespace(self, name: str) -> Namespace:
        """A namespace with its labels; one that is gone has none."""
        if self._known.namespace(name) is None:
            self._load_namespace(name)
        return self._known.namespace(name) or Namespace(name)

    def rules_for(self, containers: Iterable[ContainerImage], name: str) -> tuple[Sequence[PromotionPolicy], Namespace]:
        """All usable policies, and a namespace; both are read again when those known leave an image uncovered."""
        policies, namespace = self._known.policies(), self.namespace(name)
        if all(_is_covered(each.image, policies, namespace) for each in containers):
            return policies, namespace
        self._load_policies()
        self._load_namespace(name)
        return self._known.policies(), self.namespace(name)

    def _load_namespace(self, name: str) -> None:
        news = [namespace for namespace in self._cluster.namespaces(name) if self._known.see_namespace(namespace)]
        if news:
            self._namespace_changed(name)

    def _load_policies(self) -> None:
        news = [policy for policy in self._cluster.policies() if self._known.see_policy(policy)]
        if news:
            self._policies_changed()


def _is_covered(image: str, policies: Sequence[PromotionPolicy], namespace: Namespace) -> bool:
    try:
        return bool(covering(policies, namespace, Reference.parse(image)))
    except ValueError:
        return True  # no policy can help a reference that does not parse
