"""Looks after what a policy wants of AWS, and says how it stands (implements `promotion.upkeep.Upkeep`)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.policy_document import Grant
from transship.aws.repositories import Repositories
from transship.aws.source_access import SourceAccess
from transship.errors import NeedsHuman, Reason, RetryLater, Side, TransshipError
from transship.oci.reference import Repository
from transship.promotion.policy import Endpoint, PromotionPolicy
from transship.promotion.upkeep import Inspection, Standing

_SHOWN = 5


@dataclass(slots=True)
class _Findings:
    """What is wrong, in sentences; and whether some of it may heal by itself."""

    reason: Reason | None = None
    sentences: list[str] = field(default_factory=list)
    retry: bool = False
    count: int = 0

    def failed(self, error: TransshipError) -> None:
        """Something could not be done; the first failure gives the reason."""
        self.reason = self.reason or error.reason
        self.sentences.append(error.message)
        self.retry = self.retry or isinstance(error, RetryLater)

    def standing(self, condition: str, good: Reason, message: str) -> Standing:
        """The condition: True and `good` when nothing was found."""
        if self.reason is None:
            return Standing(condition, "True", good, message)
        more = len(self.sentences) - _SHOWN
        tail = [f"and {more} more"] if more > 0 else []
        return Standing(condition, "False", self.reason, "; ".join(self.sentences[:_SHOWN] + tail))


class AwsUpkeep:
    """Looks after policies. Thread-safe."""

    def __init__(self, clients: Clients, source_access: SourceAccess, repositories: Repositories) -> None:
        self._clients = clients
        self._source_access = source_access
        self._repositories = repositories
        self._differs: Callable[[str], None] = lambda _: None

    def tell(self, differs: Callable[[str], None]) -> None:
        """See `Upkeep`."""
        self._differs = differs

    def forget(self, policy_name: str) -> None:
        """See `Upkeep`."""
        self._source_access.forget(policy_name)

    def prepare_source(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See `promotion.ports.Registries`."""
        if not policy.source_access.manage_policy or EcrHost.of(repository.registry) is None:
            return
        try:
            is_news = self._source_access.prepare(policy, repository)
        except TransshipError as error:
            if error.reason is Reason.SOURCE_MISSING:
                return  # whoever looks for the image says so, with its name
            error.side, error.step = Side.SOURCE, error.step or "prepare source"
            raise
        if is_news:
            self._differs(policy.name)

    def ensure_repository(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See `promotion.ports.Registries`."""
        if EcrHost.of(repository.registry) is None:
            return  # registries other than ECR make repositories by themselves
        try:
            drifts = self._repositories.ensure(policy, repository)
        except TransshipError as error:
            error.side, error.step = Side.DESTINATION, error.step or "ensure repository"
            raise
        if drifts:
            self._differs(policy.name)

    def look(self, policy: PromotionPolicy, promoted: Iterable[str]) -> Inspection:
        """See `Upkeep`."""
        names = sorted(set(promoted))
        who = _Findings()
        identities: dict[str, str] = {}
        for side, endpoint in ((Side.SOURCE, policy.source), (Side.DESTINATION, policy.destination)):
            try:
                arn = self._arn(policy, endpoint)
            except TransshipError as error:
                who.failed(_at(error, side))
            else:
                identities |= {side.value: arn} if arn else {}
        standings = list(self._identities(who, identities))
        access, repositories = _Findings(), _Findings()
        if not policy.source_access.manage_policy:
            self.forget(policy.name)
        elif Side.SOURCE in identities:
            standings.append(self._look_at_source(policy, names, access))
        if policy.destination_repository.names_anything and Side.DESTINATION in identities:
            standings.append(self._look_at_destination(policy, names, repositories))
        return Inspection(tuple(standings), identities, who.retry or access.retry or repositories.retry)

    def _arn(self, policy: PromotionPolicy, endpoint: Endpoint) -> str:
        host = EcrHost.of(endpoint.registry)
        return self._clients.caller(Identity.of(policy.name, endpoint), host).arn if host is not None else ""

    @staticmethod
    def _identities(who: _Findings, identities: dict[str, str]) -> Iterator[Standing]:
        if identities or who.sentences:
            verbs = {Side.SOURCE.value: "reads as", Side.DESTINATION.value: "writes as"}
            said = ", ".join(f"{verbs[side]} {arn}" for side, arn in identities.items())
            yield who.standing("Identities", Reason.KNOWN, said)

    def _look_at_source(self, policy: PromotionPolicy, names: Iterable[str], findings: _Findings) -> Standing:
        sid = ""
        try:
            grant = self._source_access.grant(policy)
            if grant is None:
                return Standing("SourceAccess", "True", Reason.NOT_NEEDED, "whoever reads the source is in its account")
            sid = grant.sid
            self._source_access.editor(policy)  # a role that is refused is told before anything has to be promoted
            for repository in self._sources(policy, names):
                self._keep(policy, repository, grant, findings)
        except TransshipError as error:
            findings.failed(error)
        return findings.standing(
            "SourceAccess", Reason.IN_PLACE, f"{sid} is in the policy of {_repositories(findings)}"
        )

    def _sources(self, policy: PromotionPolicy, names: Iterable[str]) -> Iterable[Repository]:
        if policy.source_access.every_match:
            return self._source_access.matching(policy)
        return _existing_names(policy.source, names)

    def _keep(self, policy: PromotionPolicy, repository: Repository, grant: Grant, findings: _Findings) -> None:
        try:
            self._source_access.apply(policy, repository, grant)
        except TransshipError as error:
            if error.reason is not Reason.SOURCE_MISSING:
                findings.failed(error)
        else:
            findings.count += 1

    def _look_at_destination(self, policy: PromotionPolicy, names: Iterable[str], findings: _Findings) -> Standing:
        for repository in self._destinations(policy, names, findings):
            try:
                drifts = self._repositories.look(policy, repository)
            except TransshipError as error:
                findings.failed(error)
                continue
            findings.count += drifts is not None
            findings.reason = findings.reason or (Reason.DRIFT if drifts else None)
            findings.sentences.extend(f"{repository.path}: {drift}" for drift in drifts or ())
        said = f"{_repositories(findings)} as wanted"
        return findings.standing("DestinationRepositories", Reason.AS_WANTED, said)

    def _destinations(self, policy: PromotionPolicy, names: Iterable[str], findings: _Findings) -> Iterable[Repository]:
        try:
            return list(self._repositories.matching(policy))
        except NeedsHuman:
            # Who may not list can still look at what it was given by name.
            return _existing_names(policy.destination, names)
        except RetryLater as error:
            findings.failed(error)
            return []


def _existing_names(endpoint: Endpoint, names: Iterable[str]) -> Iterator[Repository]:
    for name in names:
        try:
            yield endpoint.repository(name)
        except ValueError:
            continue  # prefix and NAME together are no repository, so nothing was ever promoted there


def _repositories(findings: _Findings) -> str:
    return f"{findings.count} {'repository' if findings.count == 1 else 'repositories'}"


def _at(error: TransshipError, side: Side) -> TransshipError:
    said = f"{side.value}: {error.message}"
    return RetryLater(error.reason, said) if isinstance(error, RetryLater) else NeedsHuman(error.reason, said)
