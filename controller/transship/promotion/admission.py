"""Admission on demand: which pods wait for a promotion, and how their gate is put on and taken off.

Pure: what the registries hold is asked by the callers. The webhook puts the gate on, the operator takes it off, and
both decide by what is here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Reference
from transship.promotion.policy import Namespace, PromotionPolicy, Route, route
from transship.promotion.workload import ContainerImage

GATE = "transship.dev/promotion"
GATED_LABEL = "transship.dev/gated"
"""On a pod: it has our gate. So that the operator need not watch every pod of the cluster."""
NAMESPACE_LABEL = "transship.dev/admission"
"""`enabled` on a namespace: its pods wait for images that are missing."""
ENABLED = "enabled"
NEVER = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces whose pods never wait, whatever their labels are."""
_MIRROR = "kubernetes.io/config.mirror"
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """An image of a pod that a policy lets be promoted."""

    container: ContainerImage
    route: Route


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policies say about the images of one pod.

    Attributes:
        wishes: images that may be promoted; the pod waits for those that are missing.
        refusals: for each image that a policy speaks about and refuses, why. Nothing waits for those.
    """

    wishes: tuple[Wish, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[ContainerImage, ...]:
        """The images that may be promoted."""
        return tuple(each.container for each in self.wishes)

    @property
    def max_hold_seconds(self) -> float:
        """How long the pod may wait: as long as the strictest of its policies allows."""
        return min((each.route.policy.max_hold_seconds for each in self.wishes), default=0.0)


def judge(images: Iterable[ContainerImage], policies: Sequence[PromotionPolicy], namespace: Namespace) -> Verdict:
    """Which images of a pod may be promoted. One that no policy covers is no business of ours."""
    wishes, refusals = [], []
    for each in images:
        try:
            wishes.append(Wish(each, route(policies, namespace, Reference.parse(each.image))))
        except ValueError as error:
            if any(_means(policy, namespace, each.image) for policy in policies):
                refusals.append(f"container {each.name}: {error}; write registry/repository:tag"[:_MAX_SHOWN])
        except NeedsHuman as error:
            if error.reason is not Reason.NOT_COVERED:
                refusals.append(f"container {each.name}: {error.message}"[:_MAX_SHOWN])
    return Verdict(tuple(wishes), tuple(refusals))


def _means(policy: PromotionPolicy, namespace: Namespace, image: str) -> bool:
    return policy.namespaces.selects(namespace) and image.startswith(f"{policy.destination.registry}/")


def may_wait(pod: Mapping[str, Any]) -> bool:
    """Whether a pod that is being created can be gated at all.

    The API server refuses gates on a pod that has a node, which the mirror of a static pod has.
    """
    annotations = pod.get("metadata", {}).get("annotations") or {}
    return not pod.get("spec", {}).get("nodeName") and _MIRROR not in annotations


def is_gated(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has our gate."""
    return GATE in _gates(pod)


def is_waiting(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has our gate, and is to start once that is lifted: one that is being deleted never starts."""
    return is_gated(pod) and "deletionTimestamp" not in pod["metadata"]


def gate_patch(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The JSON patch that puts gate and label on a pod that is being created; other gates and labels stay."""
    patch: list[dict[str, Any]] = []
    if not _gates(pod):
        patch.append({"op": "add", "path": "/spec/schedulingGates", "value": [{"name": GATE}]})
    elif not is_gated(pod):
        patch.append({"op": "add", "path": "/spec/schedulingGates/-", "value": {"name": GATE}})
    labels = pod.get("metadata", {}).get("labels") or {}
    if not labels:
        patch.append({"op": "add", "path": "/metadata/labels", "value": {GATED_LABEL: "true"}})
    elif labels.get(GATED_LABEL) != "true":
        patch.append({"op": "add", "path": _label_path(), "value": "true"})
    return patch


def lift_patch(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The JSON patch that takes our gate and label off this very pod, and nothing else; empty when it has no gate."""
    gates = _gates(pod)
    if GATE not in gates:
        return []
    place = f"/spec/schedulingGates/{gates.index(GATE)}"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": pod["metadata"]["uid"]},
        {"op": "test", "path": f"{place}/name", "value": GATE},
        {"op": "remove", "path": place},
    ]
    if GATED_LABEL in (pod["metadata"].get("labels") or {}):
        patch.append({"op": "remove", "path": _label_path()})
    return patch


def _gates(pod: Mapping[str, Any]) -> list[str]:
    return [each.get("name", "") for each in pod.get("spec", {}).get("schedulingGates") or []]


def _label_path() -> str:
    return f"/metadata/labels/{GATED_LABEL.replace('/', '~1')}"
