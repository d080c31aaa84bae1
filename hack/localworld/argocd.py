"""A real Argo CD without its UI: redis, the repository server and the application controller as processes.

Everything that decides what a sync does is in these: hooks, waves, health, retries, self-heal. What is missing is what
people look at; an Application is started and read through the API instead (localworld.application).
"""

import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from localworld import debian, network, tools
from localworld.apiserver import ApiError, Resource
from localworld.application import APPLICATIONS, IN_CLUSTER, NAMESPACE, Application
from localworld.cluster import Cluster
from localworld.controlplane import wait_for
from localworld.errors import WorldError
from localworld.ports import LOOPBACK, free_ports, is_listening
from localworld.processes import POLL_SECONDS, Child, Processes, Started, wait_until_ready

NEEDS = ("argocd", "kustomize")
START_SECONDS = 60.0
CRDS = ("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml")
CONFIGURATION = "manifests/base/config/argocd-cm.yaml"
PART_OF = {"app.kubernetes.io/part-of": "argocd"}
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/argocd-cm"
CACHE_IS_NEW = "live state cache invalidated"  # what the controller logs when it has read argocd-cm anew
PROJECTS = "/apis/argoproj.io/v1alpha1/appprojects"
CONTROLLER_OPTIONS = (
    "--app-resync=15",
    "--app-resync-jitter=0",
    "--status-processors=4",
    "--operation-processors=4",
    "--kubectl-parallelism-limit=4",
)


def prepare() -> None:
    """Build and fetch what is missing: to be called before a network of our own is entered.

    Raises:
        WorldError: Something could not be had.
    """
    tools.ensure(NEEDS)
    debian.ensure("redis")


class ArgoCD(Started):
    """An Argo CD that deploys to the cluster it runs beside; a context manager that starts and stops it.

    Args:
        cluster: A running control plane of this machine.
        wave_delay: Seconds that it waits after each wave but the last, 2 where nobody says otherwise. With 0 it may
            judge a hook by what its watch told of the last sync's hook of that name, and the gate is open. May be
            changed before the controller is started again.
    """

    def __init__(self, cluster: Cluster, *, wave_delay: int = 1) -> None:
        self._cluster = cluster
        self.wave_delay = wave_delay
        self._directory = Path(tempfile.mkdtemp(prefix="transship-argocd-"))
        self._processes = Processes(self._directory)
        self._ports = free_ports(4)
        self._controller: Child | None = None
        self._starts = 0

    def start(self) -> None:
        """Install what it needs, and start the processes; returns when all of them say that they are ready.

        Raises:
            WorldError: This is not a network of our own, or a process was not ready in time.
        """
        if not network.is_own():
            raise WorldError(
                "Argo CD's controller serves its metrics on all addresses: call localworld.network.enter_own() first."
            )
        self._install()
        self._write_kubeconfig()
        for folder in ("home", "tmp", "tls", "ssh", "gpg", "plugins"):
            (self._directory / folder).mkdir()
        (self._directory / "ssh" / "ssh_known_hosts").touch()
        self._start_redis()
        self._start_repository_server()
        self.start_controller()

    def stop(self) -> None:
        """Stop the processes, the controller first, and remove their directory. What is in the cluster stays."""
        self._processes.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start_controller(self) -> None:
        """Start the application controller; returns when it is ready."""
        redis, repository_server, _, metrics = self._ports
        self._starts += 1
        self._controller = self._processes.start(
            f"application-controller-{self._starts}",
            [
                str(tools.TOOLS["argocd"].path("argocd")),
                f"--kubeconfig={self._kubeconfig}",
                f"--namespace={NAMESPACE}",
                f"--redis={LOOPBACK}:{redis}",
                f"--repo-server={LOOPBACK}:{repository_server}",
                "--repo-server-plaintext",
                f"--metrics-port={metrics}",
                "--logformat=text",
                *CONTROLLER_OPTIONS,
            ],
            env=self._environment("argocd-application-controller"),
        )
        wait_for(self._controller, f"http://{LOOPBACK}:{metrics}/healthz")

    def stop_controller(self, *, kill: bool = False) -> None:
        """End the application controller: by SIGTERM, or at once."""
        process = self._running_controller.process
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait()

    def configure(self, data: Mapping[str, str | None]) -> None:
        """Change what argocd-cm says about resources (None removes a key); returns when the controller goes by it.

        Raises:
            WorldError: The controller did not take it.
        """
        admin = self._cluster.admin
        before = admin.get(CONFIG_MAP).get("data", {})
        if all(before.get(name) == text for name, text in data.items()):
            return
        taken = self._controller_log().count(CACHE_IS_NEW)
        admin.patch(CONFIG_MAP, {"data": dict(data)})
        wait_until_ready(
            self._running_controller, lambda: self._controller_log().count(CACHE_IS_NEW) > taken, seconds=START_SECONDS
        )

    def application(  # noqa: PLR0913 - as many as an Application has that matter
        self,
        name: str,
        url: str,
        path: str,
        *,
        namespace: str,
        revision: str = "HEAD",
        kustomize: Mapping[str, Any] | None = None,
        automated: bool = False,
        self_heal: bool = False,
        options: Iterable[str] = (),
        retry: Mapping[str, Any] | None = None,
    ) -> Application:
        """Create an Application.

        Args:
            name: Of the Application.
            url: Of a git repository, see GitRepository.url.
            path: The folder in it.
            namespace: Where what it applies goes.
            revision: A branch or commit.
            kustomize: `spec.source.kustomize`, for example `{"images": ["shop/checkout:v2"]}`.
            automated: Whether it syncs each commit by itself.
            self_heal: Whether it also undoes what others change; with `automated`.
            options: Sync options, for example `ServerSideApply=true`.
            retry: `spec.syncPolicy.retry`.
        """
        source = {"repoURL": url, "path": path, "targetRevision": revision}
        policy: Resource = {"syncOptions": list(options)}
        if automated:
            policy["automated"] = {"selfHeal": self_heal, "prune": True}
        if retry is not None:
            policy["retry"] = dict(retry)
        self._cluster.admin.create(
            APPLICATIONS,
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name},
                "spec": {
                    "project": "default",
                    "source": source | ({"kustomize": dict(kustomize)} if kustomize else {}),
                    "destination": {"server": IN_CLUSTER, "namespace": namespace},
                    "syncPolicy": policy,
                },
            },
        )
        return Application(self._cluster.admin, name)

    def said(self) -> str:
        """All that its processes have logged."""
        return "".join(log.read_text(errors="replace") for log in sorted(self._directory.glob("*.log")))

    @property
    def _running_controller(self) -> Child:
        if self._controller is None:
            raise WorldError("The application controller was not started.")
        return self._controller

    def _controller_log(self) -> str:
        return self._running_controller.log.read_text(errors="replace")

    @property
    def _kubeconfig(self) -> Path:
        return self._directory / "argocd.kubeconfig"

    def _write_kubeconfig(self) -> None:
        """The administrator's, with the namespace that Argo CD takes for its own."""
        view = self._cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json")
        config = json.loads(view)
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        self._kubeconfig.touch(mode=0o600)
        self._kubeconfig.write_text(json.dumps(config))

    def _environment(self, program: str) -> dict[str, str]:
        folder = self._directory
        return {
            "ARGOCD_BINARY_NAME": program,
            "ARGOCD_FAKE_IN_CLUSTER": "true",  # its own cluster is the one of the kubeconfig
            "ARGOCD_SYNC_WAVE_DELAY": str(self.wave_delay),
            "KUBECONFIG": str(self._kubeconfig),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_GNUPGHOME": str(folder / "gpg"),
            "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
            "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),  # all instances of a machine share the default
            "PATH": f"{tools.TOOLS['kustomize'].directory}:{os.environ['PATH']}",
        }

    def _start_redis(self) -> None:
        port = self._ports[0]
        child = self._processes.start(
            "redis",
            [
                str(debian.find("redis", "redis-server")),
                *("--bind", LOOPBACK),
                *("--port", str(port)),
                *("--save", ""),
                *("--appendonly", "no"),
            ],
            env=debian.environment("redis"),
        )
        wait_until_ready(child, lambda: is_listening(port), seconds=START_SECONDS)

    def _start_repository_server(self) -> None:
        redis, port, metrics, _ = self._ports
        child = self._processes.start(
            "repository-server",
            [
                str(tools.TOOLS["argocd"].path("argocd")),
                f"--address={LOOPBACK}",
                f"--port={port}",
                f"--metrics-address={LOOPBACK}",
                f"--metrics-port={metrics}",
                f"--redis={LOOPBACK}:{redis}",
                "--disable-tls",
                "--logformat=text",
            ],
            env=self._environment("argocd-repo-server"),
        )
        wait_for(child, f"http://{LOOPBACK}:{metrics}/healthz")

    def _install(self) -> None:
        admin = self._cluster.admin
        admin.apply(f"/api/v1/namespaces/{NAMESPACE}", _object("v1", "Namespace", NAMESPACE))
        argocd = tools.TOOLS["argocd"]
        for path in CRDS:
            crd = yaml.load(argocd.file(path).read_bytes(), Loader=yaml.CSafeLoader)
            admin.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}", crd)
        configuration = yaml.safe_load(argocd.file(CONFIGURATION).read_text(encoding="utf-8"))
        admin.apply(CONFIG_MAP, configuration)
        core = f"/api/v1/namespaces/{NAMESPACE}"
        admin.apply(f"{core}/configmaps/argocd-rbac-cm", _object("v1", "ConfigMap", "argocd-rbac-cm"))
        key = {"stringData": {"server.secretkey": secrets.token_urlsafe(32)}}
        admin.apply(f"{core}/secrets/argocd-secret", _object("v1", "Secret", "argocd-secret") | key)
        project = {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        }
        self._until_served()
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects/default"
        admin.apply(path, _object("argoproj.io/v1alpha1", "AppProject", "default") | {"spec": project})

    def _until_served(self) -> None:
        # `kubectl wait` stumbles over a definition that has no conditions yet.
        deadline = time.monotonic() + START_SECONDS
        for path in (APPLICATIONS, PROJECTS):
            while not self._is_served(path):
                if time.monotonic() > deadline:
                    raise WorldError(f"The API server does not serve {path} after {START_SECONDS:.0f} s.")
                time.sleep(POLL_SECONDS)

    def _is_served(self, path: str) -> bool:
        try:
            self._cluster.admin.get(path)
        except ApiError:
            return False
        return True


def _object(api_version: str, kind: str, name: str) -> Resource:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": dict(PART_OF)}}
