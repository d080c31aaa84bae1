"""The report of one reconcile: what happens to the images of a request becomes its status."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from transship.errors import NeedsHuman, Reason, RetryLater, TransshipError
from transship.oci.copy import CopyProgress
from transship.oci.digest import Digest
from transship.promotion import conditions
from transship.promotion.image import Done, Plan
from transship.promotion.request import PromotionRequest
from transship.promotion.sight import Sight
from transship.promotion.status import ImageStatus, Outcome, Phase, RequestStatus
from transship.promotion.workload import ContainerImage

Publish = Callable[[RequestStatus], None]
"""Writes an intermediate status; called from any thread, one call at a time."""
Clock = Callable[[], datetime]

PUBLISH_EVERY = timedelta(seconds=3)
"""A status that only tells of progress is written no oftener than this (design §4)."""


@dataclass(slots=True)
class Job:
    """One image of the request while it is being reconciled, and what is known of it so far.

    Attributes:
        container: what is wanted.
        status: what is known.
        before: what the request said of it when this reconcile began.
        sight: its way and its repositories, once it has them.
        plan: what is to be done, once that is decided.
        leader: another container's job that does the same; this one only reports how that went.
        not_before: seconds the other side asked to be left alone.
        error: what ended it for this reconcile, where somebody or something else is to blame.
        unexpected: a mistake of this project.
        moving_since: when its first bytes were on their way.
        bytes_told: how many bytes have been handed to the destination, as far as that was told.
    """

    container: ContainerImage
    status: ImageStatus
    before: ImageStatus | None = None
    sight: Sight | None = None
    plan: Plan | None = None
    leader: "Job | None" = None
    not_before: float = 0.0
    error: TransshipError | None = None
    unexpected: Exception | None = None
    moving_since: datetime | None = None
    bytes_told: int = 0

    @property
    def policy(self) -> str:
        """The name of the policy it goes by; empty while none covers it."""
        return self.sight.way.policy.name if self.sight is not None else ""

    @property
    def is_over(self) -> bool:
        """Something happened that ends this image for this reconcile."""
        return bool(self.status.reason)

    @property
    def pinned(self) -> Digest | None:
        """The digest this promotion resolved the tag to, if it did before."""
        return Digest.parse(self.status.digest) if self.status.digest else None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of looking at a request.

    Attributes:
        status: to be written.
        is_waiting: an image can still make it by being tried again soon, though others may have failed for good.
        not_before: seconds the other side asked to be left alone.
        unexpected: exceptions that are this project's own mistakes, for the log.
        policies: for each image of the status the name of the policy it went by; empty for none.
    """

    status: RequestStatus
    is_waiting: bool = False
    not_before: float = 0.0
    unexpected: tuple[Exception, ...] = ()
    policies: tuple[str, ...] = ()


class Report:
    """Collects what happens to the images of one request. Thread-safe as far as `tell` goes."""

    def __init__(
        self,
        request: PromotionRequest,
        clock: Clock,
        publish: Publish,
        *,
        is_fresh: bool,
        publish_every: timedelta = PUBLISH_EVERY,
    ) -> None:
        self.request = request
        self._publish_every = publish_every
        self._clock = clock
        self._publish = publish
        self._started_at = clock() if is_fresh or request.status.started_at is None else request.status.started_at
        self._published_at = clock()
        self._lock = Lock()
        before = {each.name: each for each in request.status.images}
        self.jobs: Sequence[Job] = [
            self._start(each, before.get(each.name), is_fresh=is_fresh) for each in request.containers
        ]

    def _start(self, container: ContainerImage, before: ImageStatus | None, *, is_fresh: bool) -> Job:
        new = ImageStatus(container.name, destination=container.image, attempts=1, started_at=self._clock())
        if before is None or is_fresh:
            return Job(container, new, before)
        # What is being retried keeps meaning the content it meant; what ended, with its promotion, is resolved anew.
        is_ended = before.is_permanent_failure or (before.is_proven and self.request.status.finished_at is not None)
        pinned = "" if is_ended else before.digest
        attempts = before.attempts + 1
        again = replace(new, source=before.source, digest=pinned, attempts=attempts, started_at=before.started_at)
        return Job(container, again, before)

    def planned(self, job: Job, plan: Plan) -> None:
        """It is known what to do about an image."""
        job.plan = plan
        digest, before = str(plan.decision.descriptor.digest), job.before
        # An earlier attempt may have moved the tag and failed afterwards: the digest from before must not be forgotten.
        moved_from = before.previous_digest if before is not None and before.digest == digest else ""
        job.status = replace(
            job.status,
            digest=digest,
            media_type=plan.decision.descriptor.media_type,
            bytes_total=plan.bytes_total,
            previous_digest=str(plan.replaces or moved_from),
        )

    def tell(self, job: Job, state: CopyProgress) -> None:
        """Bytes have moved."""
        now = self._clock()
        job.moving_since = job.moving_since or now
        seconds = (now - job.moving_since).total_seconds()
        job.status = replace(
            job.status,
            bytes_copied=state.bytes_copied,
            bytes_skipped=state.bytes_skipped,
            bytes_per_second=int(state.bytes_copied / seconds) if seconds else None,
            blobs_total=state.blobs_total,
            blobs_done=state.blobs_done,
        )
        if self._clock() - self._published_at >= self._publish_every and self._lock.acquire(blocking=False):
            try:
                # What cannot be told now is told the next time; it must not stop the copy it is about.
                with suppress(TransshipError):
                    self._publish_now()
            finally:
                self._lock.release()

    def done(self, job: Job, done: Done) -> None:
        """The destination was seen to hold an image."""
        now = self._clock()
        if done.report is None and self._was_written_before(job):
            # That is what happened to it, by an earlier attempt or for an earlier hook; now it was seen once more.
            told = job.before or job.status
            message = conditions.shorten(done.message) if done.is_worth_saying else told.message
            job.status = replace(
                told,
                attempts=job.status.attempts,
                message=message,
                referrers=done.referrers or told.referrers,
                verified_at=now,
            )
            return
        job.status = replace(
            job.status,
            outcome=done.outcome,
            reason=Reason.PROMOTED,
            message=conditions.shorten(done.message),
            referrers=done.referrers,
            bytes_copied=done.report.bytes_copied if done.report else None,
            bytes_skipped=done.report.bytes_skipped if done.report else job.status.bytes_total,
            finished_at=now,
            verified_at=now,
        )

    @staticmethod
    def _was_written_before(job: Job) -> bool:
        before = job.before
        if before is None or not before.is_proven:
            return False
        return (before.digest, before.destination) == (job.status.digest, job.status.destination)

    def follow(self, job: Job, leader: Job) -> None:
        """Another container of the request names the same image: how that one went is how this one went."""
        job.not_before = leader.not_before
        job.status = replace(
            leader.status,
            name=job.status.name,
            attempts=job.status.attempts,
            bytes_copied=0 if leader.status.bytes_copied is not None else None,
            bytes_skipped=leader.status.bytes_total,
        )

    def failed(self, job: Job, error: Exception) -> None:
        """An image did not make it this time, or at all."""
        job.error = error if isinstance(error, TransshipError) else None
        match error:
            case RetryLater():
                job.not_before = error.after or 0.0
                job.status = replace(job.status, reason=error.reason, message=conditions.shorten(str(error)))
            case NeedsHuman():
                job.status = replace(
                    job.status,
                    outcome=Outcome.REFUSED if job.plan is None else Outcome.FAILED,
                    reason=error.reason,
                    message=conditions.shorten(str(error)),
                    finished_at=self._clock(),
                )
            case _:
                job.unexpected = error
                text = f"unexpected {type(error).__name__}; the controller's log has the details"
                job.status = replace(job.status, reason=Reason.INTERNAL_ERROR, message=text)

    def publish_plan(self) -> None:
        """Write the digests down before anything is copied (design §2); nothing is written when nothing will be."""
        if any(job.plan is not None and job.plan.writes for job in self.jobs):
            with self._lock:
                self._publish_now()

    def finish(self) -> Result:
        """The status of the whole request."""
        now = self._clock()
        images = tuple(job.status for job in self.jobs)
        overdue = now - self._started_at > timedelta(seconds=self.request.timeout_seconds)
        verdict = conditions.judge(images, is_working=False, is_overdue=overdue, since=self._started_at)
        is_final = verdict.phase in {Phase.PROMOTED, Phase.STALLED}
        status = replace(self._status(verdict, images, now), checked_at=now, finished_at=now if is_final else None)
        unexpected = tuple(job.unexpected for job in self.jobs if job.unexpected is not None)
        is_waiting = not overdue and any(each.outcome is None for each in images)
        not_before = max((job.not_before for job in self.jobs), default=0.0)
        return Result(status, is_waiting, not_before, unexpected, tuple(job.policy for job in self.jobs))

    def _publish_now(self) -> None:
        images = tuple(job.status for job in self.jobs)
        verdict = conditions.judge(images, is_working=True, is_overdue=False)
        self._publish(self._status(verdict, images, self._clock()))
        self._published_at = self._clock()

    def _status(self, verdict: conditions.Verdict, images: tuple[ImageStatus, ...], now: datetime) -> RequestStatus:
        return RequestStatus(
            phase=verdict.phase,
            observed_generation=self.request.generation,
            conditions=conditions.apply(verdict, self.request.status, self.request.generation, now),
            summary=conditions.summary(images),
            progress=conditions.progress(images),
            policy=_policies(self.jobs),
            application=self.request.application,
            bytes=sum(each.bytes_copied or 0 for each in images),
            started_at=self._started_at,
            checked_at=self.request.status.checked_at,
            images=images,
        )


def _policies(jobs: Iterable[Job]) -> str:
    return ",".join(sorted({job.policy for job in jobs if job.policy}))
