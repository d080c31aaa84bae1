"""The scheduling gates of pods: finding ours and taking them off."""

from collections.abc import Iterator, Sequence
from typing import Any

from transship.cluster.api import Api, Conflict, NotFound
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.promotion.admission import is_gated, lift_patch

_PAGE = 500
_ATTEMPTS = 5
_PENDING = "status.phase=Pending"  # a pod with a gate has no other phase


class SchedulingGates:
    """Finds and lifts our gates. Thread-safe. Errors are those of `Api` unless said otherwise.

    Args:
        api: the API server.
        namespaces: where to look; everywhere when there are none.
    """

    def __init__(self, api: Api, namespaces: Sequence[str] = ()) -> None:
        self._api = api
        self._namespaces = tuple(namespaces)

    def gated_pods(self) -> Iterator[dict[str, Any]]:
        """All pods that have our gate, whatever their labels say."""
        if not self._namespaces:
            yield from self._gated_pods("/api/v1/pods")
        for namespace in self._namespaces:
            try:
                yield from self._gated_pods(f"/api/v1/namespaces/{namespace}/pods")
            except NeedsHuman as error:
                if error.reason is not Reason.DENIED:
                    raise
                # There is no Role in a namespace that does not exist; of one that is there the operator says so.

    def _gated_pods(self, path: str) -> Iterator[dict[str, Any]]:
        query = {"fieldSelector": _PENDING, "limit": str(_PAGE)}
        while True:
            page = self._api.get(path, query)
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
