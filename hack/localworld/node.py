"""A real node beside the control plane: kubelet, containerd and a scheduler as processes of this machine.

Pods really run: containerd pulls their images from the ECR twin under their AWS names, with a token that the kubelet
gets for them from a credential provider. The node lives in the network of its caller, which has to be one of its own
(localworld.network), and has mounts, processes and cgroups of its own (localworld.node_init).
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from localworld import debian, network, sample, tools
from localworld.accounts import Identity
from localworld.apiserver import ApiError
from localworld.cluster import LocalCluster
from localworld.errors import WorldError
from localworld.processes import POLL_SECONDS, Processes, Started
from localworld.registries import Registries
from localworld.world import World

NEEDS = ("node", "checkout")
NAME = "node1"
ADDRESS = "10.77.0.1"  # the kubelet takes no loopback address
POD_RANGE = "10.88.0.0/24"
INIT = Path(__file__).with_name("node_init.py")
START_SECONDS = 60.0
REHEARSAL_SECONDS = 30.0
SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "transship.invalid/pause:1"
NODES = "/api/v1/nodes"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
PROVIDER = "ecr-login"


def prepare() -> None:
    """Build and fetch what is missing: to be called before a network of our own is entered.

    Raises:
        WorldError: Something could not be had.
    """
    tools.ensure(NEEDS)
    debian.ensure("containers")


def program() -> Path:
    """What an image must hold to run here (`World.push_sample`)."""
    return tools.TOOLS["checkout"].path("checkout")


def why_not() -> str | None:
    """Why no node can run on this machine, as one sentence; None when one can. Nothing is built or fetched for it."""
    if os.geteuid() != 0:
        return "A node needs root, for mounts, cgroups and network devices: run it as root."
    if missing := [name for name in ("mount", "umount") if shutil.which(name) is None]:
        return f"A node needs {' and '.join(missing)}, which are not on PATH: install util-linux and mount."
    if not debian.is_here("containers") and shutil.which("apt-get") is None:
        try:
            debian.find("containers", "containerd")
        except WorldError as error:
            return f"A node needs containerd: {error}"
    with tempfile.TemporaryDirectory(prefix="transship-rehearsal-") as directory:
        command = [sys.executable, "-I", str(INIT), "--rehearse", directory]
        result = subprocess.run(command, capture_output=True, text=True, timeout=REHEARSAL_SECONDS, check=False)
    if refused := result.stdout.strip() or result.stderr.strip():
        return f"This machine does not let a node have {refused}: run it where root has all capabilities."
    return None


class Node(Started):
    """One node; a context manager that starts and stops it.

    Args:
        world: A running control plane of this machine, in this network, and the registries to pull from.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._directory = Path()
        self._processes = Processes(self._directory)

    def start(self) -> None:
        """Start the processes; returns when the node is Ready and takes pods.

        Raises:
            WorldError: It cannot run here, or was not ready in time.
        """
        if reason := why_not():
            raise WorldError(reason)
        cluster = self._world.cluster
        if not network.is_own() or not isinstance(cluster, LocalCluster):
            raise WorldError(
                "A node runs only beside a control plane of this machine in a network of its own: unset "
                "TRANSSHIP_KUBECONFIG, and call localworld.network.enter_own() before the cluster is started."
            )
        prepare()
        self._directory = Path(tempfile.mkdtemp(prefix="transship-node-"))
        self._processes = Processes(self._directory)
        network.give_address("lo:1", ADDRESS)
        self._admit()
        self._start_machine(cluster)
        self._start_scheduler(cluster)
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the processes, pods included, and remove their directory. What is in the cluster stays."""
        self._processes.stop(grace=20.0)
        if self._directory.name:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _admit(self) -> None:
        """Nodes get their rights by RBAC: the authorizer that is made for them guards them from each other."""
        binding: dict[str, Any] = {
            "metadata": {"name": "localworld:nodes"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}],
        }
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
        self._world.cluster.admin.apply(f"{BINDINGS}/localworld:nodes", kind | binding)

    def _start_machine(self, cluster: LocalCluster) -> None:
        programs = {name: debian.find("containers", name) for name in ("containerd", "runc", "ctr", "bridge")}
        kubeconfig = cluster.issue_kubeconfig("kubelet", f"system:node:{NAME}", ["system:nodes"])
        config, cgroup = self._directory, self._directory.name
        _write_containerd_config(config, programs["bridge"].parent)
        _write_kubelet_config(config, cgroup)
        _write_credential_provider(config, self._world.registries, self._world.identities["node"])
        plan = {
            "cgroup": cgroup,
            "containerd": [str(programs["containerd"]), f"--config={config / 'containerd.toml'}"],
            "import": [
                *(str(programs["ctr"]), f"--address={SOCKET}", "--namespace=k8s.io"),
                *("images", "import", str(_write_pause_image(config))),
            ],
            "kubelet": [
                str(tools.TOOLS["node"].path("kubelet")),
                f"--config={config / 'kubelet.json'}",
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={NAME}",
                f"--node-ip={ADDRESS}",
                f"--image-credential-provider-config={config / 'providers.json'}",
                f"--image-credential-provider-bin-dir={config / 'providers'}",
            ],
        }
        _write_json(config / "plan.json", plan)
        self._processes.start(
            "node",
            [sys.executable, "-I", str(INIT), str(config)],
            env=self._environment(*programs.values()),
            at_our_end=signal.SIGTERM,  # it has cgroups to remove
        )

    def _environment(self, *programs: Path) -> dict[str, str]:
        """Where containerd finds its shim and runc, and the way to the registries."""
        folders = [*dict.fromkeys(str(program.parent) for program in programs), os.environ["PATH"]]
        wanted = ("HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
        reach = self._world.registries.environment(self._world.identities["node"])
        way = {name: reach[name] for name in wanted}
        return {"PATH": ":".join(folders)} | debian.environment("containers") | way

    def _start_scheduler(self, cluster: LocalCluster) -> None:
        kubeconfig = cluster.issue_kubeconfig("kube-scheduler", "system:kube-scheduler")
        self._processes.start(
            "kube-scheduler",
            [
                str(tools.TOOLS["node"].path("kube-scheduler")),
                f"--kubeconfig={kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            ended = [child.name for child in self._processes if child.process.poll() is not None]
            if ended or time.monotonic() > deadline:
                what = f"{ended[0]} ended" if ended else f"it was not Ready after {START_SECONDS:.0f} s"
                raise WorldError(f"The node did not start: {what}. Its logs end with:\n{self.said()}")
            time.sleep(POLL_SECONDS)
        # The controller that takes new nodes' taint off is not among those of the control plane.
        self._world.cluster.admin.patch(f"{NODES}/{NAME}", {"spec": {"taints": None}})

    def _is_ready(self) -> bool:
        try:
            node = self._world.cluster.admin.get(f"{NODES}/{NAME}")
        except ApiError:
            return False
        return any(
            each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", [])
        )

    def said(self) -> str:
        """The end of each log."""
        logs = sorted(self._directory.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1000:].strip()}" for log in logs)


def _write_containerd_config(directory: Path, plugins: Path) -> None:
    networks = directory / "networks"
    networks.mkdir()
    address_management = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "ipam": address_management}
    _write_json(networks / "10-bridge.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})
    snapshotters = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    (directory / "containerd.toml").write_text(
        f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [{snapshotters}]
[grpc]
  address = "{SOCKET}"
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true # runc fails without CAP_SYS_RESOURCE otherwise
  disable_apparmor = true
[{cri}.cni]
  bin_dir = "{plugins}"
  conf_dir = "{networks}"
[{cri}.containerd]
  snapshotter = "overlayfs"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
""",
        encoding="utf-8",
    )


def _write_kubelet_config(directory: Path, cgroup: str) -> None:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDNS": ["10.0.0.10"],  # nobody answers there; without one there is a warning for each pod
        "clusterDomain": "cluster.local",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "enableServer": False,
        "healthzPort": 0,
        "makeIPTablesUtilChains": False,
        "maxOpenFiles": 20000,
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        # The machine's disk is not ours: it may be nearly full.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
    _write_json(directory / "kubelet.json", config)


def _write_credential_provider(directory: Path, registries: Registries, identity: Identity) -> None:
    """A plugin as nodes at AWS have it, with a token that was asked for in advance: it is good for twelve hours."""
    version = "credentialprovider.kubelet.k8s.io/v1"
    with registries.ecr(identity) as ecr:
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    answer = {
        "apiVersion": version,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "auth": {identity.registry: {"username": user, "password": password}},
    }
    _write_json(directory / "credentials.json", answer)
    provider = directory / "providers" / PROVIDER
    provider.parent.mkdir()
    provider.write_text(f"#!/bin/sh\nexec cat {directory / 'credentials.json'}\n", encoding="utf-8")
    provider.chmod(0o700)
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [
            {
                "name": PROVIDER,
                "apiVersion": version,
                "matchImages": ["*.dkr.ecr.*.amazonaws.com"],
                "defaultCacheDuration": "12h",
            }
        ],
    }
    _write_json(directory / "providers.json", config)


def _write_pause_image(directory: Path) -> Path:
    """What holds the namespaces of a pod: the sample's program, told to wait."""
    layout, archive = directory / "pause", directory / "pause.tar"
    layout.mkdir()
    sample.write_layout(layout, "1", program(), arguments=["pause"], name=PAUSE_IMAGE)
    with tarfile.open(archive, "w") as packed:
        for path in sorted(layout.iterdir()):
            packed.add(path, path.name)
    return archive


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")
