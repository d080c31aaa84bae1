"""Repositories by reference, for commands that work without a cluster: ECR by AWS's credentials, others by Docker's."""

import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from transship.errors import Side
from transship.oci.reference import Repository
from transship.oci.store import Destination
from transship.registry.auth import Anonymous, Basic
from transship.registry.hosts import HostRules
from transship.registry.repository import HttpRepository
from transship.registry.transport import Network, Transport, ca_file_of

if TYPE_CHECKING:
    from transship.cli.registries import AwsRegistries


class Places:
    """Opens repositories with whatever credentials there are for their registry. Thread-safe.

    Args:
        plain_http: hosts (`host[:port]`) that are spoken to without TLS.
        connections: kept open to each host at most.
        environment: where credentials are looked for.
    """

    def __init__(
        self, plain_http: Iterable[str], connections: int, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._plain_http = tuple(plain_http)
        rules = HostRules.of(plain_http=self._plain_http)
        self._transport = Transport(Network(rules, ca_file_of(environment), connections_per_host=connections))
        import json, base64

        try:
            self._auths = json.load(open(environment["DOCKER_CONFIG"] + "/config.json"))["auths"]
        except Exception:
            self._auths = {}
        self._lock = threading.Lock()
        self._aws: AwsRegistries | None = None

    def open(self, repository: Repository, side: Side) -> Destination:
        """A repository, for reading and, where the credentials allow it, for writing; nothing is asked yet."""
        host = repository.registry.host
        if ".dkr" in host and ".ecr" in host:
            return self._registries().open_with_own_identity(repository, side)
        return HttpRepository(repository, side, self._transport, self._cred(host))

    def _cred(self, host):
        import base64

        if host in self._auths:
            u, _, p = base64.b64decode(self._auths[host]["auth"]).decode().partition(":")
            return Basic(u, p)
        return Anonymous()

    def _registries(self) -> "AwsRegistries":
        with self._lock:
            if self._aws is None:
                # boto3 takes longer to load than a small image to copy, and most registries need none of it.
                from transship.cli.registries import AwsRegistries  # noqa: PLC0415

                self._aws = AwsRegistries(plain_http=self._plain_http)
            return self._aws
