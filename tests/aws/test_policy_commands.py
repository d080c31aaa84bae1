"""`transship policy` as somebody without a cluster uses it, on the ECR twin."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from aws.test_source_access import EDITOR, LAMBDA, PRODUCTION, READER, SID, host
from transship.aws.policy_document import Grant, PolicyDocument
from transship.cli.app import app

pytestmark = pytest.mark.twin
Run = Callable[..., Any]


def resource(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "source": {"registry": host("111111111111")},
            "destination": {"registry": host(PRODUCTION)},
            "namespaces": {"names": ["shop"]},
            "repositories": ["shop/*"],
            "sourceAccess": EDITOR,
            **spec,
        },
    }


@pytest.fixture
def run(aws: Any, tmp_path: Path) -> Run:
    """Run a command as the controller's user with a file of one policy."""
    aws.act_as("transship-controller")

    def run(command: str, *arguments: str, **spec: Any) -> Any:
        file = tmp_path / "policy.yaml"
        file.write_text(yaml.safe_dump_all([{"kind": "Namespace", "metadata": {"name": "shop"}}, resource(**spec)]))
        return CliRunner().invoke(app, ["policy", command, "--file", str(file), *arguments])

    return run


def test_show_prints_a_document_that_can_be_used_as_it_is(aws: Any, run: Run) -> None:
    path = aws.repository()
    result = run("show")
    assert result.exit_code == 0
    aws.ecr("ci").set_repository_policy(repositoryName=path, policyText=result.stdout)
    assert run("diff", path).exit_code == 0


def test_show_prints_terraform_for_the_repositories_named(run: Run) -> None:
    result = run("show", "shop/checkout", "shop/cart", "--terraform")
    assert result.exit_code == 0
    assert result.stdout.count('resource "aws_ecr_repository_policy"') == 2
    assert 'resource "aws_ecr_repository_policy" "shop_checkout" {\n  repository = "shop/checkout"' in result.stdout
    document = result.stdout.split("jsonencode(")[1].split(")\n}")[0]
    assert PolicyDocument.parse(document).says(Grant(PRODUCTION).statement())


def test_diff_apply_and_remove_are_one_story(aws: Any, run: Run) -> None:
    path = aws.repository()
    aws.set_policy(path, LAMBDA)
    before = run("diff", path)
    assert before.exit_code == 2
    assert f'+      "Sid": "{SID}"' in before.stdout
    assert '-      "Sid"' not in before.stdout
    assert run("apply", path).stdout == f"{host('111111111111')}/{path}: statement written\n"
    assert run("apply", path).stdout.endswith("in place\n")
    same = run("diff", path)
    assert (same.exit_code, same.stdout) == (0, f"{host('111111111111')}/{path}: in place\n")
    assert run("remove", path).stdout.endswith("statement removed\n")
    assert run("remove", path).stdout.endswith("was not there\n")
    assert aws.sids(path) == [LAMBDA["Sid"]]


def test_all_means_what_the_policy_matches(aws: Any, run: Run) -> None:
    path, other = aws.repository(), aws.repository("billing")
    result = run("apply", "--all", repositories=[f"{path}*"])
    assert (result.exit_code, result.stdout) == (0, f"{host('111111111111')}/{path}: statement written\n")
    assert aws.sids(other) == []


@pytest.mark.parametrize(
    ("command", "arguments", "spec", "words"),
    [
        ("diff", ["shop/not-there"], {}, "shop/not-there does not exist"),
        ("diff", ["billing/checkout"], {}, "no policy given covers the source repository billing/checkout"),
        ("diff", [], {}, "name repositories, or say --all"),
        ("diff", ["shop/checkout", "--all"], {}, "name repositories, or say --all"),
        ("apply", ["shop/checkout"], {"sourceAccess": READER}, "may not ecr:GetRepositoryPolicy"),
        ("apply", ["shop/checkout"], {"sourceAccess": {**EDITOR, "externalId": "guess"}}, "may not sts:AssumeRole"),
        ("show", [], {"repositories": ["["]}, "spec.repositories"),
        ("show", [], {"destination": {}}, "lacks a field"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_exit_code_1(
    run: Run, command: str, arguments: list[str], spec: dict[str, Any], words: str
) -> None:
    result = run(command, *arguments, **spec)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.startswith("transship: ")
    assert "Traceback" not in result.output


def test_a_file_without_a_policy_is_told(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(json.dumps({"kind": "Namespace"}))
    for name in (str(file), str(tmp_path / "missing.yaml")):
        result = CliRunner().invoke(app, ["policy", "show", "-f", name])
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1


def test_policies_may_come_by_standard_input(aws: Any) -> None:
    aws.act_as("transship-controller")
    listed = {"kind": "List", "items": [resource()]}
    result = CliRunner().invoke(app, ["policy", "show", "-f", "-"], input=yaml.safe_dump(listed))
    assert json.loads(result.stdout)["Statement"][0]["Sid"] == SID
