"""The two registries and the blob host of one scenario, as a process of `hack/tools/delayline`."""

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from copying.content import REPOSITORY, Content
from copying.namespace import Places
from copying.scenarios import Scenario
from ecr_twin.certificates import Authority
from localworld import tools
from localworld.errors import WorldError
from localworld.processes import Child, Processes, tethered, wait_until_ready

USER, PASSWORD = "AWS", "benchmark"
START_SECONDS = 60.0
CONTROL_SECONDS = 60.0
CEILING_SECONDS = 300.0
CEILING_TRANSFER_SECONDS = 1.0
CEILING_BYTES = 512 * 1024 * 1024
ECR_QUOTAS = {"manifest_puts": 10, "upload_starts": 100}


@dataclass(frozen=True)
class Counts:
    """What the servers have seen since the last reset.

    Attributes:
        requests: HTTP requests to the source, the blob host and the destination.
        by_kind: the same, and other events, by name.
        connections: accepted.
        served: bytes of blobs and manifests that left the source's side or the destination.
        received: bytes of bodies that reached the destination.
    """

    requests: int
    by_kind: Mapping[str, int]
    connections: int
    served: int
    received: int

    @classmethod
    def of(cls, counters: Mapping[str, Any]) -> "Counts":
        """Read what the control listener says."""
        events: dict[str, int] = counters["events"]
        requests = sum(count for name, count in events.items() if " " in name and name[0].isupper())
        return cls(requests, events, counters["connections"], counters["served"], counters["received"])


def delayline(command: str) -> list[str]:
    """The command line of one of the program's commands."""
    return [str(tools.TOOLS["delayline"].path("delayline")), command]


class World:
    """A context manager: the registries of a scenario run inside of it.

    Attributes:
        places: how clients name the servers.
        authority: the certificate authority that clients have to trust; None without TLS.
        docker_config: a directory with the credentials of both registries.
    """

    def __init__(self, scenario: Scenario, content: Content, places: Places, directory: Path) -> None:
        directory.mkdir()
        self.scenario = scenario
        self.content = content
        self.places = places
        self.authority: Path | None = None
        self.docker_config = directory / "docker"
        self._directory = directory
        self._processes = Processes(directory)
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._log_in()
        try:
            self._start()
        except BaseException:  # also Ctrl-C: what has been started so far must not stay
            self._processes.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.stop()

    def _start(self) -> None:
        configuration = self._directory / "serve.json"
        configuration.write_text(json.dumps(self._configuration()))
        child = self._processes.start("serve", [*delayline("serve"), str(configuration)])
        wait_until_ready(child, lambda: _ready(child) is not None, seconds=START_SECONDS)
        self._addresses = _ready(child) or {}

    @property
    def inspect_address(self) -> str:
        """`host:port` where the destination answers to whoever checks it."""
        return self._addresses["inspect"]

    @property
    def is_plain(self) -> bool:
        """Whether clients have to be told that there is no TLS."""
        return not self.scenario.network.tls

    @property
    def size(self) -> int:
        """Bytes that a copy has to move; none when everything is there."""
        return 0 if self.scenario.filled else self.content.size

    def reference(self, tag: str, *, at: str) -> str:
        """`host/repository:tag`, at the `source` or the `destination`."""
        return f"{self.repository(at=at)}:{tag}"

    def repository(self, *, at: str) -> str:
        """`host/repository`, at the `source` or the `destination`."""
        place = self.places.source if at == "source" else self.places.destination
        return f"{place.host}/{REPOSITORY}"

    def reset(self) -> None:
        """Make the next client meet what the first one met: a destination in its first state, counters at zero."""
        self._control("POST", "/fill" if self.scenario.filled else "/reset")

    def counts(self) -> Counts | None:
        """What the servers have seen since the last reset; None when they do not count."""
        return Counts.of(json.loads(self._control("GET", "/counters")))

    def ceiling(self, connections: int) -> dict[str, float]:
        """Bytes per second, by direction, that a client gets which does nothing but move bytes."""
        scheme = "http" if self.is_plain else "https"
        wanted = {
            "download": f"{scheme}://{self.repository_path(self.places.source.host)}/blobs/{self.content.largest.digest}",
            "upload": f"{scheme}://{self.repository_path(self.places.destination.host)}/blobs/uploads/",
            "download_bytes": self._ceiling_size(connections, self.scenario.network.download_rate),
            "upload_bytes": self._ceiling_size(connections, self.scenario.network.upload_rate),
            "connections": connections,
            "credentials": f"{USER}:{PASSWORD}" if self.scenario.network.like_ecr else "",
            "authority": str(self.authority or ""),
        }
        output: dict[str, float] = call(delayline("ceiling"), wanted, seconds=CEILING_SECONDS)
        return output

    def _ceiling_size(self, connections: int, rate: float) -> int:
        """What each connection moves: of the largest blob, enough for a rate to show, and no more than that takes."""
        limit = int(rate * CEILING_TRANSFER_SECONDS) if rate else CEILING_BYTES // connections
        return min(self.content.largest.size, limit)

    @staticmethod
    def repository_path(host: str) -> str:
        """Where the API of the repository is."""
        return f"{host}/v2/{REPOSITORY}"

    def _control(self, method: str, path: str) -> bytes:
        connection = HTTPConnection(self._addresses["control"], timeout=CONTROL_SECONDS)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _configuration(self) -> dict[str, Any]:
        network, places = self.scenario.network, self.places
        scheme = "https" if network.tls else "http"
        return {
            "network": {
                "round_trip_ms": network.round_trip_ms,
                "download_rate": network.download_rate,
                "upload_rate": network.upload_rate,
            },
            "listen": {
                "source": places.source.listen,
                "blobs": places.blobs.listen,
                "destination": places.destination.listen,
                "inspect": "127.0.0.1:0",
                "control": "127.0.0.1:0",
            },
            "blobs_at": f"{scheme}://{places.blobs.host}" if network.like_ecr else "",
            "certificate": str(self._certificate()) if network.tls else "",
            "credentials": f"{USER}:{PASSWORD}" if network.like_ecr else "",
            "content": str(self.content.path),
            "keep": self.scenario.keeps_blobs,
            "cuts": self.scenario.cuts,
            "quotas": ECR_QUOTAS if self.scenario.ecr_quotas else {},
        }

    def _certificate(self) -> Path:
        authority = Authority(self._directory)
        self.authority = authority.path
        places = (self.places.source, self.places.blobs, self.places.destination)
        authority.server_context("server", [place.host.partition(":")[0] for place in places])
        return self._directory / "server.pem"

    def _log_in(self) -> None:
        self.docker_config.mkdir()
        encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        hosts = (self.places.source.host, self.places.destination.host) if self.scenario.network.like_ecr else ()
        auths = {host: {"auth": encoded} for host in hosts}
        (self.docker_config / "config.json").write_text(json.dumps({"auths": auths}))


def call(command: list[str], document: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
    """Run one of the program's commands with a document, and return its answer.

    Raises:
        WorldError: It failed, or took too long.
    """
    try:
        result = subprocess.run(
            tethered(command),
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise WorldError(f"delayline {command[-1]} was not done after {seconds:.0f} s.") from error
    if result.returncode != 0:
        raise WorldError(f"delayline {command[-1]}: {result.stderr.strip()}")
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def _ready(child: Child) -> dict[str, str] | None:
    """The line that says where it listens; None while it does not."""
    said = child.log.read_text(errors="replace")
    return dict(json.loads(said)) if said.startswith("{") and said.endswith("}\n") else None
