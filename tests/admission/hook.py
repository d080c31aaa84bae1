"""The webhook as a process of the local world, and the API server told of it."""

import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ecr_twin.canary import spellings
from localworld.accounts import canary
from localworld.apiserver import ApiError
from localworld.cluster import Cluster
from localworld.paths import REPOSITORY
from localworld.ports import free_ports
from localworld.processes import Child, Processes, wait_until_ready
from localworld.world import World

NAMESPACE = "transship-system"
USER = f"system:serviceaccount:{NAMESPACE}:transship-admission"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
MANIFESTS = REPOSITORY / "manifests" / "admission"
CONFIGURATION = "transship-admission"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/transship-admission-tls"
GATE = {"name": "transship.dev/promotion"}
GATED = "transship.dev/gated"
READY_SECONDS = 40.0


def install(cluster: Cluster) -> None:
    """Apply the rights and the empty Secret, as an installation does."""
    for name in ("component/rbac.yaml", "self-managed/rbac.yaml", "self-managed/secret.yaml"):
        cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={MANIFESTS / name}")


def uninstall(cluster: Cluster) -> None:
    """Take it all away again: other tests count the rights there are."""
    for name in ("self-managed/secret.yaml", "self-managed/rbac.yaml", "component/rbac.yaml"):
        cluster.kubectl("delete", "--ignore-not-found", f"--filename={MANIFESTS / name}")


def configuration(port: int, name: str = CONFIGURATION, **webhook: Any) -> dict[str, Any]:
    """The configuration of the manifests, for a webhook on this machine; keywords replace fields of the webhook."""
    resource: dict[str, Any] = yaml.safe_load((MANIFESTS / "component" / "webhook.yaml").read_text())
    resource["metadata"]["name"] = name
    resource["webhooks"][0] |= {"clientConfig": {"url": f"https://127.0.0.1:{port}/mutate"}, **webhook}
    return resource


def configure(cluster: Cluster, resource: dict[str, Any]) -> None:
    """Have the API server ask a webhook, in place of what was told of that name before."""
    forget(cluster, resource["metadata"]["name"])
    cluster.admin.create(CONFIGURATIONS, resource)


def forget(cluster: Cluster, name: str = CONFIGURATION) -> None:
    """Delete a configuration."""
    with suppress(ApiError):
        cluster.admin.delete(f"{CONFIGURATIONS}/{name}")


class Hook:
    """`transship admission` as a process, with the rights of its ServiceAccount.

    Attributes:
        port: where it serves reviews; the same at every start.
    """

    def __init__(self, world: World, settings: Mapping[str, str] | None = None) -> None:
        self._world = world
        self._settings = dict(settings or {})
        self._directory = Path(tempfile.mkdtemp(prefix="transship-admission-"))
        self._processes = Processes(self._directory)
        self._starts = 0
        self._child: Child | None = None
        self.port, self._health = free_ports(2)

    @property
    def child(self) -> Child:
        """The process that was started last."""
        assert self._child is not None
        return self._child

    def start(self, arguments: Sequence[str] = ("--drain=0", "--refresh=0.3")) -> None:
        """Start it; returns when it is ready."""
        self._starts += 1
        rights = self._world.cluster.issue_kubeconfig("admission", USER, GROUPS)
        environment = self._world.controller_env(rights) | {
            "TRANSSHIP_HEALTH_HOST": "127.0.0.1",
            "TRANSSHIP_HEALTH_PORT": str(self._health),
            "TRANSSHIP_LOG_LEVEL": "debug",
            **self._settings,
        }
        place = ("--host=127.0.0.1", f"--port={self.port}", "--name=127.0.0.1")
        command = [sys.executable, "-m", "transship", "admission", *place, *arguments]
        self._child = self._processes.start(f"admission-{self._starts}", command, env=environment)
        wait_until_ready(self._child, self.is_ready, seconds=READY_SECONDS)

    def terminate(self) -> int:
        """SIGTERM; its exit status."""
        self.child.process.terminate()
        return self.child.process.wait(20)

    def kill(self) -> None:
        """SIGKILL."""
        self.child.process.kill()
        self.child.process.wait()

    def stop(self) -> None:
        """SIGTERM, and remove what it left, once no secret was found in it."""
        self._processes.stop(grace=20.0)
        words = spellings(canary())
        logs = {log.name: log.read_text() for log in self._directory.glob("*.log")}
        assert [name for name, text in logs.items() if any(word in text for word in words)] == []
        shutil.rmtree(self._directory, ignore_errors=True)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return bool(self.get("/readyz"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        """Ask the health server; the body of a good answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    @property
    def address(self) -> str:
        """Where it serves /metrics and its probes, as host:port."""
        return f"127.0.0.1:{self._health}"

    def reviewed(self, result: str) -> float:
        """How many reviews had that result."""
        wanted = f'transship_reviews_total{{result="{result}"}} '
        lines = self.get("/metrics").splitlines()
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged since its last start."""
        lines = self.child.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]
