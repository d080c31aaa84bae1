"""Orders: see to it that an owner's PromotionRequest exists, and that only so many old ones do.

Workloads and hooks order in the same way; what they do with the request that is found differs.
"""

from collections.abc import Callable, Iterable

import structlog

from transship.operator.known import Known
from transship.operator.ports import Cluster
from transship.promotion.request import (
    PromotionRequest,
    RequestKey,
    request_for,
    require_images,
    superseded,
)
from transship.promotion.workload import ContainerImage, Workload, WorkloadKey

_log = structlog.get_logger(__name__)


class Orders:
    """Makes requests for owners.

    Args:
        known: what the watches told.
        cluster: where requests are made and removed.
        history_limit: requests kept for one owner.
        promote: called with a request that is to be looked at now.
    """

    def __init__(
        self, known: Known, cluster: Cluster, history_limit: int, promote: Callable[[RequestKey], None]
    ) -> None:
        self._known = known
        self._cluster = cluster
        self._history_limit = history_limit
        self._promote = promote

    def place(self, owner: Workload, images: Iterable[ContainerImage]) -> PromotionRequest | None:
        """The request for an owner's images, made if there is none; None when its namespace is going.

        Raises:
            NeedsHuman: InvalidRequest when the API server refuses it, or when one of that name is for other images.
        """
        wanted = tuple(images)
        resource = request_for(owner, wanted)
        key = RequestKey(owner.key.namespace, resource["metadata"]["name"])
        created = self._cluster.create_request(resource)
        found = created or self._cluster.request(key)
        if found is None:
            return None
        request, is_new = self._known.see_request(found)
        require_images(request, wanted)
        if created is not None:
            told = {"request": str(key), "request_uid": request.uid}
            _log.info("request made", **told, owner=str(owner.key), images=len(wanted))
            self._prune(owner.key, key.name)
        if created is not None or is_new:
            # One that is there already is news here before its watch tells of it, and none any more when it does.
            self._promote(key)
        return request

    def _prune(self, owner: WorkloadKey, current: str) -> None:
        for old in superseded(self._known.requests_of(owner), current, self._history_limit):
            self._cluster.delete_request(old.key, old.uid)
