"""Somebody who types the commands of a page into a control plane where nothing of ours is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from localworld.cluster import Cluster
from localworld.paths import REPOSITORY

NOT_HERE = (
    "make image",  # builds; tests/image does
    "kubectl -n transship-system rollout status",  # no node: nothing starts
    "aws ",
)
IN_A_POD = re.compile(r"kubectl .*exec deploy/transship -- /usr/bin/python3 ")
"""No node: it runs here instead, with the same kubeconfig."""


def commands(page: str, section: str) -> list[str]:
    """The commands of a section of a page, but for those that a control plane alone cannot run."""
    text = re.split(r"^## ", page.partition(f"\n## {section}\n")[2], flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").replace("REGISTRY", "registry.example") for line in joined.splitlines()]
    return [IN_A_POD.sub(f"{sys.executable} ", line) for line in lines if not line.startswith(NOT_HERE)]


class Shell:
    """Types commands in a copy of the repository.

    Attributes:
        folder: that copy.
    """

    def __init__(self, own: Cluster, page: str, folder: Path, programs: Path) -> None:
        self._page, self.folder = page, folder
        home = folder / "home"
        home.mkdir()
        kubectl = str(Path(own.kubectl_binary).parent)
        self._environment = {
            "PATH": f"{programs}:{kubectl}:{os.environ['PATH']}",
            "HOME": str(home),
            "KUBECONFIG": str(own.kubeconfig),
        }
        for each in ("manifests", "charts"):
            shutil.copytree(REPOSITORY / each, folder / each)

    def run(self, command: str) -> str:
        """Run one line as somebody would; a failure fails the test with what was printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def type(self, section: str) -> None:
        """Run every command of a section."""
        found = commands(self._page, section)
        assert found, section
        for command in found:
            self.run(command)
