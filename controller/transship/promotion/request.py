"""PromotionRequests: one promotion of one set of images for one owner.

A request is the queue between an event and the work, and afterwards the history of it. Its name is computed from its
owner and the images, so that whoever sees the same event again finds the same request, and a changed tag makes a new
one, as ReplicaSets do.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transship.errors import NeedsHuman, Reason
from transship.promotion.duration import parse_duration
from transship.promotion.status import RequestStatus, parse_status
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey, parse_time

API_VERSION = "transship.dev/v1alpha1"
KIND = "PromotionRequest"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OWNER_KIND_LABEL = "transship.dev/owner-kind"
OWNER_LABEL = "transship.dev/owner"
DEFAULT_TIMEOUT_SECONDS = 1800.0
_MAX_NAME = 253
_MAX_LABEL = 63


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What identifies a request: namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """A PromotionRequest as the API server holds it.

    Attributes:
        uid: identity of this very object.
        generation: counts changes of the spec.
        containers: destination images as written; not parsed, because a bad one must end as a reason on the request.
        timeout_seconds: how long retrying may go on before the request stalls.
        owner: the workload or hook it was made for; None when somebody wrote it by hand.
        owner_uid: identity of the object that first asked for it; empty when unknown.
        is_ours: made by this operator, which may therefore delete it.
    """

    key: RequestKey
    uid: str
    generation: int
    created_at: datetime
    containers: tuple[ContainerImage, ...]
    timeout_seconds: float
    is_suspended: bool
    owner: WorkloadKey | None
    owner_uid: str
    is_ours: bool
    status: RequestStatus


def parse_request(resource: Mapping[str, Any]) -> PromotionRequest:
    """Turn a PromotionRequest custom resource into a value."""
    metadata, spec = resource["metadata"], resource["spec"]
    trigger = spec.get("trigger")
    return PromotionRequest(
        key=RequestKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        created_at=parse_time(metadata["creationTimestamp"]),
        containers=tuple(ContainerImage(each["name"], each["image"]) for each in spec["containers"]),
        timeout_seconds=_timeout(spec.get("timeout")),
        is_suspended=spec.get("suspend", False),
        owner=WorkloadKey(trigger["kind"], metadata["namespace"], trigger["name"]) if trigger else None,
        owner_uid=trigger.get("uid", "") if trigger else "",
        is_ours=metadata.get("labels", {}).get(MANAGED_BY_LABEL) == "transship",
        status=parse_status(resource.get("status") or {}),
    )


def _timeout(text: str | None) -> float:
    # The CRD's schema has checked the form; a forged object without it gets the default rather than a crash.
    try:
        return parse_duration(text) if text else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS


def request_name(owner: WorkloadKey, images: Iterable[ContainerImage]) -> str:
    """Deterministic name: the owner's name and a short digest of its kind and image set."""
    # JSON, because an image that does not parse may hold any separator.
    content = json.dumps([owner.kind, owner.name, sorted((each.name, each.image) for each in images)])
    short = hashlib.sha256(content.encode()).hexdigest()[:10]
    return f"{owner.name[: _MAX_NAME - len(short) - 1].rstrip('.-')}-{short}"


def request_for(workload: Workload, images: Iterable[ContainerImage]) -> dict[str, Any]:
    """The PromotionRequest to create for a workload or hook and those of its images that are to be promoted.

    A workload owns its requests, so they go with it. A request made for a hook has no owner: Argo CD deletes hooks,
    and the request is their history (design §4).
    """
    chosen = tuple(images)
    owner = workload.key
    metadata: dict[str, Any] = {
        "name": request_name(owner, chosen),
        "namespace": owner.namespace,
        "labels": owner_labels(owner),
    }
    if not workload.is_hook:
        metadata["ownerReferences"] = [
            {"apiVersion": workload.api_version, "kind": owner.kind, "name": owner.name, "uid": workload.uid}
        ]
    trigger = {
        "apiVersion": workload.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": workload.uid,
        **({"application": workload.application} if workload.application else {}),
    }
    spec: dict[str, Any] = {
        "containers": [{"name": each.name, "image": each.image} for each in chosen],
        "trigger": trigger,
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def require_images(request: PromotionRequest, images: Iterable[ContainerImage]) -> None:
    """See that a request found by its computed name speaks of the images the name was computed from.

    Whoever may write requests in a namespace could have made one of that name for other images, whose promotion would
    then open somebody else's gate.

    Raises:
        NeedsHuman: InvalidRequest when it speaks of others.
    """
    if set(request.containers) != set(images):
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"PromotionRequest {request.key} has this owner's name but other images; delete it and see who wrote it",
        )


def owner_labels(owner: WorkloadKey) -> dict[str, str]:
    """Labels by which all requests of one owner are found; a name too long for a label is replaced by its digest."""
    name = owner.name if len(owner.name) <= _MAX_LABEL else hashlib.sha256(owner.name.encode()).hexdigest()[:_MAX_LABEL]
    return {MANAGED_BY_LABEL: "transship", OWNER_KIND_LABEL: owner.kind, OWNER_LABEL: name}


def superseded(requests: Iterable[PromotionRequest], current: str, limit: int) -> list[PromotionRequest]:
    """Which of an owner's requests go when only `limit` of them are kept.

    Oldest first; never the current one, one that is still being worked on, or one that this operator did not make.
    """
    finished = (each for each in requests if each.is_ours and each.status.finished_at is not None)
    old = sorted(
        (each for each in finished if each.key.name != current),
        key=lambda each: (each.created_at, each.key.name),
    )
    return old[: max(0, len(old) - (limit - 1))]
