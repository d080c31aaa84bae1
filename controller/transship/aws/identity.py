"""Who we are: one boto3 session for the controller itself and one for each role a policy names.

A role's session has exactly one source of credentials, AssumeRole; when that is refused nothing wider is tried in its
place (threat T1). Credentials renew themselves shortly before they expire. What AWS is asked so that the controller
becomes itself (STS, for a web identity) is asked as everything else: by the endpoints and authorities of `Reach`.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

from transship.aws.failures import aws_errors
from transship.aws.hosts import EcrHost
from transship.aws.traffic import Traffic
from transship.promotion.policy import Endpoint

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_sts import STSClient

_NOT_IN_SESSION_NAMES = re.compile(r"[^\w+=,.@-]", re.ASCII)
_MAX_SESSION_NAME = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom AWS is asked.

    Attributes:
        role_arn: the role to assume; None is the controller's own identity.
        external_id: what the role's trust policy asks for.
        session_name: what CloudTrail shows; empty for the controller's own identity.
    """

    role_arn: str | None = None
    external_id: str | None = None
    session_name: str = ""

    @property
    def account(self) -> str:
        """The account of the role; empty for the controller's own identity, which only STS knows."""
        return self.role_arn.split(":")[4] if self.role_arn else ""

    @classmethod
    def of(cls, policy_name: str, endpoint: Endpoint) -> Self:
        """The identity of one side of a policy."""
        if endpoint.role_arn is None:
            return cls()
        name = _NOT_IN_SESSION_NAMES.sub("-", f"transship-{policy_name}")[:_MAX_SESSION_NAME]
        return cls(endpoint.role_arn, endpoint.external_id, name)


@dataclass(frozen=True, slots=True)
class Reach:
    """How AWS is reached; proxies are those of the environment.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of those botocore would.
        connect_seconds: how long making a connection may take.
        read_seconds: how long an answer may take.
        attempts: how often one call is tried in all, with botocore's standard back-off.
        endpoints: URLs of APIs by service (ecr, sts), in which {region} stands for the Region; for PrivateLink without
            private DNS, and for tests.
    """

    ca_file: str | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    attempts: int = 4
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def endpoint(self, service: str, region: str) -> str | None:
        """The URL of an API in a Region where it is not the one that AWS gives it."""
        template = self.endpoints.get(service)
        return template.replace("{region}", region) if template else None

    def config(self, host: EcrHost) -> Config:
        """The client configuration for one registry's Region and kind of endpoint."""
        return Config(
            connect_timeout=self.connect_seconds,
            read_timeout=self.read_seconds,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            use_fips_endpoint=host.is_fips,
            use_dualstack_endpoint=host.is_dual_stack,
            user_agent_extra="transship",
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who AWS says one is: the ARN of a user or of a role's session, and its account."""

    arn: str
    account: str


class Clients:
    """Makes clients, once for each identity and kind of endpoint, when they are asked for. Thread-safe.

    Args:
        reach: how AWS is reached.
        traffic: gives the calls of ECR clients their turns and counts them; None lets them go at once.
    """

    def __init__(self, reach: Reach | None = None, traffic: Traffic | None = None) -> None:
        self._reach = reach or Reach()
        self._traffic = traffic
        self._lock = threading.RLock()  # making a role's session needs the controller's own
        self._sessions: dict[tuple[Identity, EcrHost | None], boto3.Session] = {}
        self._clients: dict[tuple[Identity, str, EcrHost], Any] = {}
        self._accounts: dict[str, str] = {}  # the controller's own, by partition

    def ecr(self, identity: Identity, host: EcrHost) -> "ECRClient":
        """The ECR API of a registry's Region. Calls raise botocore's exceptions: wrap them in `aws_errors`."""
        client: ECRClient = self._client("ecr", identity, host)
        return client

    def sts(self, identity: Identity, host: EcrHost) -> "STSClient":
        """STS in a registry's own Region."""
        client: STSClient = self._client("sts", identity, host)
        return client

    def caller(self, identity: Identity, host: EcrHost) -> Caller:
        """Who an identity is, by GetCallerIdentity; nobody needs a permission for that.

        Raises:
            NeedsHuman: there are no credentials, or the role may not be assumed.
            RetryLater: STS cannot answer now.
        """
        with aws_errors(f"find out who {identity.role_arn or 'the controller itself'} is"):
            answer = self.sts(identity, host).get_caller_identity()
        return Caller(answer["Arn"], answer["Account"])

    def account(self, identity: Identity, host: EcrHost) -> str:
        """The account of an identity; asked for once for each, as it never changes.

        Raises:
            NeedsHuman, RetryLater: as `caller`.
        """
        if identity.account:
            return identity.account
        with self._lock:
            found = self._accounts.get(host.partition)
        if found is None:
            found = self.caller(identity, host).account
            with self._lock:
                self._accounts[host.partition] = found
        return found

    def _client(self, service: str, identity: Identity, host: EcrHost) -> Any:
        place = EcrHost("", host.region, host.partition, host.is_fips, host.is_dual_stack)
        with self._lock:
            key = (identity, service, place)
            if key not in self._clients:
                session = self._session(identity, place, host)
                make: Callable[..., Any] = session.client  # its stubs want a literal service
                client = make(
                    service,
                    region_name=host.region,
                    endpoint_url=self._reach.endpoint(service, host.region),
                    config=self._reach.config(host),
                    verify=self._reach.ca_file,
                )
                if service == "ecr" and self._traffic is not None:
                    self._traffic.attach(client, host, identity.account)
                self._clients[key] = client
            return self._clients[key]

    def _session(self, identity: Identity, place: EcrHost, host: EcrHost) -> boto3.Session:
        """One of the controller itself; of a role one for each Region, with that Region's STS behind it."""
        key = (identity, None if identity.role_arn is None else place)
        if key not in self._sessions:
            self._sessions[key] = self._own(place) if identity.role_arn is None else self._assume(identity, host)
        return self._sessions[key]

    def _own(self, place: EcrHost) -> boto3.Session:
        core = _Session(self._reach)
        if core.get_config_variable("region") is None:
            core.set_config_variable("region", place.region)  # STS for a web identity needs one
        return boto3.Session(botocore_session=core)

    def _assume(self, identity: Identity, host: EcrHost) -> boto3.Session:
        sts = self.sts(Identity(), host)
        core = _Session(self._reach)

        def refresh() -> dict[str, str]:
            try:
                return _assume_role(sts, identity)
            except Exception:
                if self._traffic is not None:
                    self._traffic.observer.token_failed(host.name_of(host.account))
                raise

        provider = _OneRole(refresh)
        core.register_component("credential_provider", CredentialResolver([provider]))
        return boto3.Session(botocore_session=core)


class _Session(botocore.session.Session):
    """A session whose chain of credentials reaches AWS as our own clients do."""

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach = reach
        # What botocore knows of the services takes a while to read, and memory: once is enough for all sessions.
        self.register_component("data_loader", _loader(self.get_config_variable("data_path")))

    def create_client(self, service_name: str, region_name: str | None = None, *others: Any, **options: Any) -> Any:
        """Make a client, with the endpoint and the authorities of `Reach` where it is not told others."""
        region = region_name or str(self.get_config_variable("region") or "")
        options["endpoint_url"] = options.get("endpoint_url") or self._reach.endpoint(service_name, region)
        options["verify"] = options.get("verify") or self._reach.ca_file
        return super().create_client(service_name, region_name, *others, **options)


@lru_cache(maxsize=1)
def _loader(data_path: str | None) -> botocore.loaders.Loader:
    return botocore.loaders.create_loader(data_path)


class _OneRole(CredentialProvider):
    """A chain of credentials with one link."""

    METHOD = "transship-assume-role"

    def __init__(self, refresh: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._refresh = refresh

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(self._refresh, self.METHOD)


def _assume_role(sts: "STSClient", identity: Identity) -> dict[str, str]:
    arguments: dict[str, Any] = {"RoleArn": identity.role_arn, "RoleSessionName": identity.session_name}
    if identity.external_id:
        arguments["ExternalId"] = identity.external_id
    answer = sts.assume_role(**arguments)
    credentials = answer["Credentials"]
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
    }
