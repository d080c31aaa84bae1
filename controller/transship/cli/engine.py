"""What commands promote with where there is no operator: the same promoter, with threads of its own."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from transship.cli.limits import copying_limits
from transship.cli.stopping import SIGNALS, leave
from transship.errors import Reason
from transship.oci.copier import Cancelled, Copier
from transship.oci.threads import Threads
from transship.promotion.ports import Registries
from transship.promotion.promoter import Promoter, Step
from transship.promotion.report import PUBLISH_EVERY, Job
from transship.settings import Settings

_STOP_SECONDS = 1.5
"""How long images that were asked to stop are waited for; what waits for an answer longer is left."""


@dataclass(slots=True)
class Stop:
    """Whether somebody has pressed Ctrl-C, and since when."""

    at: float | None = field(default=None)

    def on_signals(self) -> None:
        """Stop cleanly the first time, and at once the second time."""
        for number in SIGNALS:
            signal.signal(number, self._stop)

    def is_asked(self) -> bool:
        """Whether to stop."""
        return self.at is not None

    def check(self) -> None:
        """Wait no longer than images need to stop by themselves: a registry that is silent may take a minute.

        Raises:
            Cancelled: that is over.
        """
        if self.at is not None and time.monotonic() - self.at > _STOP_SECONDS:
            raise Cancelled(Reason.PENDING, "asked to stop; what has arrived stays and is not sent again")

    def _stop(self, *_: object) -> None:
        if self.at is not None:
            leave()
        self.at = time.monotonic()


def build_promoter(
    settings: Settings, registries: Registries, stop: Stop, *, publish_every: timedelta = PUBLISH_EVERY
) -> Promoter:
    """A promoter that works on as many images at once as the settings say.

    Its methods raise `Cancelled` some time after `stop` was asked for.
    """
    threads = Threads(settings.image_workers, "image")

    def run_all(step: Step, jobs: Sequence[Job]) -> None:
        threads.all([partial(step, job) for job in jobs], stop.check)

    return Promoter(registries, Copier(copying_limits(settings)), _now, run_all, publish_every=publish_every)


def _now() -> datetime:
    return datetime.now(UTC)
