"""Repositories by reference, for commands that work without a cluster: ECR by AWS's credentials, others by Docker's."""

import os
import re
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from transship.cli.transports import open_transport
from transship.errors import Side
from transship.oci.reference import Repository
from transship.oci.store import Destination, Lister
from transship.registry.bearer import TokenCredentials
from transship.registry.docker_config import DockerConfig, default_file
from transship.registry.hosts import HostRules
from transship.registry.network import Network
from transship.registry.pace import Gates
from transship.registry.realms import Realms
from transship.registry.repository import HttpRepository
from transship.registry.transport import ca_file_of

if TYPE_CHECKING:
    from transship.cli.registries import AwsRegistries
    from transship.settings import Settings

_LIKE_ECR = re.compile(r"\.dkr[.-]ecr")


class Place(Destination, Lister, Protocol):
    """A repository that can be listed as well."""


class Places:
    """Opens repositories with whatever credentials there are for their registry. Thread-safe.

    Args:
        hosts: which registries are spoken to without TLS, and which may be this machine.
        connections: kept open to each host at most.
        environment: where credentials are looked for.
        settings: the process's, where the environment has any: only reading them takes a tenth of a second.

    Raises:
        NeedsHuman: InvalidRequest: the authorities cannot be read, or the proxies not be understood.
    """

    def __init__(
        self,
        hosts: HostRules,
        connections: int,
        environment: Mapping[str, str] = os.environ,
        settings: "Settings | None" = None,
    ) -> None:
        self._hosts = hosts
        self._settings = settings
        file, authorities = default_file(environment), ca_file_of(environment)
        connect_to: Mapping[str, str] = {}
        token_realms: Mapping[str, Iterable[str]] = {}
        if settings is not None:
            file, authorities = settings.docker_config or file, str(settings.ca_bundle or authorities or "") or None
            connect_to, token_realms = settings.registry_connect, settings.token_realms
        network = Network(hosts, authorities, connections_per_host=connections, connect_to=connect_to)
        self._transport = open_transport(network)
        self._docker = TokenCredentials(self._transport, DockerConfig(file), Realms(hosts, token_realms))
        self._gates = Gates(connections)
        self._lock = threading.Lock()
        self._opened: dict[tuple[Repository, Side], HttpRepository] = {}
        self._aws: AwsRegistries | None = None

    def open(self, repository: Repository, side: Side) -> Place:
        """A repository, for reading and, where the credentials allow it, for writing; nothing is asked yet."""
        if _LIKE_ECR.search(repository.registry.host):
            return self._registries().open(repository, side)
        gate = self._gates.of(repository.registry)
        with self._lock:
            if (repository, side) not in self._opened:
                self._opened[repository, side] = HttpRepository(repository, side, self._transport, self._docker, gate)
            return self._opened[repository, side]

    def _registries(self) -> "AwsRegistries":
        with self._lock:
            if self._aws is None:
                # boto3 takes longer to load than a small image to copy, and most registries need none of it.
                from transship.cli.environment import load_settings  # noqa: PLC0415
                from transship.cli.registries import build_registries  # noqa: PLC0415

                self._aws = build_registries(self._settings or load_settings(), hosts=self._hosts)
            return self._aws
