"""The ledger: how many requests and bytes each principal spent, per registry and action.

Tests assert call counts with it, not only outcomes. Actions are spelt as IAM does: ``ecr:PutImage``,
``sts:AssumeRole``, ``s3:GetObject`` for the blob host, ``v2:Ping`` for a bare ``GET /v2/``. A v2 call counts as the
API action that ECR translates it into (facts §2).
"""

import threading
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is counted apart: the registry that was asked, the action, and who asked."""

    account: str
    region: str
    action: str
    principal: str


@dataclass(slots=True)
class Count:
    """What is counted.

    Attributes:
        requests: requests that reached the action, refused ones included.
        refused: those of them that were answered with an error.
        bytes_in: bytes of request bodies.
        bytes_out: bytes of response bodies.
    """

    requests: int = 0
    refused: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Ledger:
    """Counts, safe to read from another thread than the server's."""

    def __init__(self) -> None:
        self._counts: dict[Key, Count] = {}
        self._lock = threading.Lock()

    def add(self, key: Key, *, requests: int = 0, refused: int = 0, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Add to one row."""
        with self._lock:
            count = self._counts.setdefault(key, Count())
            count.requests += requests
            count.refused += refused
            count.bytes_in += bytes_in
            count.bytes_out += bytes_out

    def total(self, **where: str) -> Count:
        """Sum the rows whose account, region, action or principal equal the given values.

        Example: ``ledger.total(action="ecr:PutImage", account="222222222222").requests``.
        """
        result = Count()
        with self._lock:
            for key, count in self._counts.items():
                if all(getattr(key, name) == value for name, value in where.items()):
                    result.requests += count.requests
                    result.refused += count.refused
                    result.bytes_in += count.bytes_in
                    result.bytes_out += count.bytes_out
        return result

    def rows(self) -> list[dict[str, Any]]:
        """List all rows, sorted, as plain objects with camel-case names."""
        with self._lock:
            items = [(asdict(key), asdict(count)) for key, count in sorted(self._counts.items())]
        return [key | {_camel(name): value for name, value in count.items()} for key, count in items]

    def reset(self) -> None:
        """Forget everything, for a test that starts counting here."""
        with self._lock:
            self._counts.clear()


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
