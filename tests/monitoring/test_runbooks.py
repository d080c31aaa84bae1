"""What runbooks tell people to type can be typed."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localworld import cluster, network
from localworld.cluster import Cluster
from localworld.paths import REPOSITORY
from manifests import asking, examples
from manifests.installation import MANIFESTS

PAGES = [*sorted((REPOSITORY / "docs/runbooks").glob("Transship*.md")), REPOSITORY / "docs/how-to/monitoring.md"]
CLI = (REPOSITORY / "docs/cli.md").read_text()
NEEDS_PODS = re.compile(r"\blogs\b|\bargocd\b")
"""What cannot be asked where no pod runs and no Argo CD is."""


def typed(page: Path) -> Iterator[str]:
    """The commands of a page, each on one line."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", "").splitlines():
            assert line.startswith("$ "), line
            yield line.removeprefix("$ ")


COMMANDS = sorted({command for page in PAGES for command in typed(page)})
OF_KUBECTL = [each for each in COMMANDS if each.startswith("kubectl ") and not NEEDS_PODS.search(each)]
OURS = sorted(
    {
        *(each for each in COMMANDS if each.startswith("transship ")),
        *(each for page in PAGES for each in re.findall(r"`(transship [a-z][^`]*)`", page.read_text())),
    }
)


@pytest.fixture(scope="module")
def own_cluster(control_plane: Cluster, prometheus_operator: Path) -> Iterator[Cluster]:
    """A control plane in which everything is installed, and nothing runs."""
    with cluster.choose(own_network=network.is_own()) as chosen:
        for path in prometheus_operator.glob("*.yaml"):
            chosen.kubectl("apply", "--server-side", f"--filename={path}")
        chosen.kubectl("apply", "--server-side", f"--kustomize={MANIFESTS / 'admission'}")
        chosen.kubectl("create", "namespace", "shop")
        lease = {"metadata": {"name": "transship"}, "spec": {"holderIdentity": "a"}}
        chosen.admin.create("/apis/coordination.k8s.io/v1/namespaces/transship-system/leases", lease)
        crd = "crd/promotionrequests.transship.dev"
        chosen.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s")
        path = "/apis/transship.dev/v1alpha1/namespaces/shop/promotionrequests"
        asking.wait_until(lambda: bool(chosen.admin.get(path)["kind"]), "requests are served")
        chosen.admin.create(path, examples.request("by-hand"))
        yield chosen


@pytest.mark.parametrize("command", OF_KUBECTL)
def test_kubectl_answers_what_is_asked_of_it(own_cluster: Cluster, tmp_path: Path, command: str) -> None:
    asked = (
        command.partition(" | ")[0].replace("--namespace NAMESPACE", "--namespace shop").replace(" NAME", " by-hand")
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(own_cluster.kubeconfig)}

    result = subprocess.run(
        [str(own_cluster.kubectl_binary), *shlex.split(asked)[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (result.returncode, result.stderr.replace("No resources found in transship-system namespace.\n", "")) in {
        (0, ""),
        (0, "No resources found\n"),
    }


@pytest.mark.parametrize("command", OURS)
def test_our_commands_and_their_options_exist(command: str) -> None:
    words = [word for word in shlex.split(command.partition(" | ")[0]) if not word.isupper()]
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    (section,) = re.findall(rf"^## transship {words[1]}\n(.*?)^## ", CLI, re.MULTILINE | re.DOTALL)
    shared = CLI.partition("## Options of output")[2]

    assert all(f"{option}" in section + shared for option in options), options
