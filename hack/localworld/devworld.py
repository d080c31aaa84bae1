"""`make dev`: the local world, kept running for a person to try things in (docs/tutorial.md)."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localworld import paths, tools, world
from localworld.accounts import DEVELOPMENT, PRODUCTION, registry
from localworld.controller import POLICY, Controller, install
from localworld.world import SAMPLE_REPOSITORY, SAMPLE_TAGS, World

NAMESPACE = "shop"
ENVIRONMENT = paths.REPOSITORY / "dist/dev.env"


def keep() -> None:
    """Start the world and the operator in it, say how to reach them, and keep them until SIGINT or SIGTERM."""
    tools.ensure()
    with world.running() as running, _environment(running):
        running.push_sample()
        install(running)
        running.cluster.kubectl("create", "namespace", NAMESPACE)
        running.cluster.kubectl("apply", f"--filename={POLICY}")
        with Controller(running) as controller:
            print(_instructions(controller), flush=True)
            signal.pause()


@contextmanager
def _environment(running: World) -> Iterator[None]:
    """The file that another terminal sources; it holds an access key of the twin."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    ENVIRONMENT.unlink(missing_ok=True)
    ENVIRONMENT.touch(mode=0o600)
    ENVIRONMENT.write_text(_exports(running))
    try:
        yield
    finally:
        ENVIRONMENT.unlink(missing_ok=True)


def _exports(running: World) -> str:
    programs = {
        running.cluster.kubectl_binary.parent,
        *(tools.TOOLS[name].directory for name in ("crane", "kustomize")),
        Path(sys.executable).parent,
    }
    logins = running.registries.log_in(running.identities["ci"], running.identities["auditor"])
    variables = running.controller_env() | running.cluster.kubectl_environment | {"DOCKER_CONFIG": str(logins)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH="{":".join(map(str, sorted(programs)))}:$PATH"', ""])


def _instructions(controller: Controller) -> str:
    return f"""
The local world is running; Ctrl-C, or `kill {os.getpid()}`, ends it and removes everything it made.

In another terminal, in this directory:

  source {ENVIRONMENT.relative_to(paths.REPOSITORY)}   # cluster, AWS user, logins; kubectl, crane, kustomize, transship
  kubectl get promotionpolicies.transship.dev
  kubectl apply --kustomize overlays/production
  kubectl get promotionrequests.transship.dev --namespace {NAMESPACE} --watch
  kubectl describe job promote-images --namespace {NAMESPACE}
  tail -f {controller.child.log}

{registry(DEVELOPMENT)} has {SAMPLE_REPOSITORY} {", ".join(SAMPLE_TAGS)};
{registry(PRODUCTION)} has nothing. docs/tutorial.md goes on from here.
"""
