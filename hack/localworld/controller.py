"""The operator as a process of the local world: the rights of its ServiceAccount, the AWS user of production.

It runs outside of any pod, as there is no node; everything else is as in a real installation: `manifests/` gives it its
rights, environment variables its settings, and its probes say when it is ready.
"""

import json
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localworld import paths
from localworld.errors import WorldError
from localworld.processes import Child, Processes, Started, wait_until_ready
from localworld.world import World

START_SECONDS = 40.0
NAMESPACE = "transship-system"
USER = f"system:serviceaccount:{NAMESPACE}:transship"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
INSTALLED = ("crd", "rbac")
POLICY = Path(__file__).with_name("policy.yaml")


class Controller(Started):
    """A replica of the operator; a context manager that starts and stops it.

    Args:
        world: The cluster it watches and the registries it copies between.
        settings: Further environment variables (`TRANSSHIP_*`).

    Attributes:
        said: All that its processes had logged, from the first to the last, once it is stopped.
    """

    def __init__(self, world: World, settings: Mapping[str, str] | None = None) -> None:
        self._world = world
        self._settings = dict(settings or {})
        self._directory = Path(tempfile.mkdtemp(prefix="transship-controller-"))
        self._processes = Processes(self._directory)
        self._starts = 0
        self._child: Child | None = None
        self.said = ""

    @property
    def child(self) -> Child:
        """The process that was started last."""
        if self._child is None:
            raise WorldError("The operator was not started.")
        return self._child

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start a replica; returns when /readyz says so.

        Args:
            seconds: How long that may take.

        Raises:
            WorldError: It ended or did not get ready in time.
        """
        self._starts += 1
        environment = self._world.controller_env(kubeconfig(self._world, self._directory)) | {
            "TRANSSHIP_HEALTH_HOST": "127.0.0.1",
            "TRANSSHIP_HEALTH_PORT": "0",
            "TRANSSHIP_LEASE_SECONDS": "5",
            **self._settings,
        }
        command = [sys.executable, "-m", "transship", "operator"]
        self._child = self._processes.start(f"operator-{self._starts}", command, env=environment)
        wait_until_ready(self._child, self.is_ready, seconds=seconds)

    def kill(self) -> None:
        """SIGKILL: no goodbye, no clean-up; the Lease stays held."""
        self.child.process.kill()
        self.child.process.wait()

    def stop(self) -> None:
        """SIGTERM, and remove what it left in its directory."""
        self._processes.stop(grace=30.0)
        self.said += "".join(log.read_text(errors="replace") for log in sorted(self._directory.glob("*.log")))
        shutil.rmtree(self._directory, ignore_errors=True)

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return self.get("/readyz")[0] == 200  # noqa: PLR2004 - OK
        except OSError:
            return False

    @property
    def address(self) -> str:
        """Where it serves /metrics and its probes, as host:port."""
        return f"127.0.0.1:{self._health_port()}"

    def get(self, path: str) -> tuple[int, str]:
        """Ask the health server: status and body."""
        port = self._health_port()
        if port is None:
            raise ConnectionError("the health server has not said where it listens")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def log_lines(self) -> list[dict[str, Any]]:
        """Everything it has logged since its last start; every line has to be a JSON object."""
        text = self.child.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def resident_bytes(self) -> int:
        """Memory it holds now (VmRSS)."""
        status = Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii")
        kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kibibytes) * 1024

    def _health_port(self) -> int | None:
        for line in self.child.log.read_text(errors="replace").splitlines():
            if line.startswith("{") and '"operator started"' in line:
                return int(json.loads(line)["health_port"])
        return None


def install(world: World) -> None:
    """Apply the custom resource definitions and the operator's rights, as an installation does, and wait for them."""
    cluster = world.cluster
    cluster.kubectl("apply", "--server-side", f"--filename={paths.REPOSITORY / 'manifests/default/namespace.yaml'}")
    for folder in INSTALLED:
        cluster.kubectl("apply", "--server-side", f"--kustomize={paths.REPOSITORY / 'manifests' / folder}")
    cluster.kubectl(
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/promotionrequests.transship.dev",
        "crd/promotionpolicies.transship.dev",
    )


def kubeconfig(world: World, directory: Path) -> Path:
    """A kubeconfig with the rights of the operator's ServiceAccount and no others.

    Where the cluster's authority is ours a certificate carries the ServiceAccount's name; elsewhere the cluster issues
    a token for it.
    """
    try:
        return world.cluster.issue_kubeconfig("operator", USER, GROUPS)
    except WorldError:
        token = world.cluster.kubectl("create", "token", "transship", f"--namespace={NAMESPACE}").strip()
        return _with_token(world, token, directory / "operator.kubeconfig")


def _with_token(world: World, token: str, path: Path) -> Path:
    cluster = json.loads(world.cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    content = cluster | {
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": cluster["clusters"][0]["name"], "user": "operator"}}],
        "current-context": "operator",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
