"""`make dev`: the local world, kept running for a person to try things in."""

import shlex
import signal
import tempfile
from pathlib import Path

from localworld import tools, world
from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.controller import POLICY, Controller, install
from localworld.world import SAMPLE_REPOSITORY, SAMPLE_TAGS, World

NAMESPACE = "shop"


def keep() -> None:
    """Start the world and the operator in it, say how to reach them, and keep them until SIGINT or SIGTERM."""
    tools.ensure()
    with world.running() as running, tempfile.TemporaryDirectory(prefix="transship-dev-") as directory:
        running.push_sample()
        install(running)
        running.cluster.kubectl("create", "namespace", NAMESPACE)
        running.cluster.kubectl("apply", f"--filename={POLICY}")
        environment = Path(directory) / "env"
        environment.touch(mode=0o600)
        environment.write_text(_exports(running))
        with Controller(running) as controller:
            print(_instructions(environment, controller), flush=True)
            signal.pause()


def _exports(running: World) -> str:
    programs = {
        running.cluster.kubectl_binary.parent,
        *(tools.TOOLS[name].directory for name in ("crane", "kustomize")),
    }
    variables = running.controller_env() | running.cluster.kubectl_environment
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH="{":".join(map(str, sorted(programs)))}:$PATH"', ""])


def _instructions(environment: Path, controller: Controller) -> str:
    return f"""
The local world is running; Ctrl-C ends it and removes everything it made.

In another terminal, in this directory:

  source {environment}                 # KUBECONFIG, an AWS user, kubectl, crane and kustomize
  kubectl get promotionpolicies.transship.dev
  kubectl apply --kustomize overlays/production
  kubectl get promotionrequests.transship.dev --namespace {NAMESPACE} --watch
  kubectl describe job promote-images --namespace {NAMESPACE}
  tail -f {controller.child.log}

{registry(DEVELOPMENT)} has {SAMPLE_REPOSITORY} {", ".join(SAMPLE_TAGS)};
{registry(PRODUCTION)} has nothing.
"""
