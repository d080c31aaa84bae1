"""The composition root: builds every part, wires the faces to the listeners, and takes it all down again."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from ecr_twin import database, policy
from ecr_twin.backing import Backing
from ecr_twin.blob_host import BlobHost
from ecr_twin.certificates import Authority
from ecr_twin.config import Config, RepositorySpec
from ecr_twin.control import PREFIX, Control
from ecr_twin.directory import Clock
from ecr_twin.distribution import Distribution
from ecr_twin.errors import ConfigError, Refusal
from ecr_twin.json_api import JsonApi
from ecr_twin.listening import Listening
from ecr_twin.names import Endpoint, Registry, blob_host, certificate_names, parse_host
from ecr_twin.proxy import NameUnknownError, Proxy
from ecr_twin.repositories import Repository
from ecr_twin.requests import host_of
from ecr_twin.services import Services
from ecr_twin.signature import Verifier
from ecr_twin.streams import Damage
from ecr_twin.sts import Sts
from ecr_twin.v2.gateway import Gateway

_HTTPS = 443
_LOOPBACK_ADDRESS = "127.0.0.1"
_LOOPBACK = frozenset((_LOOPBACK_ADDRESS, "localhost"))
#: Largest JSON request: a layer part of 20 MiB in base64, and room for the rest.
_LARGEST_BODY = 32 * 1024 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One running twin, inside the current event loop.

    Attributes:
        services: the parts behind the faces; ``services.ledger`` counts.
        proxy_url: where clients point HTTPS_PROXY.
        https: host and port of the listener for API, STS and registries.
        ca_path: the CA certificate that clients must trust.
    """

    def __init__(
        self, config: Config, state_dir: Path, distribution: Path, clock: Clock, listening: Listening | None = None
    ) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._state_dir = state_dir
        self._distribution = Distribution(distribution, state_dir)
        self._clock = clock
        self._listening = listening or Listening()
        self._runners: list[web.AppRunner] = []
        self._ports: dict[str, int] = {}
        self.services: Services
        self.proxy_url = ""
        self.https = ""
        self.ca_path = ""

    async def start(self) -> None:
        """Start everything; what was started is stopped again when a later part fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything that was started."""
        if hasattr(self, "_proxy"):
            await self._proxy.stop()
        for runner in self._runners:
            await runner.cleanup()
        if hasattr(self, "services"):
            await self.services.backing.close()
            self.services.history.close()
            self.services.connection.close()
        await self._distribution.stop()

    async def _start(self) -> None:
        backing = Backing(self._distribution.socket)
        self.services = Services(self._config, database.connect(self._state_dir / "twin.db"), backing, self._clock)
        await self._distribution.start(backing)
        self._seed()
        faults = self.services.faults
        verifier = Verifier(self.services.directory, self.services.clock, lambda: faults.skew)
        self._json_api, self._sts = JsonApi(self.services, verifier), Sts(self.services, verifier)
        self._gateway, self._blob_host = Gateway(self.services), BlobHost(self.services)
        where = self._listening
        authority = Authority(self._state_dir, where.authority)
        names = [name for region in self._config.regions for name in certificate_names(region)]
        front = authority.server_context("front", [*names, "sts.amazonaws.com"])
        blobs = authority.server_context("blobs", [blob_host(region) for region in self._config.regions])
        (self._state_dir / "stranger").mkdir(exist_ok=True)
        stranger = Authority(self._state_dir / "stranger").server_context("stranger", [*names, "sts.amazonaws.com"])
        damage = Damage(faults, self.services.clock)
        self._control = Control(self.services)
        self._ports = {
            "front": await self._listen(damage.around(self._front), front, where.host, where.front),
            "blobs": await self._listen(damage.around(self._blob_host.handle), blobs, where.host, where.blobs),
            # X10: nobody who checks gets that far
            "stranger": await self._listen(
                self._front, stranger, _LOOPBACK_ADDRESS, 0
            ),  # X10: nobody who checks gets that far
        }
        self._proxy = Proxy(self._resolve, self.services.endpoints)
        self.proxy_url = f"http://127.0.0.1:{await self._proxy.start(where.proxy)}"
        self.https = f"127.0.0.1:{self._ports['front']}"
        self.ca_path = str(authority.path)

    async def _listen(self, handler: _Handler, context: ssl.SSLContext, host: str, at: int) -> int:
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(application, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, host, at, ssl_context=context).start()
        port: int = runner.addresses[0][1]
        return port

    async def _front(self, request: web.Request) -> web.StreamResponse:
        host = host_of(request)
        if host in _LOOPBACK and request.remote == _LOOPBACK_ADDRESS and request.path.startswith(PREFIX):
            return await self._control.handle(request)
        endpoint = parse_host(host)
        if endpoint is None or not self._answers_for(endpoint):
            return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST, text=f"ecr-twin does not answer for {host}.\n")
        if endpoint.face == "api":
            return await self._json_api.handle(request, endpoint.region)
        if endpoint.face == "sts":
            return await self._sts.handle(request, endpoint.region)
        if endpoint.account is None:
            return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST, text=f"{host} has a listener of its own.\n")
        return await self._gateway.handle(request, Registry(endpoint.account, endpoint.region))

    def _resolve(self, host: str, port: int) -> int | None:
        endpoint = parse_host(host)
        if endpoint is None or port != _HTTPS or not self._answers_for(endpoint):
            return None
        for strike in self.services.faults.strike("connection", "CONNECT", host):  # X10
            if strike.fault.how == "dns":
                raise NameUnknownError(host)
            return self._ports["stranger"]
        return self._ports["blobs" if endpoint.face == "blobs" else "front"]

    def _answers_for(self, endpoint: Endpoint) -> bool:
        # The global STS endpoint is in us-east-1, whether or not that Region is configured.
        global_sts = endpoint.face == "sts" and endpoint.region == "us-east-1"
        return endpoint.region in self._config.regions or global_sts

    def _seed(self) -> None:
        for account in self._config.accounts.values():
            for region in self._config.regions:
                for name, value in account.settings.items():
                    self.services.set_setting(Registry(account.id, region), name, value)
            for spec in account.repositories:
                if self.services.repositories.find(spec.registry, spec.name) is None:
                    self._create(spec)

    def _create(self, spec: RepositorySpec) -> None:
        text = json.dumps(spec.policy) if spec.policy is not None else None
        try:
            if text is not None:
                policy.parse(text, "repository")
            self.services.repositories.create(
                Repository(
                    id=0,
                    registry=spec.registry,
                    name=spec.name,
                    created_at=self._clock(),
                    mutability=spec.mutability,
                    exclusion_filters=spec.exclusion_filters,
                    policy=text,
                )
            )
        except (policy.PolicyError, Refusal) as error:
            raise ConfigError(f"Repository {spec.name} of account {spec.registry.account}: {error}") from error


async def run_until(server: Server, stopped: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run a server until an event is set."""
    await server.start()
    try:
        ready()
        await stopped.wait()
    finally:
        await server.stop()
