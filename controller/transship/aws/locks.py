"""One writer at a time for each repository's settings: AWS has no versions to write against (ecr.md §5)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from transship.oci.reference import Repository


class RepositoryLocks:
    """A lock for each repository. They are few, and kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Repository, threading.Lock] = {}

    @contextmanager
    def hold(self, repository: Repository) -> Iterator[None]:
        """Be the only one in this process who reads, edits and writes the repository's settings."""
        with self._lock:
            mine = self._locks.setdefault(repository, threading.Lock())
        with mine:
            yield
