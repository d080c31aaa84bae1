"""The tags of one repository (distribution-spec 1.1, "Listing tags")."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus

from urllib3.exceptions import HTTPError

from transship.errors import Reason, Side
from transship.oci.reference import Repository, Tag
from transship.registry.answer import Answer
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure, unreachable
from transship.registry.pace import Kind

PAGE = 1000
"""Tags asked for at a time; ECR takes no larger page (copy-peers.md §5)."""
MAX_PAGES = 1000
MAX_PAGE_BYTES = 4 * 1024 * 1024

_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_LAST = re.compile(r"[?&]last=([^&#]+)")


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
        path = f"{self._repository.path}/tags/list?n={PAGE}"
        query = ""
        for _ in range(MAX_PAGES):
            response, host = self._exchange.fetch(self._asked, Request("GET", path + query, kind=Kind.TAGS))
            if response.status != HTTPStatus.OK:
                refusal = Refusal.read(response)
                if refusal.status == HTTPStatus.NOT_FOUND:
                    return
                raise failure(self._asked, refusal)
            yield from _tags(self._read(host, response))
            # Of where the next page is said to be, only the place in the list counts: the rest is known.
            link = _NEXT.search(response.headers.get("Link", ""))
            last = _LAST.search(link.group(1)) if link else None
            if last is None:
                return
            query = f"&last={last.group(1)}"
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


def _tags(content: bytes) -> Iterator[Tag]:
    try:
        names = json.loads(content)["tags"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for name in names if isinstance(names, list) else ():
        try:
            yield Tag.parse(str(name))
        except ValueError:
            continue
