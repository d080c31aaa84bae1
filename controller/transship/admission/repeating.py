"""Something that is done every few seconds, in a thread of its own that outlives every mistake made on it."""

import threading
from collections.abc import Callable

import structlog

from transship.errors import TransshipError

_log = structlog.get_logger(__name__)


class Repeating:
    """Does one thing again and again until it is stopped; says once what is in the way, until something else is.

    Args:
        name: of the thread.
        trouble: what the log says when it fails.
        act: what is done; what it raises is logged, and it is done again.
        interval: seconds between two times.
    """

    def __init__(self, name: str, trouble: str, act: Callable[[], None], interval: float) -> None:
        self._trouble = trouble
        self._act = act
        self._interval = interval
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do it no more."""
        self._stopping.set()

    @property
    def is_alive(self) -> bool:
        """The thread is there."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._act()
                self._told = ""
            except TransshipError as error:
                if self._told != str(error):
                    self._told = str(error)
                    _log.warning(self._trouble, reason=error.reason, note=self._told)
            except Exception:  # noqa: BLE001 - see the module
                _log.exception(self._trouble)
            self._stopping.wait(self._interval)
