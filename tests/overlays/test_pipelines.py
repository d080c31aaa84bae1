"""What is supplied for pipelines does what it says: the script of the action, the entries of pre-commit, the page."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.command import SECONDS, Command
from localworld.paths import REPOSITORY
from overlays.conftest import PLANNER, Shop
from overlays.test_plan import pod
from transship.cli.app import COMMANDS
from transship.cli.policy_files import parse_policies

ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text())
HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PAGE = REPOSITORY / "docs" / "how-to" / "pipelines.md"


def act(shop: Shop, tmp_path: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Run the action's last step as a runner does; its exit code, its outputs, and the summary."""
    (_, step) = ACTION["runs"]["steps"]
    runner = tmp_path / "runner"
    (runner / "transship" / "bin").mkdir(parents=True, exist_ok=True)
    python = runner / "transship" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    given = {"command": "plan", "arguments": "", **inputs}
    asked = {name: given[re.sub(r"\W|inputs", "", value)] for name, value in step["env"].items()}
    outputs, summary = runner / "outputs", runner / "summary"
    for file in (outputs, summary):
        file.write_text("")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", step["run"]],
        env=shop.registries.environment(shop.people[PLANNER])
        | {"HOME": str(shop.home), "PATH": os.environ["PATH"], "TRANSSHIP_KUSTOMIZE": str(shop.kustomize)}
        | {"RUNNER_TEMP": str(runner), "GITHUB_ACTION_PATH": str(REPOSITORY)}
        | {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
        | asked,
        cwd=shop.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    told = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    return done.returncode, told, summary.read_text() + done.stdout


def test_the_action_plans_and_passes_when_something_is_to_be_done(shop: Shop, tmp_path: Path) -> None:
    shop.push("v1")
    shop.let_in()
    shop.overlay("production", shop.reference("v1"))
    status, outputs, said = act(shop, tmp_path, overlays="production\n")
    assert (status, outputs["exit-code"]) == (0, "2")
    assert f"`{shop.reference('v1')}`" in said
    assert Path(outputs["markdown"]).read_text() in said


def test_the_action_fails_when_an_image_cannot_be_promoted(shop: Shop, tmp_path: Path) -> None:
    shop.push("v1")
    shop.let_in()
    shop.overlay("production", shop.reference("v9"))
    status, outputs, said = act(shop, tmp_path, overlays="production", arguments="--verbose")
    assert (status, outputs["exit-code"]) == (1, "1")
    assert "SourceMissing" in said


def test_a_plan_that_failed_before_it_was_written_is_not_named_for_a_comment(shop: Shop, tmp_path: Path) -> None:
    status, outputs, _ = act(shop, tmp_path, overlays="nowhere")
    assert (status, outputs) == (1, {"exit-code": "1"})


def test_what_is_given_to_the_action_is_never_run(shop: Shop, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    status, _, _ = act(shop, tmp_path, overlays=f"$(touch {mark})`touch {mark}`; touch {mark}")
    assert status == 1
    status, _, said = act(shop, tmp_path, command="copy; true", overlays="production")
    assert (status, "command has to be plan" in said) == (1, True)
    assert not mark.exists()


def test_the_action_runs_no_other_and_puts_no_input_into_a_script() -> None:
    steps: list[dict[str, Any]] = ACTION["runs"]["steps"]
    assert not [each for each in steps if "uses" in each]
    assert not [each for each in steps if "${{" in each["run"]]


@pytest.mark.parametrize("hook", HOOKS, ids=[each["id"] for each in HOOKS])
def test_hooks_of_pre_commit_are_commands(hook: dict[str, Any], shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    program, *words = shlex.split(hook["entry"])
    assert program == "transship"
    files = hook.get("pass_filenames", True)
    assert re.search(hook["files"], "overlays/transship.yaml")
    assert shop.run(*words, *(["transship.yaml"] if files else ["--offline", "--fix", overlay])).status == 0


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_policy_of_the_page_is_one() -> None:
    (policy,) = parse_policies(each for block in blocks("yaml") for each in yaml.safe_load_all(block) if each)
    assert policy.name == "shop-to-production"


def test_the_page_calls_commands_and_options_that_there_are(tmp_path: Path) -> None:
    calls = re.findall(r"`(?:[^`]*\| )?transship ([^`]+)`", PAGE.read_text())
    assert len(calls) > 5
    for call in calls:
        name, *words = shlex.split(call)
        assert name in COMMANDS, call
        helped = Command(tmp_path)(name, "--help").out
        assert not [each for each in words if each.startswith("-") and each != "-" and each not in helped], call


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/overlays.md", "docs/how-to/pipelines.md"])
def test_what_helm_prints_is_planned_as_it_is_typed_where_overlays_are(page: str, shop: Shop) -> None:
    found = re.search(r"helm template \w+ (\S+) \| transship (.+?)(?:`|\s+#|\n)", (REPOSITORY / page).read_text())
    assert found is not None
    chart, words = found.groups()
    assert chart == "CHART" or (REPOSITORY / chart).is_dir()
    shop.push("v1")
    shop.let_in()
    (shop.folder / "overlays").mkdir()
    (shop.folder / "transship.yaml").rename(shop.folder / "overlays" / "transship.yaml")

    said = shop.run(*shlex.split(words), stdin=yaml.safe_dump(pod("app", shop.reference("v1"))))

    assert said.status == 2, said.err
    assert shop.reference("v1") in said.out


def test_an_agent_installs_what_is_locked_and_the_command(tmp_path: Path) -> None:
    (console,) = blocks("console")
    venv, locked, own, _ = (line.removeprefix("$ ").split() for line in console.splitlines())
    named = [each for before, each in itertools.pairwise(locked) if before == "--requirement"]
    assert "--require-hashes" in locked
    assert all((REPOSITORY / each).is_file() for each in named)
    needs = " ".join((REPOSITORY / each).read_text() for each in named)
    assert all(f"{each}==" in needs for each in PROJECT["build-system"]["requires"])

    target = ["--target", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *own[1:], *target], cwd=REPOSITORY, check=True)

    assert venv[-1] in own[0]
    assert (tmp_path / "bin" / "transship").is_file()


def test_the_page_configures_the_hooks_and_the_action_that_there_are() -> None:
    documents = [each for block in blocks("yaml") for each in yaml.safe_load_all(block) if each]
    (configured,) = (each["repos"] for each in documents if "repos" in each)
    assert {each["id"] for each in configured[0]["hooks"]} == {each["id"] for each in HOOKS}
    (workflow,) = (each for each in documents if "jobs" in each)
    (step,) = (each for each in workflow["jobs"]["plan"]["steps"] if each.get("id") == "transship")
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert all(
        re.search("@[0-9a-f]{40}$", each["uses"]) for each in workflow["jobs"]["plan"]["steps"] if "uses" in each
    )


def test_the_sample_overlays_can_be_checked_by_their_own_policy(shop: Shop) -> None:
    said = shop.run("check", REPOSITORY / "overlays/production", REPOSITORY / "overlays/production-patch", "--offline")
    assert (said.status, said.out, said.err) == (0, "", "")
