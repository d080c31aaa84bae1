"""`make dev`: the local world, kept running for a person to try things in."""

import shlex
import signal
import tempfile
from pathlib import Path

from localworld import paths, tools, world
from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.world import SAMPLE_REPOSITORY, World

CUSTOM_RESOURCES = paths.REPOSITORY / "manifests" / "crd"


def keep() -> None:
    """Start the world, say how to reach it, and keep it until SIGINT or SIGTERM."""
    tools.ensure()
    with world.running() as running, tempfile.TemporaryDirectory(prefix="transship-dev-") as directory:
        running.push_sample()
        running.cluster.kubectl("apply", "--server-side", f"--filename={CUSTOM_RESOURCES}")
        environment = Path(directory) / "env"
        environment.touch(mode=0o600)
        environment.write_text(_exports(running))
        print(_instructions(environment), flush=True)
        signal.pause()


def _exports(running: World) -> str:
    programs = {
        running.cluster.kubectl_binary.parent,
        *(tools.TOOLS[name].directory for name in ("crane", "kustomize")),
    }
    variables = running.controller_env() | running.cluster.kubectl_environment
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH="{":".join(map(str, sorted(programs)))}:$PATH"', ""])


def _instructions(environment: Path) -> str:
    return f"""
The local world is running; Ctrl-C ends it and removes everything it made.

In another terminal, in this directory:

  source {environment}                 # KUBECONFIG, the controller's AWS user, kubectl, crane and kustomize
  kubectl get customresourcedefinitions
  .venv/bin/transship --help
  kubectl create namespace shop
  kubectl apply --kustomize overlays/production

Registries: {registry(DEVELOPMENT)} has {SAMPLE_REPOSITORY}, {registry(PRODUCTION)} does not.
"""
