"""Events (E1): what EventBridge would deliver about pushes and deletions, best effort as there.

They go to listeners in the process and to a file of JSON lines. Delivery can be spoilt on purpose: some are dropped,
some delivered twice, some overtaken by the next one; the same seed spoils the same ones.
"""

import json
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ecr_twin.manifests import Manifest
from ecr_twin.repositories import Repository

Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How events arrive.

    Attributes:
        file: where they are appended as JSON lines, None for nowhere.
        drop: share of events that never arrive.
        duplicate: share that arrives twice.
        reorder: share that arrives after the next one.
        seed: of the dice.
        referrer_events: the profile's answer: a referrer's push is told as ``referrer`` action only, or as ``both``.
    """

    file: Path | None = None
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    seed: int = 0
    referrer_events: str = "referrer"


PERFECT = Delivery()


class Events:
    """Makes events and delivers them, more or less."""

    def __init__(self, delivery: Delivery, clock: Callable[[], float]) -> None:
        self.delivery = delivery
        self._clock = clock
        self._dice = random.Random(delivery.seed)
        self._listeners: list[Listener] = []
        self._held: list[Mapping[str, Any]] = []
        self._arrived: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()

    def listen(self, listener: Listener) -> None:
        """Call a function with every event that arrives, in the server's thread."""
        self._listeners.append(listener)

    def arrived(self) -> list[Mapping[str, Any]]:
        """List the events that arrived so far, in the order in which they did."""
        with self._lock:
            return list(self._arrived)

    def flush(self) -> None:
        """Deliver what is held back for another event to overtake."""
        with self._lock:
            self._arrive(*self._held)
            self._held.clear()

    def pushed(self, repository: Repository, manifest: Manifest, tag: str | None) -> None:
        """Tell of a push: an ECR Image Action, or an ECR Referrer Action for what has a subject (facts §6)."""
        detail = _detail(repository, manifest.digest, "PUSH", tag)
        if manifest.subject is None or self.delivery.referrer_events == "both":
            self._emit(repository, "ECR Image Action", detail)
        if manifest.subject is not None:
            types = {"manifest-media-type": manifest.media_type, "artifact-media-type": manifest.artifact_type}
            self._emit(repository, "ECR Referrer Action", detail | types)

    def deleted(self, repository: Repository, digest: str, tag: str | None) -> None:
        """Tell of a deletion."""
        self._emit(repository, "ECR Image Action", _detail(repository, digest, "DELETE", tag))

    def _emit(self, repository: Repository, kind: str, detail: Mapping[str, Any]) -> None:
        registry, delivery = repository.registry, self.delivery
        event = {
            "version": "0",
            "id": str(uuid.UUID(int=self._dice.getrandbits(128))),
            "detail-type": kind,
            "source": "aws.ecr",
            "account": registry.account,
            "time": datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": registry.region,
            "resources": [],
            "detail": dict(detail),
        }
        dropped, twice, later = (self._dice.random() < share for share in
                                 (delivery.drop, delivery.duplicate, delivery.reorder))  # fmt: skip
        with self._lock:
            if dropped:
                return
            if later:
                self._held.append(event)
                return
            self._arrive(event, *([event] if twice else []), *self._held)
            self._held.clear()

    def _arrive(self, *events: Mapping[str, Any]) -> None:
        for event in events:
            self._arrived.append(event)
            if self.delivery.file is not None:
                with self.delivery.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(event) + "\n")
            for listener in self._listeners:
                listener(event)


def _detail(repository: Repository, digest: str, action: str, tag: str | None) -> dict[str, Any]:
    detail = {
        "result": "SUCCESS",
        "repository-name": repository.name,
        "image-digest": digest,
        "action-type": action,
    }
    return detail | ({"image-tag": tag} if tag else {})
