"""Yesterday's state: what reads see for a while after a write, when they are told to be stale (X7).

Every write is preceded by a copy of the whole database, which is small; a stale read is answered from the copy that
shows the world as it was that long ago. Nothing is copied while no fault asks for it.
"""

import sqlite3
from collections import deque

#: Reads that may be stale; decisions about a write never are.
READS = frozenset((
    "BatchCheckLayerAvailability", "BatchGetImage", "DescribeImages", "DescribeRepositories", "GetLifecyclePolicy",
    "GetRepositoryPolicy", "ListImageReferrers", "ListImages", "ListTagsForResource",
))  # fmt: skip
_MOST_COPIES = 64


class History:
    """Copies of the database, each with the time of the write that followed it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._copies: deque[tuple[float, sqlite3.Connection]] = deque()

    def remember(self, now: float) -> None:
        """Copy the state just before a write."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        copy.row_factory = sqlite3.Row
        self._connection.backup(copy)
        self._copies.append((now, copy))
        while len(self._copies) > _MOST_COPIES:
            self._copies.popleft()[1].close()

    def as_of(self, moment: float) -> sqlite3.Connection | None:
        """Give the state at a moment, None when nothing has been written since."""
        return next((copy for written_at, copy in self._copies if written_at > moment), None)

    def close(self) -> None:
        """Forget all copies."""
        while self._copies:
            self._copies.pop()[1].close()
