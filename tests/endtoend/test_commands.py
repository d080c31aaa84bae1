"""The commands that administrators and pipelines run, beside a running operator; what they print is heard as well."""

import json
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
from transship.cli.exits import STALLED
from transship.errors import Reason

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


def test_a_release_is_waited_for_looked_at_and_found_again_later(scene: Scene, run: Run, world: World) -> None:
    scene.policy()
    scene.hook(scene.image())
    person = ["--kubeconfig", str(world.cluster.kubeconfig), "--namespace", scene.namespace]

    waited = run("auditor", "wait", "--for=job/promote-images", "--timeout=45s", *person)
    shown = run("auditor", "status", "--for=job/promote-images", *person)
    told = run("auditor", "explain", "--for=job/promote-images", *person)
    history = run("auditor", "history", SAMPLE_REPOSITORY, "-o", "json", *person)

    assert waited.returncode == 0, waited.stderr
    assert waited.stdout.split()[1:3] == ["Ready", "(Promoted):"]
    assert shown.stdout.splitlines()[1].split()[1:6] == ["True", "Promoted", "1/1", "100%", "Promoted"]
    assert "It is done: every image is at the destination" in " ".join(told.stdout.split())
    (arrival,) = json.loads(history.stdout)
    assert arrival["digest"] == scene.digests["v1.4.2"] == scene.digest(scene.image())
    assert (arrival["by"], arrival["destination"]) == ("Job/promote-images", scene.image())


def test_a_release_that_cannot_be_promoted_ends_waiting_with_its_reason(scene: Scene, run: Run, world: World) -> None:
    scene.policy(tags={"deny": ["v1*"]})
    scene.request(scene.image(), "UPPER/case", name="denied")
    person = ["--kubeconfig", str(world.cluster.kubeconfig), "--namespace", scene.namespace]

    waited = run("auditor", "wait", "denied", "--timeout=45s", *person)
    told = run("auditor", "explain", "denied", *person)

    assert waited.returncode == STALLED[Reason.TAG_DENIED], waited.stdout + waited.stderr
    assert told.returncode == 1
    assert "What to do: Name another tag." in " ".join(told.stdout.split())
    assert "What to do: Write registry/repository:tag." in " ".join(told.stdout.split())


def test_the_policies_of_the_cluster_are_asked_where_no_file_is_named(scene: Scene, run: Run, world: World) -> None:
    policy = scene.policy(repositories=[SAMPLE_REPOSITORY])["metadata"]["name"]
    person = ["--kubeconfig", str(world.cluster.kubeconfig), "--namespace", scene.namespace]

    decided = run("transship-controller", "policy", "test", scene.image(), *person)
    explained = run("transship-controller", "explain", scene.image(), *person)
    logins = run("transship-controller", "login-check", policy, *person)

    assert decided.stdout.startswith(f"promoted by PromotionPolicy {policy}, from {SOURCE}/{SAMPLE_REPOSITORY}:v1.4.2")
    assert explained.returncode == 0, explained.stdout
    assert logins.returncode == 0, logins.stdout
    assert f"may look into {SOURCE}/{SAMPLE_REPOSITORY}" in logins.stdout
