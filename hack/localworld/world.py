"""A cluster and the registries of two AWS accounts: everything that the main job touches."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localworld import accounts, cluster, network, sample
from localworld.accounts import Identity
from localworld.cluster import Cluster
from localworld.registries import Registries

SAMPLE_REPOSITORY = "shop/checkout"
SAMPLE_TAGS = ("v1.4.1", "v1.4.2", "v1.5.0")


class World:
    """What a running cluster and running registries are together.

    Attributes:
        cluster: See localworld.cluster.
        registries: See localworld.registries.
        identities: The IAM users of accounts.yaml by name: ci, transship-controller, node, auditor.
    """

    def __init__(self, running_cluster: Cluster, registries: Registries) -> None:
        self.cluster = running_cluster
        self.registries = registries
        self.identities = accounts.identities()

    def controller_env(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """What the controller's environment must have to work here: its AWS user, and a kubeconfig.

        Args:
            kubeconfig: An identity of its own (`cluster.issue_kubeconfig`); an administrator's when left out.
        """
        controller = self.identities["transship-controller"]
        return self.registries.environment(controller) | {"KUBECONFIG": str(kubeconfig or self.cluster.kubeconfig)}

    def push_sample(
        self, tags: Iterable[str] = SAMPLE_TAGS, repository: str = SAMPLE_REPOSITORY, program: Path | None = None
    ) -> dict[str, str]:
        """See the function of this name."""
        return push_sample(self.registries, tags, repository, program)


def push_sample(
    registries: Registries,
    tags: Iterable[str] = SAMPLE_TAGS,
    repository: str = SAMPLE_REPOSITORY,
    program: Path | None = None,
) -> dict[str, str]:
    """Push versions of the sample application to the development registry, as its pipeline would. Needs no cluster.

    Args:
        registries: Where to.
        tags: Which versions.
        repository: Of the development registry; made when it is not there.
        program: See sample.write_layout.

    Returns:
        The digest of each tag's index.
    """
    ci = accounts.identities()["ci"]
    with registries.ecr(ci) as ecr, suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    return {tag: _push(registries, ci, f"{repository}:{tag}", program) for tag in tags}


def _push(registries: Registries, ci: Identity, image: str, program: Path | None) -> str:
    with tempfile.TemporaryDirectory(prefix="transship-sample-") as directory:
        digest = sample.write_layout(Path(directory), image.rpartition(":")[2], program)
        registries.crane(ci, "push", directory, f"{ci.registry}/{image}")
    return digest


@contextmanager
def running() -> Iterator[World]:
    """Start a cluster and the registries, say which cluster it is, and stop both at the end."""
    chosen = cluster.choose(own_network=network.is_own())
    print(f"Kubernetes: {chosen.choice}", flush=True)
    with chosen, Registries() as registries:
        yield World(chosen, registries)
