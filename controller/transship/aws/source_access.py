"""The statement that lets the destination's account pull, on repositories of the source (ecr.md §5, §9.7).

Theory of operation. SetRepositoryPolicy replaces a whole document and knows no versions, and others write to the same
document: so it is read, our one statement is put into it, it is written at once, and read again. What the second look
does not show is done again from what is there now, so that of several writers who all look twice none loses. One
process writes to one repository from one thread at a time. What AWS has accepted it may take a while to act upon, so
after a write the reader tries whether it counts before anything is promoted on the strength of it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.locks import RepositoryLocks
from transship.aws.policy_document import Grant, Meaning, PolicyDocument, meaning
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import Endpoint, PromotionPolicy

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_WRITES = 3
_SPREADING_SECONDS = 120.0
_ASK_AGAIN_SECONDS = 2.0
_PROBE: Any = [{"imageTag": "transship-asks-whether-it-may-read"}]
Times = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Opened:
    """One repository's policy document, with those who read and edit it."""

    client: "ECRClient"
    host: EcrHost
    repository: Repository

    def read(self) -> PolicyDocument:
        """The document as it is; a repository without one has an empty one.

        Raises:
            NeedsHuman: Denied, or SourceMissing when the repository does not exist.
            RetryLater: AWS cannot answer now.
        """
        with aws_errors(f"read the policy of the repository {self.repository}"):
            try:
                answer = self.client.get_repository_policy(
                    registryId=self.host.account, repositoryName=self.repository.path
                )
            except ClientError as error:
                if code_of(error) == "RepositoryPolicyNotFoundException":
                    return PolicyDocument()
                if code_of(error) == "RepositoryNotFoundException":
                    raise NeedsHuman(
                        Reason.SOURCE_MISSING, f"the repository {self.repository} does not exist; push to it first"
                    ) from None
                raise
        return PolicyDocument.parse(answer["policyText"])

    def write(self, document: PolicyDocument) -> None:
        """Replace the document; one without statements is deleted.

        Raises:
            NeedsHuman, RetryLater: as `read`; RetryLater while AWS does not know a principal yet.
        """
        where: Any = {"registryId": self.host.account, "repositoryName": self.repository.path}
        text = document.text
        with aws_errors(f"write the policy of the repository {self.repository}"):
            try:
                if document.statements:
                    self.client.set_repository_policy(policyText=text, **where)
                else:
                    self.client.delete_repository_policy(**where)
            except ClientError as error:
                if code_of(error) == "RepositoryPolicyNotFoundException":
                    return
                if "principal not found" in str(error.response.get("Error", {}).get("Message", "")).lower():
                    raise _unknown_principal(self.repository, document) from None
                raise


def _unknown_principal(repository: Repository, document: PolicyDocument) -> NeedsHuman | RetryLater:
    """AWS refuses a whole document for one principal: a new one it will know soon, a deleted one never again."""
    gone = document.unknown_principals()
    if gone:
        return NeedsHuman(
            Reason.REFUSED_BY_REGISTRY,
            f"AWS does not take the policy of {repository} as long as statements of others in it name principals that "
            f"were deleted ({', '.join(gone[:3])}); remove those from the document",
        )
    return RetryLater(
        Reason.SOURCE_ACCESS_PENDING,
        f"AWS does not know a principal in the policy of {repository} yet",
        after=_ASK_AGAIN_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be done to one document.

    Attributes:
        before: as it was read.
        grant: what our statement has to say.
    """

    before: PolicyDocument
    grant: Grant

    @property
    def is_needed(self) -> bool:
        """Whether our statement is absent, or says something else."""
        return not self.before.says(self.grant.statement())

    @property
    def after(self) -> PolicyDocument:
        """The document with our statement; that of everybody else is not touched."""
        return self.before.put(self.grant.statement())


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
        """What the policy's statement grants, and to whom; None when nobody needs one.

        The grantee is the account of whoever reads the source. One who reads within the source's own account needs no
        statement, so it is then the account of the destination's identity.

        Raises:
            NeedsHuman: source and destination are in different partitions; or as `Clients.caller`.
        """
        host, access = EcrHost.of(policy.source.registry), policy.source_access
        there = EcrHost.of(policy.destination.registry)
        if host is None:
            return None
        if there is not None and there.partition != host.partition:
            raise NeedsHuman(
                Reason.POLICY_INVALID,
                f"no repository policy reaches from partition {host.partition} to {there.partition}; "
                "give the source a roleArn of its own and set sourceAccess.managePolicy to false",
            )
        readers = (Identity.of(policy.name, policy.source), Identity.of(policy.name, policy.destination))
        accounts = (self._clients.account(each, host) for each in readers)
        account = next((each for each in accounts if each != host.account), None)
        if account is None:
            return None
        return Grant(account, host.partition, access.principal_arns, access.organization, access.describe)

    def editor(self, policy: PromotionPolicy) -> str:
        """ARN of whoever edits repository policies for the policy.

        Raises:
            NeedsHuman, RetryLater: as `Clients.caller`.
        """
        return self._clients.caller(self._editor(policy), self._host_of(policy.source.registry)).arn

    def open(self, policy: PromotionPolicy, repository: Repository) -> Opened:
        """A source repository's document, as whoever the policy lets edit it.

        Raises:
            NeedsHuman, RetryLater: there are no credentials.
        """
        host = self._host_of(repository.registry)
        with aws_errors(f"open the repository {repository}"):
            return Opened(self._clients.ecr(self._editor(policy), host), host, repository)

    def plan(self, policy: PromotionPolicy, repository: Repository) -> Edit | None:
        """What there is to do; nothing is written. None when nobody needs a statement.

        Raises:
            NeedsHuman, RetryLater: see `Opened.read`.
        """
        grant = self.grant(policy)
        return None if grant is None else Edit(self.open(policy, repository).read(), grant)

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
        self.apply(policy, repository)
        self._try(policy, repository)
        self._note(policy, repository, grant, is_tried=True)
        return seen is None

    def apply(self, policy: PromotionPolicy, repository: Repository) -> bool:
        """Put the statement in place; whether that needed writing.

        Raises:
            NeedsHuman: Denied, SourceMissing, PolicyAmbiguous, or the document would be too long.
            RetryLater: AWS cannot answer now, or others write to the document all the time.
        """
        grant = self.grant(policy)
        if grant is None:
            return False
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
            after=_ASK_AGAIN_SECONDS,
        )

    def remove(self, policy: PromotionPolicy, repository: Repository) -> bool:
        """Take the statement away, and nothing else; whether it was there.

        Raises:
            NeedsHuman, RetryLater: as `apply`.
        """
        grant = self.grant(policy)
        if grant is None:
            return False
        opened = self.open(policy, repository)
        with self._lock:
            self._good.pop((policy.name, repository), None)
        with self._locks.hold(repository):
            for written in range(_WRITES):
                before = opened.read()
                if before.find(grant.sid) is None:
                    return bool(written)
                opened.write(before.remove(grant.sid))
            if opened.read().find(grant.sid) is None:
                return True
        raise RetryLater(
            Reason.SOURCE_ACCESS_PENDING,
            f"our statement {grant.sid} comes back into the policy of {repository}; see whether an operator keeps it",
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
            with aws_errors(f"list the repositories of {policy.source.registry}"):
                client = self._clients.ecr(self._editor(policy), host)
                pages = client.get_paginator("describe_repositories").paginate(registryId=host.account)
                paths = [each["repositoryName"] for page in pages for each in page["repositories"]]
            for path in paths:
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
        host, reader = self._host_of(repository.registry), Identity.of(policy.name, policy.source)
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
                    after=_ASK_AGAIN_SECONDS,
                ) from None
            raise

    @staticmethod
    def _editor(policy: PromotionPolicy) -> Identity:
        access = policy.source_access
        if access.role_arn is None:
            return Identity.of(policy.name, policy.source)
        editor = Endpoint(policy.source.registry, "", access.role_arn, access.external_id)
        return Identity.of(policy.name, editor)

    @staticmethod
    def _host_of(registry: Registry) -> EcrHost:
        host = EcrHost.of(registry)
        if host is None:
            raise NeedsHuman(Reason.POLICY_INVALID, f"{registry} is not ECR, and has no repository policies")
        return host
