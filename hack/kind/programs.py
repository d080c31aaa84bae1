"""The programs that `make kind` runs: docker is the user's, the rest is pinned here where it can be."""

import json
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localworld import toolchain, tools
from localworld.errors import WorldError

PINNED = ("kind", "helm4", "crane", "distribution", "checkout")
PROBE_SECONDS = 20.0
_ARGOCD = "github.com/argoproj/argo-cd/v3"


@dataclass(frozen=True)
class Programs:
    """What a command begins with."""

    docker: str = "docker"
    kind: str = "kind"
    kubectl: str = "kubectl"
    helm: str = "helm"


def find() -> Programs:
    """Find docker, build what is pinned, and take the kubectl of the user or the pinned one.

    Raises:
        WorldError: This machine cannot have the cluster, with what is missing.
    """
    if platform.system() != "Linux":
        raise WorldError("make kind runs on Linux: the images that it builds hold programs of the machine it runs on.")
    docker = _docker()
    tools.ensure(PINNED)
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        tools.say("kubectl is not on PATH: the pinned one is taken.")
        tools.ensure(["kubernetes"])
        kubectl = str(tools.TOOLS["kubernetes"].path("kubectl"))
    return Programs(docker, pinned("kind", "kind"), kubectl, pinned("helm4", "helm4"))


def pinned(tool: str, binary: str) -> str:
    """A program of hack/tools."""
    return str(tools.TOOLS[tool].path(binary))


def argocd_manifests() -> Path:
    """The folder of Argo CD's manifests, of the release that hack/tools/argocd pins; its go.sum holds every byte.

    Raises:
        WorldError: The module could not be had.
    """
    command = [str(toolchain.find_go()), "mod", "download", "-json", _ARGOCD]
    module = tools.TOOLS["argocd"].module
    result = subprocess.run(
        command, cwd=module, env=toolchain.environment(), capture_output=True, text=True, check=False
    )
    told = json.loads(result.stdout or "{}")
    if result.returncode != 0 or "Dir" not in told:
        raise WorldError(f"Argo CD's manifests could not be fetched: {told.get('Error') or result.stderr.strip()}")
    return Path(told["Dir"], "manifests")


def argocd_version() -> str:
    """That release, as v3.2.11."""
    text = (tools.TOOLS["argocd"].module / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s*{re.escape(_ARGOCD)} (\S+)", text, re.MULTILINE)
    if found is None:
        raise WorldError(f"hack/tools/argocd/go.mod does not name {_ARGOCD}.")
    return found[1]


def _docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise WorldError(
            "make kind needs Docker, and there is no docker on PATH: install it (https://docs.docker.com/engine/install),"
            " or take the same without containers: make demo."
        )
    if not _answers(docker, "info"):
        raise WorldError(
            "Docker is installed and does not answer: start it, and see that you may use it (docker info)."
        )
    if not _answers(docker, "buildx", "version"):
        raise WorldError("Docker has no buildx, which builds the images: install its plugin.")
    return docker


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
