"""PromotionRequests: one promotion of one set of images for one owner.

A request is the queue between an event and the work, and afterwards the history of it. Its name is computed from its
owner and the images, so that whoever sees the same event again finds the same request, and a changed tag makes a new
one, as ReplicaSets do.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transship.errors import NeedsHuman, Reason
from transship.promotion.argocd import POLICY, TIMEOUT, Options, Origin, parse_origin
from transship.promotion.duration import parse_duration
from transship.promotion.status import RequestStatus, parse_status
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey, parse_time

API_VERSION = "transship.dev/v1alpha1"
KIND = "PromotionRequest"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OWNER_KIND_LABEL = "transship.dev/owner-kind"
OWNER_LABEL = "transship.dev/owner"
DEFAULT_TIMEOUT_SECONDS = 1800.0
_MIN_TIMEOUT, _MAX_TIMEOUT = 10.0, 86400.0
_MAX_NAME = 253
_MAX_LABEL = 63
_MAX_IMAGES, _MAX_IMAGE = 64, 1024


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
        policy: the only PromotionPolicy to go by; empty for whichever covers the images.
        owner: the workload or hook it was made for; None when somebody wrote it by hand.
        owner_uid: identity of the object that first asked for it; empty when unknown.
        application: the Argo CD application that it, or whoever it was made for, belongs to; empty if none.
        origin: what Argo CD says on the request itself.
        is_ours: made by this operator, which may therefore delete it.
        is_unowned: nothing takes it along when it is deleted, as for a request that was made for a hook.
    """

    key: RequestKey
    uid: str
    generation: int
    created_at: datetime
    containers: tuple[ContainerImage, ...]
    timeout_seconds: float
    policy: str
    is_suspended: bool
    owner: WorkloadKey | None
    owner_uid: str
    application: str
    origin: Origin
    is_ours: bool
    is_unowned: bool
    status: RequestStatus

    @property
    def regarding(self) -> Mapping[str, str]:
        """How an event names it."""
        key = self.key
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": self.uid,
        }

    @property
    def is_gate(self) -> bool:
        """A sync waits for it, or for the hook it was made for: its images are what the application names there."""
        if self.is_ours:
            return self.owner is not None and self.owner.kind == "Job" and self.is_unowned
        return bool(self.origin.application)


def parse_request(resource: Mapping[str, Any]) -> PromotionRequest:
    """Turn a PromotionRequest custom resource into a value."""
    metadata, spec = resource["metadata"], resource["spec"]
    trigger = spec.get("trigger")
    origin = parse_origin({**resource, "apiVersion": API_VERSION, "kind": KIND})
    return PromotionRequest(
        key=RequestKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        created_at=parse_time(metadata["creationTimestamp"]),
        containers=tuple(ContainerImage(each["name"], each["image"]) for each in spec["containers"]),
        timeout_seconds=_timeout(spec.get("timeout")),
        policy=spec.get("policy", ""),
        is_suspended=spec.get("suspend", False),
        owner=WorkloadKey(trigger["kind"], metadata["namespace"], trigger["name"]) if trigger else None,
        owner_uid=trigger.get("uid", "") if trigger else "",
        application=origin.application or (trigger or {}).get("application", ""),
        origin=origin,
        is_unowned=not metadata.get("ownerReferences"),
        is_ours=metadata.get("labels", {}).get(MANAGED_BY_LABEL) == "transship",
        status=parse_status(resource.get("status") or {}),
    )


def _timeout(text: str | None) -> float:
    # The CRD's schema has checked the form; a forged object without it gets the default rather than a crash.
    try:
        return parse_duration(text) if text else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS


def request_name(owner: WorkloadKey, images: Iterable[ContainerImage], options: Options | None = None) -> str:
    """Deterministic name: the owner's name and a short digest of its kind, its image set and its options."""
    asked = [options.timeout, options.policy] if options is not None and options != Options() else []
    # JSON, because an image that does not parse may hold any separator.
    content = json.dumps([owner.kind, owner.name, sorted((each.name, each.image) for each in images), *asked])
    short = hashlib.sha256(content.encode()).hexdigest()[:10]
    return f"{owner.name[: _MAX_NAME - len(short) - 1].rstrip('.-')}-{short}"


def request_for(workload: Workload, images: Iterable[ContainerImage]) -> dict[str, Any]:
    """The PromotionRequest to create for a workload or hook and those of its images that are to be promoted.

    A workload owns its requests, so they go with it. A request made for a hook has no owner: Argo CD deletes hooks,
    and the request is their history (design §4).

    Raises:
        NeedsHuman: InvalidRequest when the images or the hook's options do not fit into a request.
    """
    chosen = tuple(images)
    require_fitting(chosen)
    owner, origin = workload.key, workload.origin
    options = options_of(workload)
    metadata: dict[str, Any] = {
        "name": request_name(owner, chosen, options),
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
        **({"application": origin.application} if origin.application else {}),
        **({"revision": origin.revision} if origin.revision else {}),
    }
    spec: dict[str, Any] = {
        "containers": [{"name": each.name, "image": each.image} for each in chosen],
        "trigger": trigger,
        **({"timeout": _checked_timeout(options.timeout)} if options.timeout else {}),
        **({"policy": _checked_policy(options.policy)} if options.policy else {}),
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def options_of(workload: Workload) -> Options:
    """What the request of a workload or hook is made with: only a hook's author can be asked for options."""
    return workload.origin.options if workload.is_hook else Options()


def require_fitting(images: Sequence[ContainerImage]) -> None:
    """See that images fit into one request.

    Raises:
        NeedsHuman: InvalidRequest: they are too many, or one is too long.
    """
    if len(images) > _MAX_IMAGES:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"these are {len(images)} images, and one request takes at most {_MAX_IMAGES}; split them up",
        )
    for each in images:
        if len(each.image) > _MAX_IMAGE:
            raise NeedsHuman(
                Reason.INVALID_REQUEST,
                f"the image of {each.name} has {len(each.image)} characters, and no reference has more than "
                f"{_MAX_IMAGE}; write registry/repository:tag",
            )


def _checked_policy(text: str) -> str:
    if len(text) > _MAX_NAME:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"annotation {POLICY} has {len(text)} characters, which is no name of a PromotionPolicy; name one or none",
        )
    return text


def _checked_timeout(text: str) -> str:
    try:
        is_within = _MIN_TIMEOUT <= parse_duration(text) <= _MAX_TIMEOUT
    except ValueError:
        is_within = False
    if not is_within:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"annotation {TIMEOUT} is {text[:40]!r}; write a duration such as 15m, between 10s and 24h",
        )
    return text


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
