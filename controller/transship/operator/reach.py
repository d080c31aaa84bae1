"""Which of the namespaces that are named can be watched, now.

A namespace that is not there yet, or in which a right is missing, is told of once and waited for: one tenant's mistake
must not keep the others from being served. Rights are looked at one by one before anything is watched, since kopf ends
all of its watches when one of them is refused. There is no right to watch a namespace that is in a Role, so labels are
read every few seconds.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from transship.errors import TransshipError
from transship.operator.ports import Cluster
from transship.promotion.rights import Right, Wanted, describe

_INTERVAL = 10.0
_log = structlog.get_logger(__name__)


class Access(Protocol):
    """Knows our own rights."""

    def missing(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Those of the rights that we do not have."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Namespaces that are watched together until `over` is set."""

    names: tuple[str, ...] = ()
    over: threading.Event = field(default_factory=threading.Event)


class Reach:
    """Looks at the namespaces that are named.

    Args:
        names: of the namespaces.
        needs: the rights that are needed in each.
        cluster: where they are read.
        access: knows our rights.
        seen: called with a namespace each time it was read.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        needs: Sequence[Right],
        cluster: Cluster,
        access: Access,
        seen: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._names = tuple(names)
        self._needs = tuple(needs)
        self._cluster = cluster
        self._access = access
        self._seen = seen
        self._lock = threading.Lock()
        self._turn = Turn()
        self._told: dict[str, str] = {}

    @property
    def turn(self) -> Turn:
        """What can be watched now, and until when."""
        return self._turn

    def run(self, stopping: threading.Event) -> None:
        """Look again and again until told to stop."""
        while not stopping.wait(_INTERVAL):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the thread outlives every mistake made on it
                _log.exception("namespaces cannot be looked at")
        self._turn.over.set()

    def look(self, *, anew: bool = False) -> None:
        """Look which namespaces can be watched, and read them.

        Args:
            anew: also whether rights are still there that were there before.
        """
        with self._lock:
            before = self._turn
            names = tuple(name for name in self._names if self._can_watch(name, name in before.names, anew=anew))
            if names == before.names:
                return
            self._turn = Turn(names)
            before.over.set()

    def _can_watch(self, name: str, is_watched: bool, *, anew: bool) -> bool:  # noqa: FBT001 - what was so before
        try:
            why_not = self._why_not(name, is_watched=is_watched and not anew)
        except TransshipError as error:
            _log.warning("namespace cannot be looked at", namespace=name, reason=error.reason, note=str(error))
            return is_watched
        if self._told.get(name) != why_not:
            self._told[name] = why_not
            if why_not:
                _log.warning("namespace is not watched", namespace=name, note=why_not)
            else:
                _log.info("namespace is watched", namespace=name)
        return not why_not

    def _why_not(self, name: str, *, is_watched: bool) -> str:
        """Why a namespace cannot be watched, and what to do; empty when it can."""
        advice = f"apply manifests/namespaced/tenant to it (kubectl apply -n {name} -k manifests/namespaced/tenant)"
        wanted = [(name, each) for each in self._needs]
        missing = [] if is_watched else self._access.missing(wanted)
        if missing and len(missing) < len(wanted):
            return f"the operator may not: {describe(missing)}; {advice}"
        found = [] if missing else self._cluster.namespaces(name)
        if not found:
            # Where there is no namespace there is no Role either: the one cannot be told from the other.
            return f"it does not exist, or the operator has no rights in it; create it, and {advice}"
        self._seen(found[0])
        return ""
