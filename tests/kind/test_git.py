"""Argo CD applies from the git repository as it is served in the cluster, and commits are pushed to it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from kind import materials, story
from localworld.argocd import ArgoCD
from localworld.cluster import Cluster
from localworld.gitrepository import GitRepository
from localworld.ports import free_ports, is_listening
from localworld.processes import Processes, wait_until_ready

DEPLOYMENT = yaml.safe_load((materials.HERE / "git" / "deployment.yaml").read_text())
POD = DEPLOYMENT["spec"]["template"]["spec"]
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: pushed}
data: {version: "%d"}
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of the repository, made and served by the commands of the Deployment, but for places."""
    port = free_ports(1)[0]
    places = {"/repositories": str(folder), f"--port={story.GIT_PORT}": f"--port={port}"}

    def command(container: dict[str, list[str]]) -> list[str]:
        words = [*container["command"], *container["args"]]
        for old, new in places.items():
            words = [word.replace(old, new) for word in words]
        return words

    subprocess.run(command(POD["initContainers"][0]), check=True)
    with Processes(folder) as processes:
        listen = [*command(POD["containers"][0]), "--listen=127.0.0.1"]
        child = processes.start("git", listen)
        wait_until_ready(child, lambda: is_listening(port), seconds=20)
        yield f"git://127.0.0.1:{port}/shop.git"


@pytest.mark.cluster
def test_what_is_pushed_is_applied(argocd: ArgoCD, control_plane: Cluster, namespace: str, tmp_path: Path) -> None:
    with served(tmp_path) as url, GitRepository() as repository:
        first = repository.commit({"app/settings.yaml": SETTINGS % 1})
        story.push(repository.directory, url)
        application = argocd.application(namespace, url, "app", namespace=namespace, revision="main", automated=True)
        assert application.until_ended(first).phase == "Succeeded"

        second = repository.commit({"app/settings.yaml": SETTINGS % 2})
        story.push(repository.directory, url)
        application.refresh()
        assert application.until_ended(second).phase == "Succeeded"

    data = control_plane.kubectl("get", "configmap", "pushed", f"-n={namespace}", "-o=jsonpath={.data.version}")
    assert data == "2"
