"""The tags of one repository (distribution-spec 1.1, "Listing tags")."""

import json
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from urllib3.exceptions import HTTPError

from transship.errors import Reason, Side
from transship.oci.reference import Repository, Tag
from transship.registry.answer import Answer
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure, unreachable
from transship.registry.pace import Kind
from transship.registry.redirect import next_query

PAGE = 1000
"""Tags asked for at a time; ECR takes no larger page (copy-peers.md §5)."""
MAX_PAGES = 1000
MAX_PAGE_BYTES = 4 * 1024 * 1024


class Tags:
    """Lists tags. Thread-safe."""

    def __init__(self, exchange: Exchange, repository: Repository, side: Side) -> None:
        self._exchange = exchange
        self._repository = repository
        self._asked = Asked(side, "list tags", repository, "the list of tags")

    def all(self) -> Iterator[Tag]:
        """Every tag of the repository, page by page; none when the repository does not exist.

        Tags that break the grammar are left out: nothing could name them.

        Raises:
            RetryLater: the list cannot be had now, or does not end.
            NeedsHuman: whatever the registry refuses for good.
        """
        path, query = f"{self._repository.path}/tags/list", f"?n={PAGE}"
        for _ in range(MAX_PAGES):
            response, host = self._exchange.fetch(self._asked, Request("GET", path + query, kind=Kind.TAGS))
            if response.status != HTTPStatus.OK:
                refusal = Refusal.read(response)
                if refusal.status == HTTPStatus.NOT_FOUND:
                    return
                raise failure(self._asked, refusal)
            yield from self._tags(host, self._read(host, response))
            query = next_query(self._asked, response)
            if not query:
                return
        raise self._asked.retry(Reason.REGISTRY_ERROR, f"the list of tags of {self._repository} does not end")

    def _read(self, host: str, response: Answer) -> bytes:
        try:
            content = response.read(MAX_PAGE_BYTES + 1)
        except HTTPError as error:
            raise unreachable(self._asked, host, error) from None
        finally:
            response.close()
        if len(content) > MAX_PAGE_BYTES:
            raise self._asked.retry(Reason.REGISTRY_ERROR, f"{host} sent a list of tags that is too large")
        return content

    def _tags(self, host: str, content: bytes) -> Iterator[Tag]:
        try:
            names = json.loads(content)["tags"] or []  # null is how some say that there are none
        except (ValueError, KeyError, TypeError, RecursionError):
            names = None
        if not isinstance(names, list):
            # Taking it for an empty list would leave images behind, and say that all of them were copied.
            raise self._asked.retry(Reason.REGISTRY_ERROR, f"{host} sent something else for {self._asked.what}")
        for name in names:
            with suppress(ValueError):
                yield Tag.parse(str(name))
