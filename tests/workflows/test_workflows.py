"""The workflows do what a clone can do by hand: pinned actions, targets of the Makefile, few rights, no secrets."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localworld.paths import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yaml"))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")
VERSION = re.compile(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAKE = re.compile(r"(?:sudo )?make (?P<target>[a-z-]+)(?: [A-Z]+=\S+)*")
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
PACKAGES = {"packages", "id-token", "attestations"}
"""What a release may write, each with its reason beside it; nothing may write contents."""

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def workflow(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    yield from workflow(path)["jobs"].values()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path):
        yield from job["steps"]


def test_there_is_one_for_changes_and_one_for_releases() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "release"]


@each_workflow
def test_it_means_what_it_says(path: Path, actionlint: Path) -> None:
    result = subprocess.run([actionlint, str(path)], capture_output=True, text=True, check=False, cwd=REPOSITORY)

    assert result.returncode == 0, result.stdout


@each_workflow
def test_every_action_is_pinned_by_digest_with_its_version_beside_it(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    lines = [line.strip() for line in path.read_text().splitlines() if "uses: " in line]

    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []
    assert [line for line in lines if not VERSION.search(line)] == []
    assert len(lines) == len(used)


@each_workflow
def test_every_command_is_one_target_of_the_makefile(path: Path) -> None:
    for command in (step["run"] for step in steps(path) if "run" in step):
        asked = MAKE.fullmatch(command)
        assert asked, command
        assert asked["target"] in TARGETS


@each_workflow
def test_no_command_holds_what_somebody_else_may_have_written(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@each_workflow
def test_a_job_has_the_rights_it_names_and_no_others(path: Path) -> None:
    assert workflow(path)["permissions"] == {}
    for job in jobs(path):
        written = {name for name, right in job["permissions"].items() if right == "write"}
        assert written <= (PACKAGES if path.stem == "release" else set())
        assert set(job["permissions"].values()) <= {"read", "write"}


@each_workflow
def test_it_knows_no_secret_and_leaves_no_token_behind(path: Path) -> None:
    assert "secrets." not in path.read_text()
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]

    assert len(checkouts) == len(list(jobs(path)))
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_no_job_hangs_for_ever_or_runs_on_whatever_is_newest(path: Path) -> None:
    for job in jobs(path):
        assert job["timeout-minutes"] <= 120
        assert not job["runs-on"].endswith("-latest")


def test_a_stranger_s_pull_request_is_given_nothing() -> None:
    (ci,) = (path for path in WORKFLOWS if path.stem == "ci")

    # YAML 1.1 reads the key `on` as true.
    assert set(workflow(ci)[True]) == {"push", "pull_request"}
    assert all(set(job["permissions"].items()) == {("contents", "read")} for job in jobs(ci))


def test_one_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step}

    assert len(used) == len({each.partition("@")[0] for each in used})


def test_a_release_is_signed_and_attested_by_digest() -> None:
    (release,) = (path for path in WORKFLOWS if path.stem == "release")
    attested = [step["with"] for step in steps(release) if "actions/attest@" in step.get("uses", "")]
    signed = [step["env"]["REFERENCE"] for step in steps(release) if step.get("run", "").startswith("make sign")]

    assert signed == ["${{ steps.image.outputs.reference }}", "${{ steps.chart.outputs.reference }}"]
    assert [each["subject-digest"] for each in attested] == [
        "${{ steps.image.outputs.digest }}",
        "${{ steps.image.outputs.digest }}",
        "${{ steps.chart.outputs.digest }}",
    ]
    assert [each.get("sbom-path") for each in attested] == [None, "dist/sbom.cdx.json", None]
