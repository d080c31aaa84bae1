"""The hooks of `.pre-commit-hooks.yaml`, run by pre-commit itself at a commit, as the page says to configure them.

What the command line is made of is taken from the locked requirements that are here, and not fetched once more: of
pip's work that leaves building this repository, as it is, and installing it into the environment that pre-commit makes.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from localworld.paths import REPOSITORY

SECONDS = 100
IMAGE = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout:v1.4.2"
PACKAGED = ("controller", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")


@dataclass(frozen=True)
class Repository:
    """A git repository with an overlay, and whoever commits to it."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        return done.returncode, done.stdout

    def commit(self) -> tuple[int, str]:
        self.run("git", "add", "--all")
        return self.run("git", "commit", "--message", "Run v1.4.2")


def configuration(repository: str, revision: str) -> str:
    """What the page tells to write, for this repository."""
    page = (REPOSITORY / "docs/how-to/pipelines.md").read_text()
    (block,) = (each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "transship-policy-lint" in each)
    (configured,) = yaml.safe_load(block)["repos"]
    return yaml.safe_dump({"repos": [configured | {"repo": repository, "rev": revision}]})


@pytest.fixture
def repository(kustomize: Path, tmp_path: Path) -> Repository:
    folders = {name: tmp_path / name for name in ("home", "bin", "hooks", "cache", "repository")}
    for each in folders.values():
        each.mkdir()
    (folders["bin"] / "kustomize").symlink_to(kustomize)
    environment = {
        "HOME": str(folders["home"]),
        "PATH": ":".join([str(folders["bin"]), sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PRE_COMMIT_HOME": str(folders["cache"]),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{what}": "mary@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        # pip finds the requirements here, and asks no index; that is how it spells "without isolation".
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    hooks = Repository(folders["hooks"], environment)
    for name in PACKAGED:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, hooks.folder / name)
    made = Repository(folders["repository"], environment)
    for each in (hooks, made):
        assert each.run("git", "init", "--quiet")[0] == 0
    hooks.commit()
    status, revision = hooks.run("git", "rev-parse", "HEAD")
    assert status == 0, revision
    (made.folder / ".pre-commit-config.yaml").write_text(configuration(str(hooks.folder), revision.strip()))
    overlay = made.folder / "overlays/production"
    overlay.mkdir(parents=True)
    shutil.copy(REPOSITORY / "overlays/transship.yaml", made.folder / "overlays")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "checkout"}}
    pod |= {"spec": {"containers": [{"name": "app", "image": IMAGE}]}}
    (overlay / "pod.yaml").write_text(yaml.safe_dump(pod))
    (overlay / "kustomization.yaml").write_text("namespace: shop\nresources: [pod.yaml]\n")
    installed = made.run(sys.executable, "-m", "pre_commit", "install", "--install-hooks")
    assert installed[0] == 0, installed
    return made


def test_a_commit_is_held_up_until_the_hook_names_every_image_and_policies_are_valid(repository: Repository) -> None:
    overlay, policy = repository.folder / "overlays/production", repository.folder / "overlays/transship.yaml"

    status, said = repository.commit()

    assert status == 1, said
    assert re.search(r"images of overlays can be promoted\.+Failed", said)
    assert "files were modified by this hook" in said
    assert re.search(r"promotion policies are valid\.+Passed", said)
    assert (
        yaml.safe_load((overlay / "promote-images.yaml").read_text())["spec"]["managedBy"] == "transship.dev/promotion"
    )
    assert "promote-images.yaml" in (overlay / "kustomization.yaml").read_text()

    status, said = repository.commit()
    assert status == 0, said

    policy.write_text(policy.read_text().replace("repositories:", "repository:"))
    status, said = repository.commit()
    assert status == 1, said
    assert re.search(r"promotion policies are valid\.+Failed", said)
    assert "overlays/transship.yaml:" in said
    assert "spec.repository is not a field" in said
