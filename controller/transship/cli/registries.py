"""The registries of policies: ECR by AWS credentials, others as they are configured."""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from transship.aws.batch import Images
from transship.aws.hosts import EcrHost
from transship.aws.identity import Caller, Clients, Identity, Reach
from transship.aws.listing import Listing
from transship.aws.locks import RepositoryLocks
from transship.aws.quotas import Quotas, Rates
from transship.aws.repositories import Repositories
from transship.aws.source_access import SourceAccess
from transship.aws.tokens import Token, Tokens, fetcher
from transship.aws.traffic import EcrPace, Observer, Traffic, Unobserved
from transship.aws.upkeep import AwsUpkeep
from transship.cli.counting import CountedCredentials, CountedPace
from transship.cli.ecr_repository import EcrRepository
from transship.cli.transports import open_transport
from transship.errors import NeedsHuman, Reason, Side
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import Endpoint, PromotionPolicy
from transship.registry.auth import Credentials, NoLogins
from transship.registry.bearer import TokenCredentials
from transship.registry.docker_config import DockerConfig
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.pace import Gates
from transship.registry.realms import Realms
from transship.registry.repository import HttpRepository
from transship.registry.transport import ca_file_of
from transship.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


class AwsRegistries:
    """Implements `promotion.ports.Registries`. Thread-safe; connects to nothing before it is asked to.

    A policy's ECR registries are spoken to as that policy's identities and no other; a registry that is not ECR gets
    the credentials configured for its host, or those of the Docker configuration, or asks for a token as anybody.

    Args:
        ca_file: PEM file of the authorities to trust, for registries and AWS; the environment's, or the system's, if
            not given.
        plain_http: hosts (`host[:port]`) that are spoken to without TLS, which may be this machine.
        local: hosts that may be IP literals or this machine.
        credentials: of registries that are not ECR, by host.
        docker_config: Docker's configuration, for registries that are not ECR and have no `credentials`; nothing of
            the kind is read when it is not given.
        token_realms: hosts of token servers by registry host, see `registry.realms.Realms`.
        clock: the time now, for the age of tokens.
        resync: seconds for which what a policy wants of a repository is not compared again while promoting.
        endpoints: URLs of AWS APIs by service, see `aws.identity.Reach`.
        connect_to: where connections for a registry's host are made instead, see `registry.transport.Network`.
        quotas: the rates of ECR that are kept; shared by everything this object gives.
        observer: counts the requests.
    """

    def __init__(  # noqa: PLR0913 - the composition root names each of them
        self,
        *,
        ca_file: str | Path | None = None,
        plain_http: Iterable[str] = (),
        local: Iterable[str] = (),
        credentials: Mapping[str, Credentials] | None = None,
        docker_config: Path | None = None,
        token_realms: Mapping[str, Iterable[str]] | None = None,
        clock: Callable[[], datetime] = _now,
        resync: float = 600.0,
        endpoints: Mapping[str, str] | None = None,
        connect_to: Mapping[str, str] | None = None,
        quotas: Quotas | None = None,
        observer: Observer | None = None,
    ) -> None:
        authorities = str(ca_file) if ca_file else ca_file_of()
        rules = HostRules.of(plain_http=plain_http, local=local)
        self._transport = open_transport(Network(rules, authorities, connect_to=connect_to or {}))
        self._observer = observer or Unobserved()
        self._traffic = Traffic(quotas or Quotas(), self._observer)
        self._clients = Clients(Reach(authorities, endpoints=endpoints or {}), self._traffic)
        locks = RepositoryLocks()
        self.source_access = SourceAccess(self._clients, locks, resync)
        self._repositories = Repositories(self._clients, locks, resync)
        self.listing = Listing(self._clients)
        self.upkeep = AwsUpkeep(self._clients, self.source_access, self._repositories)
        self._configured = dict(credentials or {})
        logins = DockerConfig(docker_config) if docker_config else NoLogins()
        others = TokenCredentials(self._transport, logins, Realms(rules, token_realms))
        self._others = CountedCredentials(others, self._observer)
        self._gates = Gates()
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[tuple[Identity, str, str, bool, bool], Tokens] = {}

    def source(self, policy: PromotionPolicy, repository: Repository) -> HttpRepository | EcrRepository:
        """See `Registries`."""
        return self._open(policy, policy.source, repository, Side.SOURCE)

    def destination(self, policy: PromotionPolicy, repository: Repository) -> HttpRepository | EcrRepository:
        """See `Registries`."""
        return self._open(policy, policy.destination, repository, Side.DESTINATION)

    def open(self, repository: Repository, side: Side) -> HttpRepository | EcrRepository:
        """A repository as whoever runs this process, without a policy."""
        return self._open_as(Identity(), repository, side)

    def prepare_source(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See `Registries`."""
        self.upkeep.prepare_source(policy, repository)

    def ensure_repository(self, policy: PromotionPolicy, repository: Repository) -> None:
        """See `Registries`."""
        self.upkeep.ensure_repository(policy, repository)

    def caller(self, policy: PromotionPolicy, endpoint: Endpoint) -> Caller | None:
        """Who AWS says one side of a policy is; None when its registry is not ECR.

        Raises:
            NeedsHuman, RetryLater: of AWS; the role may not be assumed.
        """
        host = EcrHost.of(endpoint.registry)
        return None if host is None else self._clients.caller(Identity.of(policy.name, endpoint), host)

    def authorize(self, policy: PromotionPolicy, endpoint: Endpoint) -> None:
        """See to it that there is a token for one side of a policy, as a request would.

        Raises:
            NeedsHuman, RetryLater: there is none to be had.
        """
        self._credentials(Identity.of(policy.name, endpoint), endpoint.registry).authorization(endpoint.registry, "")

    def token(self, policy: PromotionPolicy, endpoint: Endpoint) -> Token | None:
        """The token of one side of a policy, once `authorize` has seen to it; None when its registry is not ECR."""
        credentials = self._credentials(Identity.of(policy.name, endpoint), endpoint.registry)
        return credentials.current if isinstance(credentials, Tokens) else None

    def _open(
        self, policy: PromotionPolicy, endpoint: Endpoint, repository: Repository, side: Side
    ) -> HttpRepository | EcrRepository:
        return self._open_as(Identity.of(policy.name, endpoint), repository, side)

    def _open_as(self, identity: Identity, repository: Repository, side: Side) -> HttpRepository | EcrRepository:
        credentials = self._credentials(identity, repository.registry)
        if EcrHost.of(repository.registry) is None:
            gate = self._gates.of(repository.registry)
            counted = CountedPace(gate, repository.registry, self._observer)
            return HttpRepository(repository, side, self._transport, credentials, counted)
        pace = EcrPace(self._traffic, repository.registry)
        http = HttpRepository(repository, side, self._transport, credentials, pace)
        return EcrRepository(Images(self._clients, identity, repository, side, self._repositories.gone), http)

    def _credentials(self, identity: Identity, registry: Registry) -> Credentials:
        host = EcrHost.of(registry)
        if host is None:
            return self._configured.get(registry.host) or self._others
        key = (identity, host.partition, host.region, host.is_fips, host.is_dual_stack)
        with self._lock:
            if key not in self._tokens:
                fetch = fetcher(self._clients, identity, host, self._clock)
                self._tokens[key] = Tokens(host, fetch, self._clock, self._observer.token_failed)
            return self._tokens[key]


def build_registries(
    settings: Settings, observer: Observer | None = None, *, hosts: HostRules | None = None
) -> AwsRegistries:
    """The registries with the process's settings.

    Raises:
        NeedsHuman: the setting of the quotas cannot be read.
    """
    try:
        rates = Rates.parse(settings.quotas)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"TRANSSHIP_QUOTAS={settings.quotas!r}: {error}") from error
    endpoints = {"ecr": settings.aws_endpoint_ecr, "sts": settings.aws_endpoint_sts}
    return AwsRegistries(
        ca_file=settings.ca_bundle,
        plain_http=hosts.plain_http if hosts else (),
        local=hosts.local if hosts else (),
        docker_config=settings.docker_config,
        token_realms=settings.token_realms,
        resync=settings.resync,
        endpoints={service: url for service, url in endpoints.items() if url},
        connect_to=settings.registry_connect,
        quotas=Quotas(rates),
        observer=observer,
    )
