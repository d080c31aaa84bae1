"""The commands that administrators and pipelines run, beside a running operator; what they print is heard as well."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from endtoend.conftest import Hear
from endtoend.scene import SOURCE, Scene
from localworld.processes import INHERITED
from localworld.world import SAMPLE_REPOSITORY, World

Run = Callable[..., subprocess.CompletedProcess[str]]
BESIDE = "commands/checkout"


@pytest.fixture
def run(world: World, tmp_path: Path, hear: Hear) -> Run:
    """Run a command as one of the world's users, at the loudest."""

    def run(user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        known = world.registries.environment(world.identities[user])
        done = subprocess.run(
            [sys.executable, "-m", "transship", *arguments],
            env=inherited | known | {"TRANSSHIP_LOG_LEVEL": "debug"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        hear(f"transship {arguments[0]}", done.stdout + done.stderr)
        return done

    return run


def test_an_image_is_copied_and_its_digest_printed(scene: Scene, run: Run, world: World) -> None:
    with world.registries.ecr(world.identities["ci"]) as ecr, suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=BESIDE)
    source, there = f"{SOURCE}/{SAMPLE_REPOSITORY}:v1.4.2", f"{SOURCE}/{BESIDE}:v1.4.2"

    planned = run("ci", "copy", "--plan", source, there)
    copied = run("ci", "copy", "--output=json", source, there)

    assert planned.returncode == 2, planned.stderr
    assert copied.returncode == 0, copied.stderr
    assert scene.digests["v1.4.2"] in copied.stdout


def test_who_may_not_read_the_source_is_told_so(run: Run, scene: Scene) -> None:
    refused = run("auditor", "copy", f"{SOURCE}/{SAMPLE_REPOSITORY}:v1.4.2", scene.image())
    assert refused.returncode == 1
    assert "user/auditor" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_a_policy_leads_to_is_explained_with_and_without_a_remedy(run: Run, scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    for external_id, status in (("transship-example", 0), ("an-external-id-that-is-wrong", 1)):
        policy = scene.policy_resource(namespaces={"names": [scene.namespace]})
        policy["spec"]["source"]["externalId"] = external_id
        file.write_text(yaml.safe_dump(policy))
        explained = run("transship-controller", "explain", scene.image(), f"--file={file}")
        assert explained.returncode == status, explained.stdout + explained.stderr


def test_the_settings_are_printed(run: Run) -> None:
    printed = run("transship-controller", "settings")
    assert printed.returncode == 0
    assert "TRANSSHIP_LOG_LEVEL" in printed.stdout
