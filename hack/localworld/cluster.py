"""Which Kubernetes the local world uses, and one way to talk to all of them.

In this order: the cluster of `$TRANSSHIP_KUBECONFIG`, a control plane of the binaries in `$KUBEBUILDER_ASSETS`, a
`kind` cluster when kind is installed and a container engine answers, a control plane of the tools built here.
"""

import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from localworld import tools
from localworld.apiserver import ApiServer
from localworld.controlplane import Binaries, ControlPlane
from localworld.errors import WorldError

KUBECONFIG_VARIABLE = "TRANSSHIP_KUBECONFIG"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CONTAINER_ENGINES = ("docker", "podman", "nerdctl")


class Cluster(ABC):
    """A Kubernetes API server to work with; a context manager that starts what it has to and stops what it started.

    Attributes:
        choice: Which cluster this is and why, as a phrase for people.
        needs: The names of the pinned tools it is made of.
        admin: The API, as an administrator; from entering the context on.
    """

    choice: str
    needs: tuple[str, ...] = ()
    admin: ApiServer
    _kubectl_cache: "tempfile.TemporaryDirectory[str]"

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig, with everything inside."""

    @property
    @abstractmethod
    def kubectl_binary(self) -> Path:
        """A kubectl that fits this API server."""

    @abstractmethod
    def start(self) -> None:
        """Start what there is to start.

        Raises:
            WorldError: It could not be started, or does not answer.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop what `start` has started, and only that."""

    def issue_kubeconfig(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for an identity that has no rights but those that RBAC objects give it.

        Raises:
            WorldError: The cluster's certificate authority is not ours to use.
        """
        raise WorldError(
            f"No certificate for {user} ({name}, {len(groups)} groups): the authority of {self.choice} is not ours. "
            f"Unset {KUBECONFIG_VARIABLE} to test restricted identities."
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return what it printed.

        Raises:
            WorldError: It failed; the message is what it wrote to its standard error.
        """
        command = [str(self.kubectl_binary), f"--kubeconfig={self.kubeconfig}", *arguments]
        environment = os.environ | self.kubectl_environment
        result = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise WorldError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    @property
    def kubectl_environment(self) -> dict[str, str]:
        """Keeps kubectl from writing its cache to the user's home, and from reading their preferences there."""
        return {"KUBECACHEDIR": self._kubectl_cache.name, "KUBERC": "off"}

    def __enter__(self) -> Self:
        self._kubectl_cache = tempfile.TemporaryDirectory(prefix="transship-kubectl-")
        try:
            self.start()
            self.admin = ApiServer(self.kubeconfig)
        except BaseException:  # also Ctrl-C: what has been started so far must not stay
            self.stop()
            self._kubectl_cache.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.admin.close()
        self.stop()
        self._kubectl_cache.cleanup()


class ExistingCluster(Cluster):
    """Somebody else's cluster: used, never stopped."""

    def __init__(self, kubeconfig: Path) -> None:
        self.choice = f"the cluster of {KUBECONFIG_VARIABLE} ({kubeconfig})"
        self._kubeconfig = kubeconfig

    @property
    def kubeconfig(self) -> Path:
        """The one that was named."""
        return self._kubeconfig

    @property
    def kubectl_binary(self) -> Path:
        """The one on PATH."""
        return _on_path("kubectl")

    def start(self) -> None:
        """Nothing to start: only see that it answers, so that a wrong path fails here with a sentence."""
        if not self._kubeconfig.is_file():
            raise WorldError(f"{KUBECONFIG_VARIABLE} names {self._kubeconfig}, which is not a file.")
        self.kubectl("get", "--raw=/readyz", "--request-timeout=10s")

    def stop(self) -> None:
        """Not ours to stop."""


class KindCluster(Cluster):
    """A kind cluster of our own, deleted at the end."""

    def __init__(self) -> None:
        self.choice = "a kind cluster, as a container engine answers and kind is installed"
        self._name = f"transship-{os.getpid()}"
        self._directory = Path(tempfile.mkdtemp(prefix="transship-kind-"))

    @property
    def kubeconfig(self) -> Path:
        """Written by kind; the user's own is left alone."""
        return self._directory / "admin.kubeconfig"

    @property
    def kubectl_binary(self) -> Path:
        """The one on PATH."""
        return _on_path("kubectl")

    def start(self) -> None:
        """Create the cluster."""
        self._kind("create", "cluster", f"--kubeconfig={self.kubeconfig}", "--wait=120s")

    def stop(self) -> None:
        """Delete the cluster."""
        self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _kind(self, *arguments: str) -> None:
        command = ["kind", *arguments, f"--name={self._name}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise WorldError(f"kind {arguments[0]} cluster failed: {result.stderr.strip()}")


class LocalCluster(Cluster):
    """A control plane without nodes, as processes of this machine."""

    def __init__(self, choice: str, binaries: Binaries, kubectl: Path, needs: tuple[str, ...] = ()) -> None:
        self.choice = choice
        self.needs = needs
        self._binaries = binaries
        self._kubectl = kubectl
        self._control_plane: ControlPlane | None = None

    @property
    def control_plane(self) -> ControlPlane:
        """The running processes.

        Raises:
            WorldError: The cluster has not been started.
        """
        if self._control_plane is None:
            raise WorldError("The cluster has not been started.")
        return self._control_plane

    @property
    def kubeconfig(self) -> Path:
        """Of the running control plane."""
        return self.control_plane.kubeconfig

    @property
    def kubectl_binary(self) -> Path:
        """Of the same release as the API server."""
        return self._kubectl

    def start(self) -> None:
        """Build what is missing, and start the processes."""
        tools.ensure(self.needs)
        self._control_plane = ControlPlane(self._binaries)
        self._control_plane.start()

    def stop(self) -> None:
        """Stop the processes and remove their directory."""
        if self._control_plane is not None:
            self._control_plane.stop()

    def issue_kubeconfig(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """See Cluster; by a client certificate."""
        return self.control_plane.issue_kubeconfig(name, user, groups)


def choose(*, own_network: bool = False) -> Cluster:
    """The cluster of this machine, not started yet.

    Args:
        own_network: It has to run in a network of our own (`network.enter_own`), which kind's containers are not in.

    Raises:
        WorldError: The environment names one that cannot be used.
    """
    if kubeconfig := os.environ.get(KUBECONFIG_VARIABLE):
        return ExistingCluster(Path(kubeconfig))
    if assets := os.environ.get(ASSETS_VARIABLE):
        return _of_assets(Path(assets))
    if not own_network and shutil.which("kind") and shutil.which("kubectl") and _container_engine_answers():
        return KindCluster()
    return _of_tools()


def _of_assets(directory: Path) -> LocalCluster:
    binaries = Binaries(directory / "etcd", directory / "kube-apiserver", directory / "kube-controller-manager")
    kubectl = directory / "kubectl"
    wanted = (binaries.etcd, binaries.apiserver, binaries.controller_manager, kubectl)
    absent = [path.name for path in wanted if not path.is_file()]
    if absent:
        raise WorldError(
            f"{ASSETS_VARIABLE} ({directory}) lacks {', '.join(absent)} (setup-envtest ships no controller manager, "
            "nothing is garbage-collected without one): add what is missing, or unset the variable."
        )
    return LocalCluster(f"the binaries of {ASSETS_VARIABLE} ({directory})", binaries, kubectl)


def _of_tools() -> LocalCluster:
    etcd, kubernetes = tools.TOOLS["etcd"], tools.TOOLS["kubernetes"]
    binaries = Binaries(
        etcd.path("etcd"), kubernetes.path("kube-apiserver"), kubernetes.path("kube-controller-manager")
    )
    choice = f"a control plane of the pinned tools ({kubernetes.directory})"
    return LocalCluster(choice, binaries, kubernetes.path("kubectl"), ("etcd", "kubernetes"))


def _container_engine_answers() -> bool:
    return any(_answers(engine) for engine in CONTAINER_ENGINES if shutil.which(engine))


def _answers(engine: str) -> bool:
    try:
        return subprocess.run([engine, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _on_path(program: str) -> Path:
    found = shutil.which(program)
    if found is None:
        raise WorldError(f"{program} is not on PATH: install it.")
    return Path(found)
