"""What `make kind` shows once everything runs: images in development, a commit, a sync that waits, pods."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kind import materials
from kind.forwarding import PROXY_PORT, Forward, ForwardedRegistries
from kind.materials import HERE, Authority
from kind.plan import APPLY, KUBECONFIG, NAME, Command, Kubectl
from localworld import paths
from localworld.accounts import PRODUCTION, identities, registry
from localworld.apiserver import ApiServer
from localworld.application import Application, Operation
from localworld.errors import WorldError
from localworld.gitrepository import BRANCH, GitRepository
from localworld.registries import Registries
from localworld.world import SAMPLE_REPOSITORY, push_sample

GIT_PORT = 9418
SYNC_SECONDS = 240.0  # Argo CD reads the repository for the first time, and pulls nothing new
TAG = "v1.4.2"
DESTINATION_IMAGE = f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}"
STEPS = (
    "push shop/checkout to development, through the twin's proxy: v1.4.1, v1.4.2, v1.5.0",
    "apply the Secret production-registry: a token of the twin, for the kubelet",
    "push overlays/ to the git repository in the cluster",
    "apply hack/kind/application.yaml, and wait for the sync: it ends when the image is proven to be in production",
    "see the pods of shop run, and that production's digest is development's",
)


def tell(program: str, authority: Authority, sample: Path) -> None:
    """Do those steps.

    Args:
        program: kubectl.
        authority: The twin's.
        sample: What runs in the image of the sample application.

    Raises:
        WorldError: A step did not show what it promises.
    """
    kubectl = Kubectl(program)
    base = kubectl("").arguments
    forward = Forward(base, "ecr-twin", "deployment/ecr-twin", PROXY_PORT)
    with ForwardedRegistries(forward, authority.certificate) as registries:
        _say(STEPS[0])
        digests = push_sample(registries, program=sample)
        _say(STEPS[1])
        run(kubectl.apply("", "", materials.pull_secret(docker_config(registries))))
        _say(STEPS[2])
        with Forward(base, "git", "deployment/git", GIT_PORT) as git, GitRepository() as repository:
            revision = repository.copy(paths.REPOSITORY / "overlays", "overlays", f"Run checkout {TAG}")
            push(repository.directory, f"git://127.0.0.1:{git.port}/shop.git")
        _say(STEPS[3])
        run(kubectl("", *APPLY, f"--filename={HERE / 'application.yaml'}"))
        _show(_synced(revision))
        _say(STEPS[4])
        run(kubectl("", "rollout", "status", "deployment/checkout", "--namespace=shop", "--timeout=120s"))
        arrived = registries.crane(identities()["auditor"], "digest", f"{DESTINATION_IMAGE}:{TAG}")
        if arrived != digests[TAG]:
            raise WorldError(f"Production has {arrived}, and development {digests[TAG]}.")
    print(instructions(program))


def docker_config(registries: Registries) -> str:
    """What a kubelet pulls from production with."""
    return (registries.log_in(identities()["node"]) / "config.json").read_text(encoding="utf-8")


def push(directory: Path, url: str) -> None:
    """Push the branch of a repository.

    Raises:
        WorldError: It was refused.
    """
    command = ["git", "push", "--quiet", url, BRANCH]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise WorldError(f"git push to {url} failed: {result.stderr.strip()}")


def run(command: Command) -> None:
    """Run one command.

    Raises:
        WorldError: It failed; what it wrote stands above.
    """
    environment = os.environ | {"PYTHONPATH": str(paths.REPOSITORY / "hack")}
    # Without something to read a command is not to wait for a person.
    given = command.stdin.encode()
    status = subprocess.run(command.arguments, input=given, env=environment, check=False).returncode
    if status != 0:
        program = Path(command.arguments[0]).name
        raise WorldError(f"{program} failed, as it says above ({command.why}). `make kind-down` removes what is there.")


def instructions(program: str) -> str:
    """What to try next; each command names its cluster, and can be typed in any terminal and folder."""
    kubectl = shlex.join([program, f"--kubeconfig={KUBECONFIG}"])
    return f"""
The cluster {NAME} runs; `make kind-down` removes it.

  {kubectl} get promotionrequests.transship.dev --namespace shop
  {kubectl} get applications.argoproj.io --namespace argocd

A release engineer's part, in a folder of your own:

  {kubectl} port-forward --namespace git deployment/git {GIT_PORT} &
  git clone git://127.0.0.1:{GIT_PORT}/shop.git && cd shop/overlays/production
  kustomize edit set image shop/checkout={DESTINATION_IMAGE}:v1.5.0
  git commit --all --message "Run checkout v1.5.0" && git push
  {kubectl} annotate application shop --namespace argocd argocd.argoproj.io/refresh=normal   # or wait three minutes

v9.9.9 does not exist: the sync fails with the reason. v1.4.2 again is there: nothing is copied.
Argo CD's pages: {kubectl} port-forward --namespace argocd service/argocd-server 8080:443
"""


def _synced(revision: str) -> Operation:
    admin = ApiServer(KUBECONFIG)
    try:
        application = Application(admin, "shop")
        operation = application.until_ended(revision, seconds=SYNC_SECONDS)
    finally:
        admin.close()
    if operation.phase != "Succeeded":
        raise WorldError(f"The sync was to succeed: {operation}")
    return operation


def _show(operation: Operation) -> None:
    for line in operation.lines:
        print(f"    {line.kind:<11}{line.name:<16}{line.hook_phase or line.status:<10} {line.message}", flush=True)


def _say(line: str) -> None:
    print(f"\n# {line}", flush=True)


def shown() -> Sequence[str]:
    """The steps, for --dry-run."""
    return [f"# then: {step}" for step in STEPS]
