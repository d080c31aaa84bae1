"""The watches: how kopf is run.

Theory of operation. kopf watches every kind in every namespace it is told of, and ends all of that when one watch is
refused or it is told to stop. For all namespaces it runs once. Where namespaces are named it runs twice, each time in a
thread and an event loop of its own: once for what belongs to the cluster, and for our own Lease in our own namespace,
which need not be among those that are named; and once for the rest, in those that can be watched, anew whenever these
are others.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import kopf
import structlog

from transship.operator.events import Events, Pulse, new_registry, watch_settings
from transship.operator.gated import PodEvents
from transship.operator.reach import Reach, Turn

_BEAT, _PAUSE = 5.0, 1.0
_log = structlog.get_logger(__name__)


class Watches:
    """Watches until it is told to stop.

    Args:
        events: the handlers.
        pods: the handler of gated pods; None without the admission webhook.
        lease: namespace and name of our own Lease.
        reach: the namespaces that are named; None for all.
        stopping: set when it is time to end.
        failed: called when the watches have ended and nobody had told them to.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        events: Events,
        pods: PodEvents | None,
        lease: tuple[str, str],
        reach: Reach | None,
        stopping: threading.Event,
        failed: Callable[[], None],
    ) -> None:
        self._events = events
        self._pods = pods
        self._namespace, self._lease_name = lease
        self._reach = reach
        self._stopping = stopping
        self._failed = failed
        self._pulse = Pulse()
        runs = (self._watch_all,) if reach is None else (self._watch_cluster, self._watch_named)
        self._threads = [threading.Thread(target=run, name="watch", daemon=True) for run in runs]

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def join(self, left: Callable[[], float]) -> None:
        """Wait for the end, which has been asked for, and no longer than is left."""
        if self._reach is not None:
            self._reach.turn.over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(left())

    @property
    def have_begun(self) -> bool:
        """Whether anything is watched; a standby does not watch."""
        return all(thread.ident for thread in self._threads)

    @property
    def are_alive(self) -> bool:
        """Whether all that was begun goes on."""
        return all(thread.is_alive() for thread in self._threads)

    def silence(self) -> float:
        """Seconds since the loop of the namespaces that are named went round."""
        return self._pulse.silence() or 0.0

    def _watch_all(self) -> None:
        registry, settings = new_registry(), watch_settings(self._lease_name)
        self._events.register_cluster(registry)
        self._events.register_namespaces(registry)
        self._register_namespaced(registry, settings)
        self._guard(lambda: asyncio.run(_watch(registry, settings, self._stopping, clusterwide=True)))

    def _watch_cluster(self) -> None:
        registry, settings = new_registry(), watch_settings(self._lease_name)
        self._events.register_cluster(registry)
        self._guard(lambda: asyncio.run(_watch(registry, settings, self._stopping, namespaces=[self._namespace])))

    def _watch_named(self) -> None:
        self._guard(self._take_turns)

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception:  # noqa: BLE001 - whatever ended the watches ends this replica, and the log says what it was
            _log.exception("the watches ended")
        if not self._stopping.is_set():
            self._failed()

    def _take_turns(self) -> None:
        assert self._reach is not None  # noqa: S101 - see __init__
        while not self._stopping.is_set():
            turn = self._reach.turn
            if not turn.names:
                self._pulse.beat()
                turn.over.wait(_PAUSE)
            elif not self._watch_turn(self._reach, turn):
                return

    def _watch_turn(self, reach: Reach, turn: Turn) -> bool:
        """Watch these namespaces until others are to be watched; whether they are."""
        registry, settings = new_registry(), watch_settings(self._lease_name)
        self._register_namespaced(registry, settings)
        try:
            asyncio.run(self._watch_and_beat(registry, settings, turn))
        except Exception as error:
            # The Roles of a namespace go with it, and a watch that begins again is then refused before we have looked.
            reach.look(anew=True)
            if not turn.over.is_set():
                raise
            _log.info("the watches of namespaces begin anew", note=type(error).__name__)
        if not turn.over.is_set():
            return False
        for name in set(turn.names).difference(reach.turn.names):
            self._events.namespace_closed(name)
            if self._pods is not None:
                self._pods.namespace_closed(name)
        return True

    def _register_namespaced(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings) -> None:
        self._events.register_namespaced(registry)
        if self._pods is not None:
            self._pods.register(registry, settings)

    async def _watch_and_beat(
        self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, turn: Turn
    ) -> None:
        beating = asyncio.create_task(self._beat())  # kopf leaves alone what is there before it begins
        try:
            await _watch(registry, settings, turn.over, namespaces=turn.names)
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            self._pulse.beat()
            await asyncio.sleep(_BEAT)


async def _watch(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, until: threading.Event, **scope: Any
) -> None:
    # kopf would name us after the user, and an image need not know the one it runs as. Without peers nobody asks.
    identity: Any = "transship"
    await kopf.operator(
        registry=registry, settings=settings, standalone=True, identity=identity, stop_flag=until, **scope
    )
