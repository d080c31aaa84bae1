"""etcd, kube-apiserver and kube-controller-manager as processes of this machine.

A real control plane without nodes: schemas, CEL, RBAC, admission, watches, server-side apply, garbage collection and
the Job, Deployment and ReplicaSet controllers are all real; Pods are created and never run.
"""

import http.client
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from localworld.pki import Authority, write_kubeconfig
from localworld.ports import LOOPBACK, free_ports
from localworld.processes import Child, Processes, Started, wait_until_ready

START_SECONDS = 90.0
CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "job-controller",
    "deployment-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",  # without it the roles view, edit and admin are empty
)


@dataclass(frozen=True)
class Binaries:
    """The programs a control plane is made of."""

    etcd: Path
    apiserver: Path
    controller_manager: Path


class ControlPlane(Started):
    """One control plane with a temporary directory of its own; a context manager that starts and stops it.

    Attributes:
        directory: Everything it writes; removed by `stop`.
        server: The API server's URL.
        kubeconfig: For `system:masters`.
    """

    def __init__(self, binaries: Binaries) -> None:
        self._binaries = binaries
        self.directory = Path(tempfile.mkdtemp(prefix="transship-cluster-"))
        self.kubeconfig = self.directory / "admin.kubeconfig"
        self.processes = Processes(self.directory)
        self._authority = Authority(self.directory / "pki")
        self.ports = free_ports(4)
        self._etcd_port, self._etcd_peer_port, self._api_port, self._manager_port = self.ports
        self.server = f"https://{LOOPBACK}:{self._api_port}"

    def start(self) -> None:
        """Start the three processes; returns when all of them say that they are ready.

        Raises:
            WorldError: One of them ended or was not ready in time.
        """
        self._start_etcd()
        signing_key, verifying_key = self._authority.service_account_keys()
        self._start_apiserver(signing_key, verifying_key)
        self._start_controller_manager(signing_key)

    def stop(self) -> None:
        """Stop them, the controller manager first and etcd last, and remove the directory."""
        self.processes.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def issue_kubeconfig(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for an identity that has no rights but those that RBAC objects give it."""
        path = self.directory / f"{name}.kubeconfig"
        client = self._authority.issue_client(name, user, groups)
        write_kubeconfig(path, self.server, self._authority.certificate, client)
        return path

    def _start_etcd(self) -> None:
        client = f"http://{LOOPBACK}:{self._etcd_port}"
        peer = f"http://{LOOPBACK}:{self._etcd_peer_port}"
        child = self.processes.start(
            "etcd",
            [
                str(self._binaries.etcd),
                f"--data-dir={self.directory / 'etcd'}",
                "--unsafe-no-fsync",  # nothing here outlives the machine's next power failure
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--log-level=warn",
            ],
        )
        wait_for(child, f"{client}/health")

    def _start_apiserver(self, signing_key: Path, verifying_key: Path) -> None:
        certificate, key = self._authority.issue_server("kube-apiserver")
        admin = self._authority.issue_client("admin", "admin", ["system:masters"])
        write_kubeconfig(self.kubeconfig, self.server, self._authority.certificate, admin)
        child = self.processes.start(
            "kube-apiserver",
            [
                str(self._binaries.apiserver),
                f"--etcd-servers=http://{LOOPBACK}:{self._etcd_port}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={self._api_port}",
                f"--advertise-address={LOOPBACK}",
                "--endpoint-reconciler-type=none",  # it refuses to publish a loopback address as an endpoint
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={self._authority.certificate}",
                f"--service-account-issuer={self.server}",
                f"--service-account-key-file={verifying_key}",
                f"--service-account-signing-key-file={signing_key}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--allow-privileged=true",
                "--profiling=false",
            ],
        )
        trust = ssl.create_default_context(cafile=str(self._authority.certificate))
        trust.load_cert_chain(*admin)
        wait_for(child, f"{self.server}/readyz", trust)

    def _start_controller_manager(self, signing_key: Path) -> None:
        identity = "system:kube-controller-manager"
        kubeconfig = self.issue_kubeconfig("kube-controller-manager", identity)
        certificate, key = self._authority.issue_server("kube-controller-manager")
        child = self.processes.start(
            "kube-controller-manager",
            [
                str(self._binaries.controller_manager),
                f"--kubeconfig={kubeconfig}",
                "--leader-elect=false",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={self._manager_port}",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--service-account-private-key-file={signing_key}",
                f"--root-ca-file={self._authority.certificate}",
                # Its own identity may not create ReplicaSets under RBAC; those of its controllers may.
                "--use-service-account-credentials=true",
                f"--controllers={','.join(CONTROLLERS)}",
            ],
        )
        trust = ssl.create_default_context(cafile=str(self._authority.certificate))
        wait_for(child, f"https://{LOOPBACK}:{self._manager_port}/healthz", trust)


def wait_for(child: Child, url: str, trust: ssl.SSLContext | None = None) -> None:
    """Wait until the health endpoint of a process says 200.

    Raises:
        WorldError: It ended or was not ready in time.
    """
    wait_until_ready(child, lambda: _answers(url, trust), seconds=START_SECONDS)


def _answers(url: str, trust: ssl.SSLContext | None) -> bool:
    """Whether a health endpoint says 200; asked directly, as a proxy of the environment must not be asked."""
    parts = urlsplit(url)
    connection = (
        http.client.HTTPConnection(parts.netloc, timeout=2)
        if trust is None
        else http.client.HTTPSConnection(parts.netloc, timeout=2, context=trust)
    )
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
