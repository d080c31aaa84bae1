"""Ctrl-C and SIGTERM, from the first module that is loaded to the last that is taken down.

The first signal is a `KeyboardInterrupt` wherever the program is, so that everything on the way out is cleaned up:
programs that were started, files that were begun, the terminal. The second one ends it at once, and so does a clock
when cleaning up takes too long, or a library has kept the exception to itself. A command that has more to say than one
sentence when it is stopped sets handlers of its own once it works, and ends by `leave` the second time.

Python runs handlers between two of its own steps. A signal that comes just before the main thread waits for a watch or
a lock, or that another thread gets, would be noticed once that wait is over, minutes later: a thread wakes it.
"""

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn

STOPPED = 130
"""The exit code: what shells make of a program that Ctrl-C has ended."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CLEAN_UP_SECONDS = 10
_WAKE_SECONDS = (0.1, 1.0)
_WAKE = signal.SIGURG
"""Nobody sends it here, and who does not expect it ignores it."""
_SENTENCE = b"transship: stopped\n"
_said: list[bytes] = []


class Stopped(KeyboardInterrupt):
    """As KeyboardInterrupt, of which Python remembers that it passed by, and then ends by the signal all the same."""


def begin() -> None:
    """See to it that a signal ends this process with one sentence and no traceback, whatever it is doing."""
    sys.excepthook, sys.unraisablehook = _uncaught, _unraisable
    atexit.register(_ignore)  # first, and so the last that is done: Python takes its handlers away before it ends
    for each in SIGNALS:
        signal.signal(each, _stop)
    signal.signal(_WAKE, _woken)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wake, args=(reader,), name="signals", daemon=True).start()


def _woken(*_: object) -> None:
    """Nothing: whatever waited has been interrupted, and the handlers of what came before have run."""


def _wake(reader: int) -> None:
    while received := os.read(reader, 64):
        for pause in _WAKE_SECONDS if any(each in SIGNALS for each in received) else ():
            time.sleep(pause)
            signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)


def say() -> None:
    """Tell that the command was stopped, once."""
    if not _said:
        _said.append(_SENTENCE)
        with suppress(OSError):  # standard error may be closed
            os.write(2, _SENTENCE)


def leave(*_: object) -> NoReturn:
    """End at once, also as a signal's handler."""
    say()
    os._exit(STOPPED)


def _stop(*_: object) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, leave)
    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, _CLEAN_UP_SECONDS)
    raise Stopped


def _ignore() -> None:
    """What was done is done, and its exit code the answer."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody has caught, everything on its way out being done."""
    if _is_stop(error):
        leave()
    sys.__excepthook__(kind, error, trace)


def _unraisable(found: Any) -> None:
    """What Python cannot raise where it happened: in a finalizer, or while the process ends."""
    if _is_stop(found.exc_value):
        leave()
    sys.__unraisablehook__(found)


def _is_stop(error: BaseException | None) -> bool:
    """Python gives some errors of its own in the place of what happened while a class was made, and names the cause."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__cause__ or error.__context__
    return error is not None
