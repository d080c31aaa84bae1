"""One active replica, by a coordination Lease.

The client library's own election can neither be stopped nor let go of its Lease at the end, which would cost every
restart a full lease; and it compares wall clocks of two machines. Here a Lease counts as held for its duration since
*this* process last saw it change, by the monotonic clock (fault F3), and is released on a clean stop.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from transship.errors import TransshipError
from transship.operator.ports import Leases

_log = structlog.get_logger(__name__)
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class Leader:
    """Acquires, renews and releases the Lease.

    Args:
        leases: reads and writes it.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this replica.
        seconds: how long the Lease is good for without renewal; it is renewed three times as often.
    """

    def __init__(self, leases: Leases, *, namespace: str, name: str, identity: str, seconds: float) -> None:
        self._leases = leases
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed_at = 0.0
        self._is_leading = False

    @property
    def is_leading(self) -> bool:
        """Whether this replica is the active one; false from the moment its Lease may have run out."""
        return self._is_leading and time.monotonic() - self._renewed_at < self._seconds

    def acquire(self, stopping: threading.Event) -> bool:
        """Wait until this replica is the active one; false when told to stop first."""
        _log.info("waiting for the lease", lease=f"{self._namespace}/{self._name}", identity=self._identity)
        while not stopping.is_set():
            if self._try():
                self._is_leading = True
                _log.info("lease acquired", lease=f"{self._namespace}/{self._name}", identity=self._identity)
                return True
            stopping.wait(self._seconds / 5)
        return False

    def keep(self, stopping: threading.Event, on_lost: Callable[[], None]) -> None:
        """Renew until told to stop; when the Lease is lost, say so and return."""
        while not stopping.wait(self._seconds / 3):
            self._try()
            if not self.is_leading:
                self._is_leading = False
                _log.error("lease lost", lease=f"{self._namespace}/{self._name}", identity=self._identity)
                on_lost()
                return

    def guard(self, stopping: threading.Event, on_lost: Callable[[], None]) -> None:
        """Watch the clock until told to stop; when the Lease has run out, say so and return.

        A renewal may hang in a call for longer than the Lease is good for, and another replica does not wait for that.
        """
        while not stopping.wait(self._seconds / 20):
            if not self.is_leading:
                _log.error("lease ran out", lease=f"{self._namespace}/{self._name}", identity=self._identity)
                on_lost()
                return

    def release(self) -> None:
        """Let go of the Lease, so that another replica need not wait for it to run out."""
        if not self.is_leading:
            return
        self._is_leading = False
        try:
            lease = self._leases.lease(self._namespace, self._name)
            if lease is not None and lease.get("spec", {}).get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._leases.write_lease(lease)
        except TransshipError as error:
            _log.warning("lease not released", note=str(error))

    def _try(self) -> bool:
        """Acquire or renew once; failures of the API server count as "not now"."""
        started = time.monotonic()
        try:
            lease = self._leases.lease(self._namespace, self._name)
            if lease is not None and self._is_held_by_another(lease):
                self._is_leading = False  # somebody took it; what is left of our own time does not count any more
                return False
            written = self._leases.write_lease(self._mine(lease))
        except TransshipError as error:
            _log.warning("lease not written", note=str(error))
            return False
        if written is None:
            if lease is None:
                _log.warning(
                    "lease not written", note="is there a namespace of that name, and the right to write there?"
                )
            return False
        self._renewed_at = started
        return True

    def _is_held_by_another(self, lease: dict[str, Any]) -> bool:
        spec = lease.get("spec") or {}  # an installation may bring an empty Lease, so that it need not be created
        holder = spec.get("holderIdentity")
        if holder == self._identity:
            return False
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
        if not holder:
            return False
        seconds = float(spec.get("leaseDurationSeconds") or self._seconds)
        return time.monotonic() - self._seen[1] < seconds

    def _mine(self, lease: dict[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime(_TIME_FORMAT)
        spec = dict(lease.get("spec") or {}) if lease else {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + (1 if lease else 0)
        spec |= {"holderIdentity": self._identity, "renewTime": now, "leaseDurationSeconds": max(1, int(self._seconds))}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease["metadata"] if lease else {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
