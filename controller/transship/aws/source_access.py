"""The statement that lets the destination's account pull, on repositories of the source (ecr.md §5, §9.7).

Theory of operation. SetRepositoryPolicy replaces a whole document and knows no versions, and others write to the same
document: so it is read, our one statement is put into it, it is written at once, and read again. What the second look
does not show is done again from what is there now, so that of several writers who all look twice none loses. One
process writes to one repository from one thread at a time. What AWS has accepted it may take a while to act upon, so
after a write the reader tries whether it counts before anything is promoted on the strength of it.
"""

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

from transship.aws.failures import aws_errors
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.listing import repository_paths
from transship.aws.locks import RepositoryLocks
from transship.aws.policy_document import Grant, Meaning, meaning, sid_for
from transship.aws.repository_policy import ASK_AGAIN_SECONDS, Edit, Opened
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import Endpoint, PromotionPolicy

_WRITES = 3
_SPREADING_SECONDS = 120.0
_PROBE: Any = [{"imageTag": "transship-asks-whether-it-may-read"}]
Times = Callable[[], float]


def grant_to(account: str, policy: PromotionPolicy) -> Grant | None:
    """What a policy's statement grants to readers of an account; None when the source is in that account itself.

    Within one account a reader's own IAM policy is enough (ecr.md §5), so no statement is written that would let the
    destination's whole account in for nothing.

    Raises:
        NeedsHuman: the source is not ECR, or source and destination are in different partitions.
    """
    host, access = _host_of(policy.source.registry), policy.source_access
    if account == host.account:
        return None
    _reaches(policy)
    return Grant(account, host.partition, access.principal_arns, access.organization, access.describe)


def _reaches(policy: PromotionPolicy) -> None:
    host, there = EcrHost.of(policy.source.registry), EcrHost.of(policy.destination.registry)
    if host is not None and there is not None and there.partition != host.partition:
        raise NeedsHuman(
            Reason.POLICY_INVALID,
            f"no repository policy reaches from partition {host.partition} to {there.partition}; "
            "give the source a roleArn of its own and set sourceAccess.managePolicy to false",
        )


class SourceAccess:
    """Keeps our statement in place. Thread-safe.

    Args:
        clients: of AWS.
        locks: shared with everybody in this process who edits repositories.
        resync: seconds for which a statement that was seen in place is not looked at again by `prepare`.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self, clients: Clients, locks: RepositoryLocks, resync: float = 600.0, now: Times = time.monotonic
    ) -> None:
        self._clients = clients
        self._locks = locks
        self._resync = resync
        self._now = now
        self._lock = Lock()
        self._good: dict[tuple[str, Repository], tuple[Grant, float]] = {}
        self._written: dict[Repository, float] = {}
        self._wanted: dict[tuple[Repository, str], dict[str, tuple[Meaning, float]]] = {}

    def grant(self, policy: PromotionPolicy) -> Grant | None:
        """What the policy's statement grants to whoever reads the source for us; None when nobody needs one.

        Raises:
            NeedsHuman: see `grant_to`; or as `Clients.caller`.
        """
        host = EcrHost.of(policy.source.registry)
        if host is None:
            return None
        if policy.source.role_arn is None:
            _reaches(policy)  # before somebody is asked whose credentials another partition does not know
        return grant_to(self._clients.account(Identity.of(policy.name, policy.source), host), policy)

    def editor(self, policy: PromotionPolicy) -> str:
        """ARN of whoever edits repository policies for the policy.

        Raises:
            NeedsHuman, RetryLater: as `Clients.caller`.
        """
        return self._clients.caller(self._editor(policy), _host_of(policy.source.registry)).arn

    def open(self, policy: PromotionPolicy, repository: Repository) -> Opened:
        """A source repository's document, as whoever the policy lets edit it.

        Raises:
            NeedsHuman, RetryLater: there are no credentials.
        """
        host = _host_of(repository.registry)
        with aws_errors(f"open the repository {repository}"):
            return Opened(self._clients.ecr(self._editor(policy), host), host, repository)

    def plan(self, policy: PromotionPolicy, repository: Repository, grant: Grant) -> Edit:
        """What there is to do for a grant; nothing is written.

        Raises:
            NeedsHuman, RetryLater: see `Opened.read`.
        """
        return Edit(self.open(policy, repository).read(), grant)

    def prepare(self, policy: PromotionPolicy, repository: Repository) -> bool:
        """See to it that the source can be read; whether something is new.

        Costs nothing while the last look is younger than `resync`.

        Raises:
            NeedsHuman, RetryLater: see `apply`; RetryLater while the statement is there and does not count yet.
        """
        grant = self.grant(policy)
        if grant is None:
            return False
        with self._lock:
            seen, until = self._good.get((policy.name, repository), (None, 0.0))
        if seen == grant and self._now() < until:
            return False
        self.apply(policy, repository, grant)
        self._try(policy, repository)
        self._note(policy, repository, grant, is_tried=True)
        return seen is None

    def apply(self, policy: PromotionPolicy, repository: Repository, grant: Grant) -> bool:
        """Put the statement in place; whether that needed writing.

        Raises:
            NeedsHuman: Denied, SourceMissing, PolicyAmbiguous, or the document would be too long.
            RetryLater: AWS cannot answer now, does not know the principal yet, or others write all the time.
        """
        self._claim(policy, repository, grant)
        opened = self.open(policy, repository)
        with self._locks.hold(repository):
            for written in range(_WRITES):
                edit = Edit(opened.read(), grant)
                if not edit.is_needed:
                    self._note(policy, repository, grant)
                    return bool(written)
                opened.write(edit.after)
                with self._lock:
                    self._written[repository] = self._now()
            if opened.read().says(grant.statement()):
                return True
        raise RetryLater(
            Reason.SOURCE_ACCESS_PENDING,
            f"our statement {grant.sid} does not stay in the policy of {repository}; see who else writes it",
            after=ASK_AGAIN_SECONDS,
        )

    def remove(self, policy: PromotionPolicy, repository: Repository, account: str) -> bool:
        """Take an account's statement away, and nothing else; whether it was there. What it says is not looked at.

        Raises:
            NeedsHuman, RetryLater: as `apply`.
        """
        sid, opened = sid_for(account), self.open(policy, repository)
        with self._lock:
            self._good.pop((policy.name, repository), None)
        with self._locks.hold(repository):
            for written in range(_WRITES):
                before = opened.read()
                if before.find(sid) is None:
                    return bool(written)
                opened.write(before.remove(sid))
            if opened.read().find(sid) is None:
                return True
        raise RetryLater(
            Reason.SOURCE_ACCESS_PENDING,
            f"our statement {sid} comes back into the policy of {repository}; see whether an operator keeps it",
        )

    def forget(self, policy_name: str) -> None:
        """Drop what is remembered of a policy; statements stay where they are."""
        with self._lock:
            for claims in self._wanted.values():
                claims.pop(policy_name, None)
            for key in [key for key in self._good if key[0] == policy_name]:
                del self._good[key]

    def matching(self, policy: PromotionPolicy) -> Iterator[Repository]:
        """Every existing repository of the source that the policy matches.

        Raises:
            NeedsHuman, RetryLater: the listing is denied, or AWS cannot answer now.
        """
        host = EcrHost.of(policy.source.registry)
        if host is not None:
            for path in repository_paths(self._clients, self._editor(policy), policy.source.registry):
                repository = Repository(policy.source.registry, path)
                name = policy.source.name_of(repository)
                if name is not None and any(glob.matches(name) for glob in policy.repositories):
                    yield repository

    def _claim(self, policy: PromotionPolicy, repository: Repository, grant: Grant) -> None:
        """One account has one statement: two policies that want two of them would undo each other's for ever.

        A claim is good until its policy is forgotten, or two resyncs have passed without it being renewed.
        """
        mine, now = meaning(grant.statement()), self._now()
        with self._lock:
            known = self._wanted.get((repository, grant.sid), {})
            claims = {name: claim for name, claim in known.items() if claim[1] > now} | {
                policy.name: (mine, now + 2 * self._resync)
            }
            self._wanted[repository, grant.sid] = claims
        others = sorted(name for name, (theirs, _) in claims.items() if theirs != mine)
        if others:
            raise NeedsHuman(
                Reason.POLICY_AMBIGUOUS,
                f"PromotionPolicies {', '.join(sorted([policy.name, *others]))} want different statements for account "
                f"{grant.account} on {repository}; give them the same principalArns, organizationId and describe",
            )

    def _is_spreading(self, repository: Repository) -> bool:
        """Whether we wrote so lately that AWS may not act upon it yet."""
        with self._lock:
            written = self._written.get(repository)
        return written is not None and self._now() - written <= _SPREADING_SECONDS

    def _note(self, policy: PromotionPolicy, repository: Repository, grant: Grant, *, is_tried: bool = False) -> None:
        """Remember that the source can be read, when that is known."""
        if is_tried or not self._is_spreading(repository):
            with self._lock:
                self._good[policy.name, repository] = grant, self._now() + self._resync

    def _try(self, policy: PromotionPolicy, repository: Repository) -> None:
        """Whether the reader is let in, for a while after a write; later its own attempt says why it is not."""
        if not self._is_spreading(repository):
            return
        host, reader = _host_of(repository.registry), Identity.of(policy.name, policy.source)
        try:
            with aws_errors(f"read {repository}"):
                self._clients.ecr(reader, host).batch_get_image(
                    registryId=host.account, repositoryName=repository.path, imageIds=_PROBE
                )
        except NeedsHuman as error:
            if error.reason is Reason.DENIED:
                raise RetryLater(
                    Reason.SOURCE_ACCESS_PENDING,
                    f"the policy of {repository} has just been given our statement, and it does not count yet: "
                    f"{error.message}",
                    after=ASK_AGAIN_SECONDS,
                ) from None
            raise

    @staticmethod
    def _editor(policy: PromotionPolicy) -> Identity:
        access = policy.source_access
        if access.role_arn is None:
            return Identity.of(policy.name, policy.source)
        editor = Endpoint(policy.source.registry, "", access.role_arn, access.external_id)
        return Identity.of(policy.name, editor)


def _host_of(registry: Registry) -> EcrHost:
    host = EcrHost.of(registry)
    if host is None:
        raise NeedsHuman(Reason.POLICY_INVALID, f"{registry} is not ECR, and has no repository policies")
    return host
