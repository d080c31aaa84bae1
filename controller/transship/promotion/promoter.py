"""The promoter: takes one request from wanted to proven.

    route -> look (many images at once) -> resolve -> observe -> decide (plan) -> copy -> prove -> status

Everything it learns comes through `ports.Registries`, everything it says goes into a status. It is idempotent: what it
finds at the destination decides what it does, never what an earlier status says. Only the digest that a tag was
resolved to is taken from the status, so that the retries of one promotion mean one content (threat T12).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from transship.errors import NeedsHuman, Reason, Side
from transship.oci.copier import Copier
from transship.oci.copy import CopyProgress
from transship.promotion import conditions
from transship.promotion.claims import Claims, place
from transship.promotion.image import Plan, carry_out, find_route, make_plan
from transship.promotion.policy import Namespace, PromotionPolicy
from transship.promotion.ports import Registries
from transship.promotion.report import PUBLISH_EVERY, Clock, Job, Publish, Report, Result
from transship.promotion.request import PromotionRequest
from transship.promotion.sight import Sight, Sights, look
from transship.promotion.status import Phase, RequestStatus

Step: TypeAlias = Callable[[Job], object]
RunAll: TypeAlias = Callable[[Step, Sequence[Job]], None]
"""Runs a step, which never raises, for every image; maybe for several at the same time."""
Moved: TypeAlias = Callable[[str, int, int], None]
"""Hears, by the policy's name, of so many more bytes that were handed to a destination, and that need not be."""


def one_by_one(step: Step, jobs: Sequence[Job]) -> None:
    """Run a step for one image after the other."""
    for job in jobs:
        step(job)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a request is looked at.

    Attributes:
        policies: all valid PromotionPolicies.
        namespace: the request's namespace with its labels.
        is_asked: a workload or hook has asked for these images since the last verdict, which does not count then.
        is_cancelled: the request is gone or changed; stop.
    """

    policies: Sequence[PromotionPolicy]
    namespace: Namespace
    is_asked: bool = False
    is_cancelled: Callable[[], bool] = lambda: False


def _unheard(_policy: str, _copied: int, _deduplicated: int) -> None:
    """Nobody counts bytes."""


class Promoter:
    """Promotes requests. Thread-safe: many requests may be reconciled at once, the same one only once at a time.

    Args:
        registries: of all policies.
        copier: moves what is missing.
        clock: the time now.
        run_all: runs a step for all images of a request.
        publish_every: how often a status that only tells of progress is published.
        moved: hears of bytes, as they move.
    """

    def __init__(  # noqa: PLR0913 - what is needed of the world outside, and who hears of it
        self,
        registries: Registries,
        copier: Copier,
        clock: Clock,
        run_all: RunAll = one_by_one,
        *,
        publish_every: timedelta = PUBLISH_EVERY,
        moved: Moved = _unheard,
    ) -> None:
        self._publish_every = publish_every
        self._registries = registries
        self._copier = copier
        self._clock = clock
        self._run_all = run_all
        self._moved = moved
        self._claims = Claims()

    def reconcile(self, request: PromotionRequest, occasion: Occasion, publish: Publish) -> Result | None:
        """Take a request as far as it goes now; None when there is nothing to do or to say.

        Never raises for what an image or a registry does: that ends in the status.
        """
        if is_settled(request, occasion):
            return None
        if request.is_suspended:
            return self._suspend(request)
        is_fresh = _is_fresh(request, occasion)
        report = Report(request, self._clock, publish, is_fresh=is_fresh, publish_every=self._publish_every)
        self._decide(report, occasion)
        report.publish_plan()
        self._run_all(partial(self._guard, report, partial(self._carry_out, report, occasion)), report.jobs)
        for job in report.jobs:
            if job.leader is not None:
                report.follow(job, job.leader)
        return report.finish()

    def plan(self, request: PromotionRequest, occasion: Occasion) -> Sequence[Job]:
        """Look at every image of a request and decide about it; nothing is written, and nobody is told.

        Never raises for what an image or a registry does: that ends in the image's job.
        """
        report = Report(request, self._clock, lambda _: None, is_fresh=True)
        self._decide(report, occasion)
        return report.jobs

    def _decide(self, report: Report, occasion: Occasion) -> None:
        """Look at all images of a request, many at once, and decide about each."""
        with self._copier.spans.span("plan", images=len(report.jobs)) as span:
            self._decide_all(report, occasion)
            failed = next((job for job in report.jobs if job.error is not None), None)
            if failed is not None:
                span.fail(f"{failed.status.name}: {failed.status.message}")

    def _decide_all(self, report: Report, occasion: Occasion) -> None:
        sights, only = Sights(self._registries), report.request.policy
        self._run_all(partial(self._guard, report, partial(self._open, sights, occasion, only)), report.jobs)
        self._look(report)
        self._run_all(partial(self._guard, report, partial(self._plan, report)), report.jobs)
        self._join(report)

    def _suspend(self, request: PromotionRequest) -> Result:
        before = request.status
        kept = conditions.apply(conditions.SUSPENDED, before, request.generation, self._clock())
        return Result(
            replace(
                before,
                phase=Phase.SUSPENDED,
                observed_generation=request.generation,
                conditions=kept,
                started_at=None,
                finished_at=None,
            )
        )

    @staticmethod
    def _guard(report: Report, step: Step, job: Job) -> None:
        """Run one step of one image; whatever it raises becomes that image's status and nobody else's."""
        if job.is_over:
            return
        try:
            step(job)
        except Exception as error:  # noqa: BLE001 - our own mistake must not take the other images with it
            report.failed(job, error)

    @staticmethod
    def _open(sights: Sights, occasion: Occasion, only: str, job: Job) -> Sight:
        """Find an image's way and open both of its repositories."""
        way = find_route(job.container.image, occasion.policies, occasion.namespace, only)
        job.status = replace(job.status, source=str(way.source), destination=str(way.destination))
        job.sight = sights.open(way, job.pinned)
        return job.sight

    def _look(self, report: Report) -> None:
        """Ask about all images that share their repositories together; an answer that fails, fails all of them."""
        groups: dict[tuple[int, int], list[tuple[Job, Sight]]] = {}
        for job in report.jobs:
            if job.sight is not None and not job.is_over:
                groups.setdefault((id(job.sight.source), id(job.sight.destination)), []).append((job, job.sight))
        for group in groups.values():
            sights, way = [sight for _, sight in group], group[0][1].way
            places = {"source": way.source.repository, "destination": way.destination.repository}
            try:
                with self._copier.spans.span("resolve", images=len(sights), **places):
                    look(sights)
            except Exception as error:  # noqa: BLE001 - as in _guard
                for job, _ in group:
                    report.failed(job, error)

    def _plan(self, report: Report, job: Job) -> Plan:
        if job.sight is None:
            raise AssertionError("an image without a way has ended already")
        now = self._clock()
        plan = make_plan(job.sight, self._copier, job.status.started_at or now, now)
        report.planned(job, plan)
        return plan

    @staticmethod
    def _join(report: Report) -> None:
        """Of the containers that name one destination the first does the work; two contents for it are a conflict."""
        leaders: dict[str, Job] = {}
        for job in report.jobs:
            if job.plan is None or job.is_over:
                continue
            leader = leaders.setdefault(place(job.plan.route.destination), job)
            if leader is not job and leader.status.digest == job.status.digest:
                job.leader = leader
            elif leader is not job:
                report.failed(job, _two_contents(job, leader))

    def _carry_out(self, report: Report, occasion: Occasion, job: Job) -> None:
        plan = job.plan
        if job.leader is not None:
            return
        if plan is None:
            raise AssertionError("an image that was not planned has ended already")
        if not plan.writes:
            self._do(report, occasion, job, plan)
            return
        digest = plan.decision.descriptor.digest
        with self._claims.hold(plan.route.destination, digest, report.request.key):
            if plan.is_outdated():
                # Whoever held the claim before has written since this was planned: the edge table decides again.
                self._open(Sights(self._registries), occasion, report.request.policy, job)
                plan = self._plan(report, job)
            self._do(report, occasion, job, plan)

    def _do(self, report: Report, occasion: Occasion, job: Job, plan: Plan) -> None:
        tell = partial(self._tell, report, job, plan)
        done = carry_out(plan, self._registries, self._copier, tell, occasion.is_cancelled)
        if done.report is not None:
            self._moved(plan.route.policy.name, 0, done.report.bytes_skipped)
        report.done(job, done)

    def _tell(self, report: Report, job: Job, plan: Plan, state: CopyProgress) -> None:
        """Bytes have moved. What an upload has lost and sends again is not told again."""
        more = state.bytes_copied - job.bytes_told
        if more > 0:
            job.bytes_told += more
            self._moved(plan.route.policy.name, more, 0)
        report.tell(job, state)


def _two_contents(job: Job, leader: Job) -> NeedsHuman:
    return NeedsHuman(
        Reason.TAG_CONFLICT,
        f"container {leader.status.name} of this request wants {leader.status.digest} there, this one wants "
        f"{job.status.digest}; let one of them name another tag",
        side=Side.DESTINATION,
        step="plan",
    )


def is_settled(request: PromotionRequest, occasion: Occasion) -> bool:
    """Whether there is nothing to do about a request and nothing to say."""
    status = request.status
    if request.is_suspended:
        return status.phase is Phase.SUSPENDED and status.observed_generation == request.generation
    is_promoted = status.phase is Phase.PROMOTED and status.finished_at is not None
    return is_promoted and not _is_fresh(request, occasion)


def _is_fresh(request: PromotionRequest, occasion: Occasion) -> bool:
    """Whether this is a new promotion, and not another look at one that was begun."""
    status: RequestStatus = request.status
    if status.observed_generation != request.generation or status.started_at is None:
        return True
    return occasion.is_asked and status.finished_at is not None
