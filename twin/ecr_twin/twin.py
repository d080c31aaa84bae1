"""A twin inside the process of a test: its event loop runs in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ecr_twin import config as configuration
from ecr_twin.directory import Clock
from ecr_twin.ledger import Ledger
from ecr_twin.server import Server, run_until

_START_SECONDS = 60.0


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
        """Host and port of the listener for API, STS, registries, and ``/_twin/ledger``."""
        return self._server.https

    @property
    def ca_path(self) -> str:
        """Path of the CA certificate."""
        return self._server.ca_path

    @property
    def ledger(self) -> Ledger:
        """Counts of requests and bytes."""
        return self._server.services.ledger

    def environment(self) -> dict[str, str]:
        """Variables that lead stock clients (boto3, AWS CLI, crane, skopeo, curl) to the twin."""
        return {
            "HTTPS_PROXY": self.proxy_url,
            "https_proxy": self.proxy_url,
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
