"""The scheduling gates of pods: finding ours and taking them off."""

from collections.abc import Iterator
from typing import Any

from transship.cluster.api import Api, Conflict, NotFound
from transship.errors import Reason, RetryLater
from transship.promotion.admission import is_gated, lift_patch

_PAGE = 500
_ATTEMPTS = 5
_PENDING = "status.phase=Pending"  # a pod with a gate has no other phase


class SchedulingGates:
    """Finds and lifts our gates. Thread-safe. Errors are those of `Api` unless said otherwise."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def gated_pods(self) -> Iterator[dict[str, Any]]:
        """All pods that have our gate, whatever their labels say."""
        query = {"fieldSelector": _PENDING, "limit": str(_PAGE)}
        while True:
            page = self._api.get("/api/v1/pods", query)
            yield from (pod for pod in page["items"] if is_gated(pod))
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    def lift(self, namespace: str, name: str, uid: str) -> bool:
        """Take our gate and label off this very pod; False when it has none, is gone, or another has its name.

        Raises:
            RetryLater: somebody else changes the pod all the time.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        for _ in range(_ATTEMPTS):
            try:
                pod = self._api.get(path)
                patch = lift_patch(pod) if pod["metadata"]["uid"] == uid else []
                if not patch:
                    return False
                self._api.patch(path, patch)
            except NotFound:
                return False
            except Conflict:
                continue
            return True
        raise RetryLater(Reason.UNREACHABLE, f"pod {namespace}/{name} is changed by somebody else all the time")
