"""The opt-in suite for real accounts, run against a twin that answers every open question the other way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localworld import paths
from twin import contract
from twin.clients import REGION, Launch, configuration

pytestmark = pytest.mark.twin


def run(**variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name != contract.VARIABLE}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests/twin/test_contract.py", "-q", "-k", "real", "-p", "no:cacheprovider"],
        cwd=paths.REPOSITORY,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_it_finds_the_accounts_prints_differences_and_cleans_up(launch: Launch, tmp_path: Path) -> None:
    credentials = "".join(
        f"[{profile}]\naws_access_key_id = AKIA{user.upper():0<16}\naws_secret_access_key = secret-of-{user}\n"
        for profile, user in (("development", "ci"), ("production", "promoter"))
    )
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "real.yaml").write_text(f"source: development\ndestination: production\nregion: {REGION}\n")
    with launch(configuration() | {"profile": {"name": "opposite", "policyLagSeconds": 0}}) as own:
        result = run(
            TRANSSHIP_REAL_ECR=str(tmp_path / "real.yaml"),
            AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
            AWS_CONFIG_FILE="/dev/null",
            HTTPS_PROXY=own.twin.proxy_url,
            AWS_CA_BUNDLE=own.twin.ca_path,
        )
        assert result.returncode == 0, result.stdout
        assert "= real accounts =" in result.stdout
        assert "tag_invalid_status: 409 (the twin: 400)" in result.stdout
        assert 'blob_head: "redirect" (the twin: "plain")' in result.stdout
        for who in ("ci", "promoter"):
            assert own.client("ecr", who).describe_repositories()["repositories"] == []


def test_a_file_that_is_no_such_file_is_named(tmp_path: Path) -> None:
    result = run(TRANSSHIP_REAL_ECR=str(tmp_path / "absent.yaml"))
    assert "TRANSSHIP_REAL_ECR must name a YAML file with source, destination and region" in result.stdout


def test_without_the_variable_nothing_of_it_is_collected() -> None:
    result = run()
    assert "32 deselected" in result.stdout
    assert "skipped" not in result.stdout
