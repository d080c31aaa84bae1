"""Promoting without a cluster: the promoter's own reconcile, again until nothing heals by itself any more."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock

from transship.cli.configuration import Configuration
from transship.cli.engine import Stop, build_promoter
from transship.cli.planning import PlannedImage, WantedImage, request_of, split
from transship.cli.progress import Watcher
from transship.errors import Reason
from transship.oci.backoff import MAX_ASKED_SECONDS, Backoff
from transship.oci.copier import Cancelled
from transship.oci.copy import CopyProgress
from transship.promotion.ports import Registries
from transship.promotion.promoter import Occasion, Promoter
from transship.promotion.request import PromotionRequest
from transship.promotion.status import ImageStatus, Phase, RequestStatus
from transship.settings import Settings

TELL_EVERY = timedelta(seconds=0.2)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one image.

    Attributes:
        status: as a PromotionRequest has it; None when no policy covers the image.
        uncovered: what there is to say then.
    """

    wanted: WantedImage
    status: ImageStatus | None
    uncovered: PlannedImage | None = None

    @property
    def is_good(self) -> bool:
        """It is there and proven, or is nobody's business."""
        return self.status.is_proven if self.status is not None else not (self.uncovered and self.uncovered.is_wrong)


@dataclass
class Told:
    """Turns what a status says of images into what a watcher shows; keeps the last one. Thread-safe."""

    watch: Watcher
    status: RequestStatus = field(default_factory=RequestStatus)
    _begun: set[str] = field(default_factory=set)
    _ended: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def publish(self, status: RequestStatus) -> None:
        """A status has been reached."""
        with self._lock:
            self.status = status
            for image in status.images:
                self._tell(image, is_final=status.phase is Phase.STALLED)

    def _tell(self, image: ImageStatus, *, is_final: bool) -> None:
        name = image.destination or image.name
        total, copied, skipped = image.bytes_total, image.bytes_copied, image.bytes_skipped
        is_over = image.outcome is not None
        if not is_over and not image.reason and total is not None and copied is not None:
            if name not in self._begun:
                self._begun.add(name)
                self.watch.begun(name, total - (skipped or 0))
            self.watch.moved(name, CopyProgress(total, skipped or 0, copied))
        is_again = not is_over and not is_final and image.reason != Reason.PENDING
        said = f"{image.message}; trying again" if is_again and image.reason else image.message
        if said and self._ended.get(name) != said:
            self._ended[name] = said
            self._begun.discard(name)
            self.watch.ended(name, said, is_there=image.is_proven)


class Promoting:
    """Promotes images for one command.

    Args:
        settings: of the process.
        registries: of the policies.
        stop: asked for by Ctrl-C.
        timeout: how long what heals by itself is tried again, such as 30m.
    """

    def __init__(self, settings: Settings, registries: Registries, stop: Stop, timeout: str) -> None:
        self._promoter: Promoter = build_promoter(settings, registries, stop, publish_every=TELL_EVERY)
        self._stop = stop
        self._timeout = timeout

    def run(self, wanted: Sequence[WantedImage], found: Configuration, watch: Watcher) -> list[Ended]:
        """Promote images; one that fails does not stop the others, and whoever stops learns what was done."""
        ended: dict[tuple[str, str], Ended] = {}
        for namespace in dict.fromkeys(each.namespace for each in wanted):
            covered, others = split([each for each in wanted if each.namespace == namespace], found)
            ended |= {(namespace, each.wanted.image): Ended(each.wanted, None, each) for each in others}
            occasion = Occasion(
                found.policies_for(namespace), found.namespace(namespace), is_cancelled=self._stop.is_asked
            )
            told = Told(watch)
            if covered and not self._stop.is_asked():
                self._promote(request_of(namespace, covered, self._timeout), occasion, told)
            statuses = {each.name: each for each in told.status.images}
            for each in covered:
                left = ImageStatus(each.image, destination=each.image, reason=Reason.PENDING, message="not begun")
                ended[namespace, each.image] = Ended(each, statuses.get(each.image, left))
        return [ended[each.namespace, each.image] for each in wanted]

    def _promote(self, request: PromotionRequest, occasion: Occasion, told: Told) -> None:
        pauses = Backoff(sys.maxsize)  # the request's timeout ends it
        try:
            while (result := self._promoter.reconcile(request, occasion, told.publish)) is not None:
                told.publish(result.status)
                asked = min(result.not_before, MAX_ASKED_SECONDS)
                if not result.is_waiting or not pauses.rest(asked, self._stop.is_asked):
                    return
                request = replace(request, status=result.status)
        except Cancelled:
            return  # what waits for a registry that is silent is not waited for
