"""What we may do, asked of the API server itself before it is tried."""

import time
from collections.abc import Iterable

from transship.cluster.api import Api
from transship.errors import NeedsHuman, Reason
from transship.promotion.rights import Wanted, advice, describe

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


class Access:
    """Asks about our own rights, which everybody may unless an administrator forbids it.

    Args:
        api: the API server.
        who: we, as a message calls us.
    """

    def __init__(self, api: Api, who: str) -> None:
        self._api = api
        self._who = who

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Those of the rights that we do not have.

        Raises:
            RetryLater: the API server does not answer.
        """
        try:
            return [each for each in wanted if not self._may(each)]
        except NeedsHuman as error:
            if error.reason is not Reason.DENIED:
                raise
            return []  # who may not even ask finds out by trying

    def require(self, wanted: Iterable[Wanted]) -> None:
        """See that we have all of the rights; those that were just given take a moment to count.

        Raises:
            NeedsHuman: Denied, naming what is missing and what gives it.
            RetryLater: the API server does not answer.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        missing = list(wanted)
        while missing := self.missing(missing):
            if time.monotonic() >= deadline:
                sentence = f"{self._who} may not: {describe(missing)}; {advice(missing)}"
                raise NeedsHuman(Reason.DENIED, sentence)
            time.sleep(_PAUSE_SECONDS)

    def _may(self, wanted: Wanted) -> bool:
        namespace, right = wanted
        plural, _, subresource = right.resource.partition("/")
        attributes = {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": plural,
            "subresource": subresource,
            "name": right.name,
        }
        answer = self._api.create(_REVIEWS, {"spec": {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])
