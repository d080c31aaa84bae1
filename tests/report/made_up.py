"""Objects as a cluster holds them, made up where no real run would make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

REGISTRY = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
SOURCE = "111111111111.dkr.ecr.eu-west-1.amazonaws.com"
NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
MEBIBYTE = 1 << 20
Resource = dict[str, Any]


def ago(**span: float) -> str:
    """A moment before NOW, as Kubernetes writes it."""
    return (NOW - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def image(name: str, reference: str, **more: Any) -> Resource:
    """An image of a status that has arrived, unless more says otherwise."""
    return {
        "name": name,
        "source": reference.replace(REGISTRY, SOURCE),
        "destination": reference,
        "digest": f"sha256:{'a' * 64}",
        "outcome": "Copied",
        "reason": "Promoted",
        "bytesTotal": 60 * MEBIBYTE,
        "bytesCopied": 12 * MEBIBYTE,
        "bytesSkipped": 48 * MEBIBYTE,
        "startedAt": ago(minutes=10),
        "finishedAt": ago(minutes=9, seconds=51),
        **more,
    }


def missing(name: str, reference: str, reason: str = "SourceMissing", message: str = "", **more: Any) -> Resource:
    """An image of a status that cannot be promoted."""
    told = {"name": name, "destination": reference, "outcome": "Refused", "reason": reason}
    return told | {
        "message": message or f"{reference} does not exist; push it there",
        "startedAt": ago(minutes=5),
        **more,
    }


def status(phase: str, reason: str = "", message: str = "", *images: Resource, **more: Any) -> Resource:
    """A status in which a request has come to a phase."""
    ready = {"Promoted": "True", "Promoting": "Unknown", "Pending": "Unknown"}.get(phase, "False")
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason or phase,
        "message": message or "a sentence",
        "observedGeneration": 1,
        "lastTransitionTime": ago(minutes=5),
    }
    return {"phase": phase, "observedGeneration": 1, "conditions": [condition], "images": list(images), **more}


def request(name: str, *references: str, told: Resource | None = None, **more: Any) -> Resource:
    """A PromotionRequest; `owner`, `application` and `revision` say who asked, `namespace` where, `made` when."""
    namespace = more.get("namespace", "shop")
    trigger = {"kind": "Job", "name": more["owner"]} if "owner" in more else {}
    trigger |= {key: more[key] for key in ("application", "revision") if key in more}
    containers = [{"name": f"c{number}", "image": each} for number, each in enumerate(references)]
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "generation": 1,
            "creationTimestamp": more.get("made", ago(minutes=10)),
            "annotations": more.get("annotations", {}),
        },
        "spec": {"containers": containers, **({"trigger": trigger} if trigger else {})},
        "status": told or {},
    }


def promoted(name: str, *references: str, **more: Any) -> Resource:
    """A request all of whose images have arrived."""
    images = [image(f"c{number}", each) for number, each in enumerate(references)]
    told = status("Promoted", "Promoted", "promoted", *images, policy="shop-to-production", startedAt=ago(minutes=10))
    return request(name, *references, told=told, **more)


def listed(*resources: Resource) -> Resource:
    """What `kubectl get -o json` prints."""
    return {"apiVersion": "v1", "kind": "List", "items": list(resources)}
