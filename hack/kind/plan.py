"""The commands of `make kind`, one after the other: what is printed by --dry-run is what is run."""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kind import materials
from kind.materials import HERE, Authority
from kind.programs import Programs
from localworld import paths
from localworld.controller import POLICY
from shipping import image

NAME = "transship"
NODE = f"{NAME}-control-plane"
PLACE = paths.REPOSITORY / "dist" / "kind"
KUBECONFIG = PLACE / "kubeconfig"
TWIN_IMAGE = "ecr-twin:kind"
START = "--timeout=300s"  # images are pulled meanwhile
# What kubeadm and controllers have made is changed as well: CoreDNS's configuration, a default ServiceAccount.
APPLY = ("apply", "--server-side", "--force-conflicts")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        why: What for, as a phrase.
        arguments: The program, and what it is told.
        stdin: What it reads; never shown, as it holds keys.
        reads: What that is, for people.
    """

    why: str
    arguments: tuple[str, ...]
    stdin: str = field(default="", repr=False)
    reads: str = ""

    def shown(self) -> str:
        """As somebody would type it, in the folder of the repository."""
        root = f"{paths.REPOSITORY}/"
        words = " ".join(shlex.quote(each.replace(root, "")) for each in self.arguments)
        return f"# {self.why}\n{words}{f'   # stdin: {self.reads}' if self.reads else ''}"


def up(programs: Programs, authority: Authority, argocd: Path) -> Iterator[Command]:
    """Everything up to the sample application, which `kind.story` brings."""
    yield Command(
        "A cluster of one node; your own kubeconfig stays as it is",
        (
            *(programs.kind, "create", "cluster", f"--config={HERE / 'cluster.yaml'}"),
            *(f"--kubeconfig={KUBECONFIG}", "--wait=180s"),
        ),
    )
    yield from _images(programs)
    yield from _names(programs)
    kubectl = Kubectl(programs.kubectl)
    yield from _registries(kubectl, authority)
    yield from _argocd(kubectl, argocd)
    yield from _operator(programs, kubectl, authority)
    yield kubectl("The namespace of the sample application", *APPLY, f"--filename={HERE / 'shop.yaml'}")
    yield kubectl("What an administrator allows: shop/* to production", *APPLY, f"--filename={POLICY}")
    ready = ("wait", "--for=condition=Ready", "promotionpolicies.transship.dev/shop-to-production", "--timeout=60s")
    yield kubectl("The operator takes it", *ready)


def down(programs: Programs) -> Iterator[Command]:
    """Remove the cluster; the images stay in docker's store."""
    yield Command(
        "Remove the cluster and everything in it",
        (programs.kind, "delete", "cluster", f"--name={NAME}", f"--kubeconfig={KUBECONFIG}"),
    )


@dataclass(frozen=True)
class Kubectl:
    """kubectl for this cluster and no other."""

    program: str

    def __call__(self, why: str, *arguments: str, stdin: str = "", reads: str = "") -> Command:
        """A command of kubectl."""
        return Command(why, (self.program, f"--kubeconfig={KUBECONFIG}", *arguments), stdin, reads)

    def apply(self, why: str, reads: str, *resources: materials.Resource) -> Command:
        """Apply objects that are no file."""
        return self(why, *APPLY, "--filename=-", stdin=materials.as_text(*resources), reads=reads)

    def started(self, namespace: str, *workloads: str) -> Iterator[Command]:
        """Wait until workloads run."""
        for each in workloads:
            yield self(f"{each} runs", "rollout", "status", each, f"--namespace={namespace}", START)


def _images(programs: Programs) -> Iterator[Command]:
    yield Command(
        "The image of the twin, from what was put into that folder",
        (programs.docker, "buildx", "build", f"--tag={TWIN_IMAGE}", "--load", str(PLACE / "twin")),
    )
    build = (sys.executable, "-m", "shipping", "image", f"--name={image.NAME}", "--builder=docker")
    yield Command("The operator's image, as `make image` builds it", build)
    load = (programs.kind, "load", "docker-image", image.NAME, TWIN_IMAGE, f"--name={NAME}")
    yield Command("Both into the node, as they are in no registry", load)


def _names(programs: Programs) -> Iterator[Command]:
    yield Command(
        "The names of AWS lead the node to the twin: it pulls by them",
        (programs.docker, "exec", "--interactive", NODE, "tee", "--append", "/etc/hosts"),
        "".join(f"{line}\n" for line in materials.hosts()),
        "the hosts of hack/kind/coredns.yaml",
    )
    yield Command(
        "containerd trusts the twin's CA for production's registry",
        (programs.docker, "cp", str(PLACE / "certs.d"), f"{NODE}:{Path(materials.TRUST_FOLDER).parent}/"),
    )
    kubectl = Kubectl(programs.kubectl)
    file = HERE / "coredns.yaml"
    yield kubectl("The names of AWS lead pods to the twin", *APPLY, f"--filename={file}")
    yield kubectl("CoreDNS reads that", "rollout", "restart", "deployment/coredns", "--namespace=kube-system")


def _registries(kubectl: Kubectl, authority: Authority) -> Iterator[Command]:
    yield kubectl("The registries of two AWS accounts", *APPLY, f"--kustomize={HERE / 'registries'}")
    yield kubectl.apply("Their accounts and CA", "Secret ecr-twin", materials.twin_secret(authority))
    yield from kubectl.started("ecr-twin", "deployment/ecr-twin")


def _argocd(kubectl: Kubectl, manifests: Path) -> Iterator[Command]:
    yield kubectl("The namespace of Argo CD", *APPLY, f"--filename={HERE / 'argocd.yaml'}")
    install = f"--filename={manifests / 'install.yaml'}"
    yield kubectl("Argo CD as it is released", *APPLY, "--namespace=argocd", install)
    yield kubectl("A git repository for it", *APPLY, f"--kustomize={HERE / 'git'}")
    needed = ("deployment/argocd-repo-server", "deployment/argocd-server", "statefulset/argocd-application-controller")
    yield from kubectl.started("argocd", *needed)
    yield from kubectl.started("git", "deployment/git")


def _operator(programs: Programs, kubectl: Kubectl, authority: Authority) -> Iterator[Command]:
    yield kubectl("The operator's namespace", *APPLY, f"--filename={HERE / 'operator.yaml'}")
    reads = "ConfigMap ecr-twin-ca, Secret aws-user"
    yield kubectl.apply("Whom it trusts, and who it is at AWS", reads, *materials.operator_objects(authority))
    yield Command(
        "Transship, by its chart",
        (
            *(programs.helm, "upgrade", "--install", "transship", str(paths.REPOSITORY / "charts" / "transship")),
            *("--namespace=transship-system", f"--values={HERE / 'values.yaml'}", f"--kubeconfig={KUBECONFIG}"),
            *("--wait", START),
        ),
    )
