"""A twin inside the process of a test: its event loop runs in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ecr_twin import config as configuration
from ecr_twin import control
from ecr_twin import profile as profiles
from ecr_twin.assumption import Assumption
from ecr_twin.directory import Clock
from ecr_twin.events import Events
from ecr_twin.faults import Faults
from ecr_twin.ledger import Ledger
from ecr_twin.names import Registry
from ecr_twin.server import Server, run_until

_START_SECONDS = 60.0
Result = TypeVar("Result")


class Twin:
    """A running twin, as a context manager.

    Example::

        with Twin(Path("accounts.yaml"), state_dir, distribution) as twin:
            environment = twin.environment()

    Args:
        config: a `Config`, the mapping a YAML file holds, or the path of the file.
        state_dir: where database, blobs, CA and logs go; created when missing, never removed.
        distribution: path of a distribution v3 binary.
        clock: seconds since the epoch; a test may pass its own to let tokens and URLs expire.
    """

    def __init__(
        self,
        config: configuration.Config | Mapping[str, Any] | Path,
        state_dir: Path,
        distribution: Path,
        clock: Clock = time.time,
    ) -> None:
        self._arguments = (configuration.load(config), Path(state_dir), Path(distribution), clock)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ecr-twin", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event
        self._server: Server

    @property
    def proxy_url(self) -> str:
        """URL for HTTPS_PROXY."""
        return self._server.proxy_url

    @property
    def https(self) -> str:
        """Host and port of the listener for API, STS, registries, and ``/_twin/``."""
        return self._server.https

    @property
    def ca_path(self) -> str:
        """Path of the CA certificate."""
        return self._server.ca_path

    @property
    def ledger(self) -> Ledger:
        """Counts of requests and bytes."""
        return self._server.services.ledger

    @property
    def faults(self) -> Faults:
        """What goes wrong (X1 to X10)."""
        return self._server.services.faults

    @property
    def events(self) -> Events:
        """What EventBridge would deliver (E1)."""
        return self._server.services.events

    def purge(self, account: str, region: str, repository: str) -> int:
        """Remove the layers of a repository that no image uses (B7); gives how many."""
        return self._in_loop(lambda: control.purge(self._server.services, Registry(account, region), repository))

    def answer(self, profile: str | Mapping[str, Any]) -> None:
        """Answer the open questions by another profile from now on; what is stored stays."""
        services, answers = self._server.services, profiles.read(profile)
        self._in_loop(lambda: services.answer(configuration.under(services.config, answers)))

    def delete_role(self, arn: str) -> str:
        """Delete a role; gives the AROA id that policies show from now on (R4)."""
        return self._in_loop(lambda: control.delete_role(self._server.services, arn))

    def put_role(self, account: str, role: Mapping[str, Any]) -> None:
        """Add a role as the configuration has it, or give one that exists other policies; its sessions go on."""
        services = self._server.services
        parsed = configuration.read_role(services.config.accounts[account], role)
        self._in_loop(lambda: services.directory.put_role(parsed))

    def pod_session(self, role_arn: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Credentials as EKS Pod Identity gets them for a pod, with its session tags, which are transitive.

        Raises:
            Refusal: the role's trust policy does not let it.
        """
        services = self._server.services
        service = "pods.eks.amazonaws.com"
        answer = self._in_loop(lambda: Assumption(services).by_service(service, role_arn, tags))
        return dict(answer["Credentials"])

    def proxy_through(self, endpoint: str) -> str:
        """URL for HTTPS_PROXY of a client that comes through a VPC endpoint (``aws:SourceVpce``)."""
        return self.proxy_url.replace("://", f"://{endpoint}:x@")

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Variables that lead stock clients (boto3, AWS CLI, crane, skopeo, curl) to the twin."""
        proxy = self.proxy_through(endpoint) if endpoint else self.proxy_url
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "AWS_CA_BUNDLE": self.ca_path,
            "SSL_CERT_FILE": self.ca_path,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise TimeoutError("The twin did not start in time.")
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _in_loop(self, task: Callable[[], Result]) -> Result:
        """Do something where the database may be used: in the server's thread."""

        async def run() -> Result:
            return task()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._server = Server(*self._arguments)
        await run_until(self._server, self._stopped, self._ready.set)
