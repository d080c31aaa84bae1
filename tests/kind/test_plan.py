"""What `make kind` would do, and what it says where it cannot."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kind import materials, plan, programs, story
from kind.programs import Programs
from localworld import accounts
from localworld.errors import WorldError
from localworld.paths import REPOSITORY

MANIFESTS = Path("argo-cd", "manifests")
SECONDS = 60


def kind(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kind", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "hack"), **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def commands() -> list[plan.Command]:
    return list(plan.up(Programs(), materials.make_authority(), MANIFESTS))


def test_a_dry_run_prints_every_command_and_needs_nothing(tmp_path: Path) -> None:
    result = kind("up", "--dry-run", PATH=str(tmp_path))

    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert [line.split()[0] for line in lines[:4]] == ["kind", "docker", ".venv/bin/python", "kind"]
    assert len(lines) == len(commands())
    assert result.stdout.endswith("".join(f"# then: {step}\n" for step in story.STEPS))


def test_what_is_printed_holds_no_key() -> None:
    said = kind("up", "--dry-run").stdout
    keys = [key for each in accounts.identities().values() for key in (each.access_key_id, each.secret_access_key)]

    assert [key for key in [*keys, "PRIVATE KEY"] if key in said] == []
    assert [key for key in [*keys, "PRIVATE KEY"] if key in repr(commands())] == []


def test_no_cluster_but_its_own_is_touched() -> None:
    for command in commands():
        if command.arguments[0] in {"kubectl", "helm"}:
            assert f"--kubeconfig={plan.KUBECONFIG}" in command.arguments


def test_the_node_is_that_of_the_cluster() -> None:
    cluster = yaml.safe_load((materials.HERE / "cluster.yaml").read_text())
    named = {
        each for command in commands() for each in re.findall(r"[\w-]+-control-plane", " ".join(command.arguments))
    }

    assert named == {f"{cluster['name']}-control-plane"}
    assert [each["role"] for each in cluster["nodes"]] == ["control-plane"]


def test_every_file_that_is_applied_is_there() -> None:
    for command in commands():
        for option in command.arguments:
            name, _, value = option.partition("=")
            if name in {"--filename", "--kustomize", "--config", "--values"} and value != "-":
                assert Path(value).exists() or Path(value).parent == MANIFESTS, option


def test_every_image_the_node_is_given_is_built_before() -> None:
    wanted = [command.arguments for command in commands()]
    (load,) = (each for each in wanted if each[1:3] == ("load", "docker-image"))
    built = {option.partition("=")[2] for each in wanted[: wanted.index(load)] for option in each}

    assert set(load[3:-1]) <= built


def test_down_removes_the_cluster_and_nothing_else() -> None:
    (command,) = plan.down(Programs())

    assert command.arguments[:4] == ("kind", "delete", "cluster", "--name=transship")


def test_without_docker_it_says_what_to_install_or_take_instead(tmp_path: Path) -> None:
    result = kind("up", PATH=str(tmp_path))

    assert result.returncode == 1
    assert result.stderr.startswith("kind: make kind needs Docker, and there is no docker on PATH: install it")
    assert result.stderr.rstrip().endswith("make demo.")


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 1", "does not answer: start it"), ('[ "$1" = info ]', "has no buildx"), ("kill -9 $$", "does not answer")],
)
def test_a_docker_that_is_not_enough_is_told_what_is_missing(tmp_path: Path, script: str, said: str) -> None:
    program(tmp_path, "docker", script)

    result = kind("up", PATH=str(tmp_path))

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line


def test_a_command_that_fails_is_named_with_its_purpose(tmp_path: Path) -> None:
    program(tmp_path, "kubectl", "cat > /dev/null; echo refused >&2; exit 1")
    command = plan.Kubectl(str(tmp_path / "kubectl")).apply(
        "Their accounts and CA", "Secret ecr-twin", {"kind": "Secret"}
    )

    with pytest.raises(WorldError, match=r"kubectl failed, as it says above \(Their accounts and CA\)"):
        story.run(command)


def test_argo_cd_is_of_the_release_that_the_local_world_runs() -> None:
    images = re.findall(r"quay\.io/argoproj/argocd:(\S+)", (materials.HERE / "git" / "deployment.yaml").read_text())

    assert images == [programs.argocd_version()]


def test_what_to_try_next_is_for_this_cluster_in_whatever_terminal_and_folder() -> None:
    said = story.instructions("/tools of mine/kubectl")
    lines = [line for line in said.splitlines() if "kubectl" in line]

    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line.partition("pages: ")[2] or line, comments=True)
        assert words[:2] == ["/tools of mine/kubectl", f"--kubeconfig={plan.KUBECONFIG}"]
    assert plan.KUBECONFIG.is_absolute()
    assert "export" not in said
