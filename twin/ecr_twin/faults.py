"""Faults: what goes wrong, where, and at which call (X1 to X10, facts §8).

A fault is data. It says what happens (`Fault.kind`), to which requests (method, URL, action), and to which of those
(from the n-th, so many times). The faults of a twin are changed while it runs: in process by ``twin.faults``, from
outside by ``/_twin/faults``, from the start by ``faults:`` of the configuration.

This module decides who is struck and keeps the record of it; `streams`, `interference` and `proxy` do the damage.
"""

import random
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from ecr_twin.errors import ConfigError
from ecr_twin.profile import spelling

#: What faults of each kind are asked for: an HTTP exchange, an action of the API, a connection, or the state.
PLACES: Mapping[str, str] = {
    "reset": "exchange",  # X1
    "truncate": "exchange",  # X2
    "flip": "exchange",  # X2
    "status": "exchange",  # X3
    "slow": "exchange",  # X4
    "stall": "exchange",  # X5
    "random": "exchange",  # X1 to X5, by dice
    "vanish": "action",  # X6
    "stale": "state",  # X7
    "foreign": "action",  # X8
    "skew": "state",  # X9
    "unreachable": "connection",  # X10
}
#: X8: what a foreign writer may do.
WRITES = frozenset((
    "move-tag", "delete-tag", "edit-policy", "delete-repository", "create-repository", "delete-image", "purge-layers",
))  # fmt: skip
_CHOICES: Mapping[str, frozenset[str]] = {
    "kind": frozenset(PLACES),
    "direction": frozenset(("request", "response")),
    "when": frozenset(("before", "after")),
    "how": frozenset(("dns", "tls")),
    "write": WRITES | {""},
}
#: What dice choose from: faults after which a client that tries again gets everything right.
_DICE = ("reset-request", "reset-response", "truncate", "flip", "status-before", "status-after", "slow")
_UPLOAD = re.compile(r"/blobs/uploads/[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: a key of `PLACES`.
        method: HTTP method, any when empty.
        url: host and path with ``*`` and ``?``, for example ``222*/v2/app/manifests/*``; any when empty. Faults of
            actions are asked with ``<registry host>/<repository>``, those of connections with the host. The default
            of ``unreachable`` is the blob host.
        action: of the API, ``PutImage``; a v2 call is asked as the action it translates into; ``GetObject`` is the
            blob host's.
        nth: strikes from the n-th request on that fits.
        times: how many of them are struck, 0 for all. ``stale`` and ``skew`` last until they are removed.
        direction: ``reset``, ``stall``, ``slow``: of the request's body, or of the response's.
        at: ``reset``, ``truncate``, ``stall``: after so many bytes of the body; 0 of a response is before its head.
            ``flip``: the byte at this place.
        status: ``status``: 500, 502, 503 or any other.
        when: ``status``, ``foreign``: before the effect, or after it: then the acknowledgement is lost.
        seconds: ``slow``: added to every answer; ``stall``: how long, 0 for as long as the client stays; ``stale``: how
            long reads miss a write, by the twin's clock; ``skew``: how far the twin's clock is ahead of the machine's.
        bytes_per_second: ``slow``: of each connection, 0 for no cap.
        total_bytes_per_second: ``slow``: of all connections that the fault strikes, together.
        how: ``unreachable``: the name does not resolve, or an unknown authority has signed the certificate.
        write: ``foreign``: one of `WRITES`.
        repository: ``foreign``: of which repository; that of the call when empty.
        tag: ``foreign``: which tag; for ``delete-image`` the image it points to.
        digest: ``foreign``: where the tag moves to, or which image goes; another image of the repository when empty.
        policy: ``foreign``: the new policy, None for no policy.
        probability: ``random``: how likely a request is struck.
        seed: ``random``: the same seed strikes the same requests, in whatever order they arrive.
        kinds: ``random``: what may happen, of reset-request, reset-response, truncate, flip, status-before,
            status-after and slow.
    """

    kind: str
    method: str = ""
    url: str = ""
    action: str = ""
    nth: int = 1
    times: int = 1
    direction: Literal["request", "response"] = "response"
    at: int = 0
    status: int = 503
    when: Literal["before", "after"] = "before"
    seconds: float = 0.0
    bytes_per_second: int = 0
    total_bytes_per_second: int = 0
    how: Literal["dns", "tls"] = "dns"
    write: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    policy: Mapping[str, Any] | None = None
    probability: float = 0.1
    seed: int = 0
    kinds: tuple[str, ...] = _DICE

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} of a fault must be one of {', '.join(sorted(choices))}.")
        if unknown := set(self.kinds) - set(_DICE):
            raise ConfigError(f"{min(unknown)} is nothing that a random fault can do; it can {', '.join(_DICE)}.")
        if self.kind == "foreign" and not self.write:
            raise ConfigError(f"A foreign fault needs write: one of {', '.join(sorted(WRITES))}.")

    def fits(self, method: str, url: str, action: str) -> bool:
        """Tell whether a request is one that this fault is about."""
        return (
            (not self.method or self.method == method)
            and (not self.action or self.action == action)
            and (not self.url or fnmatchcase(url, self.url))
        )


def read(source: Any) -> Fault:
    """Read a fault from a mapping as YAML and JSON have it, with camel-case keys.

    Raises:
        ConfigError: naming the key that is wrong.
    """
    if isinstance(source, Fault):
        return source
    if not isinstance(source, Mapping):
        raise ConfigError(f"A fault is a mapping, not {source!r}.")
    names = {spelling(item.name): item.name for item in fields(Fault)}
    if unknown := sorted(set(source) - set(names)):
        raise ConfigError(f"{unknown[0]} is not a setting of a fault; they are {', '.join(names)}.")
    if "kind" not in source:
        raise ConfigError("A fault needs a kind.")
    given: dict[str, Any] = {names[key]: tuple(value) if key == "kinds" else value for key, value in source.items()}
    for key, value in given.items():
        if key in {"nth", "times", "at", "status"} and (not isinstance(value, int) or value < 0):
            raise ConfigError(f"{key} of a fault must be a number that is not negative.")
    return Fault(**given)


class Pace:
    """A rate that several streams share (X4): every piece takes its place in one row."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0

    def delay(self, length: int, now: float) -> float:
        """Give how many seconds a piece that comes now has to wait."""
        self._free_at = max(self._free_at, now) + length / self._rate
        return self._free_at - now


@dataclass(slots=True)
class _Entry:
    fault: Fault
    pace: Pace | None
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that strikes one request, and what its strikes share."""

    fault: Fault
    pace: Pace | None = None


class Faults:
    """The faults of one twin; safe to use from other threads than the server's."""

    def __init__(self, initial: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._places: Counter[tuple[int, str, str]] = Counter()
        self._happened: list[dict[str, Any]] = []
        self._next = 1
        for fault in initial:
            self.add(fault)

    def add(self, fault: Fault | Mapping[str, Any]) -> int:
        """Add a fault; gives the number to remove it by."""
        ready = read(fault)
        if ready.kind == "unreachable" and not ready.url:
            ready = replace(ready, url="prod-*-starport-layer-bucket.s3.*")
        total = ready.total_bytes_per_second
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._entries[number] = _Entry(ready, Pace(total) if total else None)
        return number

    def remove(self, number: int) -> bool:
        """Remove a fault; tells whether it was there."""
        with self._lock:
            return self._entries.pop(number, None) is not None

    def clear(self) -> None:
        """Remove all faults, and forget what happened."""
        with self._lock:
            self._entries.clear()
            self._places.clear()
            self._happened.clear()

    def rows(self) -> list[dict[str, Any]]:
        """List the faults by their numbers, with how often each has been asked for."""
        with self._lock:
            return [{"id": number, "kind": entry.fault.kind, "seen": entry.seen} for number, entry in
                    self._entries.items()]  # fmt: skip

    def happened(self, kind: str | None = None) -> list[dict[str, Any]]:
        """List what was done: fault, kind, method, URL without its query, and action."""
        with self._lock:
            return [row for row in self._happened if kind in {None, row["kind"]}]

    @property
    def skew(self) -> float:
        """Seconds by which the twin's clock is ahead of the machine's (X9)."""
        return sum(fault.seconds for fault in self._of("skew"))

    def staleness(self, action: str = "") -> float:
        """Seconds for which reads miss a write (X7); of any action when none is named."""
        found = [fault.seconds for fault in self._of("stale") if not action or fault.action in {"", action}]
        return max(found, default=0.0)

    def strike(self, place: str, method: str, url: str, action: str = "") -> list[Strike]:
        """Say which faults strike a request at one of the places of `PLACES`; counts the request."""
        strikes = []
        with self._lock:
            for number, entry in self._entries.items():
                fault = entry.fault
                fits = fault.when == method if place == "action" else True
                if PLACES[fault.kind] != place or not fits or not fault.fits(fault.method or method, url, action):
                    continue
                entry.seen += 1
                due = entry.seen >= fault.nth and (not fault.times or entry.seen < fault.nth + fault.times)
                chosen = self._dice(number, fault, method, url) if fault.kind == "random" else fault if due else None
                if chosen is not None:
                    strikes.append(Strike(chosen, entry.pace))
                    self._happened.append(
                        {"fault": number, "kind": chosen.kind, "method": method, "url": url, "action": action}
                    )
        return strikes

    def _of(self, kind: str) -> list[Fault]:
        with self._lock:
            return [entry.fault for entry in self._entries.values() if entry.fault.kind == kind]

    def _dice(self, number: int, fault: Fault, method: str, url: str) -> Fault | None:
        place = _UPLOAD.sub("/blobs/uploads/<id>", url)
        self._places[number, method, place] += 1
        dice = random.Random(f"{fault.seed}|{method}|{place}|{self._places[number, method, place]}")
        if dice.random() >= fault.probability:
            return None
        kind, _, how = dice.choice(fault.kinds).partition("-")
        # Small numbers are likelier: most bodies are manifests, and 0 is the answer that is lost as a whole.
        at = int(dice.random() ** 4 * fault.at) if fault.at else dice.choice((0, 1, 7, 64, 300))
        given: dict[str, Any] = {"kind": kind, "at": at, "status": dice.choice((500, 502, 503))}
        if kind == "reset":
            given["direction"] = how
        elif kind == "status":
            given["when"] = how
        elif kind == "slow":
            given["seconds"] = fault.seconds * dice.random()
        return Fault(**given)
