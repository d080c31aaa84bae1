"""`transship policy` as somebody without a cluster uses it, on the ECR twin."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from aws.fleet import SAID
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
        result = CliRunner().invoke(app, ["policy", command, "--file", str(file), *arguments])
        SAID.append(result.output)
        return result

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


def test_programs_get_what_is_there_what_is_wanted_and_what_was_done(aws: Any, run: Run) -> None:
    path = aws.repository()
    aws.set_policy(path, LAMBDA)
    repository = f"{host('111111111111')}/{path}"

    (difference,) = json.loads(run("diff", path, "-o", "json").stdout)
    applied = run("apply", path, "-o", "yaml")
    again = run("diff", path, "-o", "name")

    assert (difference["repository"], difference["policy"], difference["result"]) == (repository, "shop", "differs")
    assert difference["is"]["Statement"] == [LAMBDA]
    assert {each["Sid"] for each in difference["wanted"]["Statement"]} == {LAMBDA["Sid"], SID}
    assert yaml.safe_load(applied.stdout) == [
        {"repository": repository, "policy": "shop", "result": "statement written"}
    ]
    assert (again.exit_code, again.stdout) == (0, "")


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


@pytest.fixture
def run_as(aws: Any, run: Run) -> Callable[..., Any]:
    """Run a command as somebody else, with a policy that names no role."""

    def run_as(who: str, command: str, *arguments: str, **spec: Any) -> Any:
        aws.act_as(who)
        return run(command, *arguments, **{"sourceAccess": {}, **spec})

    return run_as


def test_who_owns_the_source_writes_the_statement_for_the_destinations_account(aws: Any, run_as: Run) -> None:
    path = aws.repository()
    shown = run_as("ci", "show")
    assert json.loads(shown.stdout)["Statement"] == [Grant(PRODUCTION).statement()]
    assert run_as("ci", "diff", path).exit_code == 2
    assert run_as("ci", "apply", path).stdout.endswith("statement written\n")
    assert aws.sids(path) == [SID]
    assert run_as("ci", "diff", path).stdout.endswith("in place\n")


def test_our_statement_that_somebody_widened_is_not_in_place_for_its_owner_and_can_be_taken_away(
    aws: Any, run_as: Run
) -> None:
    path = aws.repository()
    aws.set_policy(path, {**Grant(PRODUCTION).statement(), "Action": "ecr:*"})
    assert run_as("ci", "diff", path).exit_code == 2
    assert run_as("ci", "apply", path).stdout.endswith("statement written\n")
    assert "ecr:*" not in json.dumps(aws.statements(path))
    aws.set_policy(path, {**Grant(PRODUCTION).statement(), "Action": "ecr:*"}, LAMBDA)
    assert run_as("ci", "remove", path).stdout.endswith("statement removed\n")
    assert aws.sids(path) == [LAMBDA["Sid"]]


def test_who_runs_a_command_from_a_third_account_is_not_who_reads_unless_they_say_so(run_as: Run) -> None:
    assert json.loads(run_as("tools", "show").stdout)["Statement"][0]["Sid"] == SID
    named = run_as("tools", "show", "--account", "333333333333")
    assert json.loads(named.stdout)["Statement"][0]["Principal"] == {"AWS": "arn:aws:iam::333333333333:root"}


def test_where_the_reader_is_in_the_sources_account_nothing_is_said_to_be_in_place(aws: Any, run_as: Run) -> None:
    path, by_role = aws.repository(), {"registry": host("111111111111"), **READER}
    aws.set_policy(path, Grant(PRODUCTION).statement())
    assert "no statement is needed" in run_as("ci", "show", source=by_role).stderr
    for command in ("diff", "apply"):
        result = run_as("ci", command, path, source=by_role)
        assert (result.exit_code, "in place" in result.stdout) == (0, False)
        assert "no statement is needed" in result.stdout
    taken = run_as("transship-controller", "remove", path, source=by_role, sourceAccess=EDITOR)
    assert taken.stdout.endswith("statement removed\n")
    assert aws.sids(path) == []


def test_a_principal_that_aws_does_not_know_yet_is_tried_again_and_then_told(
    aws: Any, run_as: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, slept = aws.repository(), list[float]()
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr("transship.cli.statements.time", clock)
    known = aws.twin.ledger.total(action="ecr:SetRepositoryPolicy").requests
    result = run_as("ci", "apply", path, "--account", "999999999999", "--wait", "5")
    assert (result.exit_code, aws.sids(path)) == (1, [])
    assert "does not know a principal" in result.stderr
    assert "trying again in 2 s" in result.stderr
    assert slept == [2.0, 2.0]
    assert aws.twin.ledger.total(action="ecr:SetRepositoryPolicy").requests == known + 1 + len(slept)


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
        ("diff", ["--all"], {"sourceAccess": {}}, "name a role of account 111111111111 in the PromotionPolicy, or one"),
        ("apply", ["shop/checkout"], {"sourceAccess": READER}, "may not ecr:GetRepositoryPolicy"),
        ("apply", ["shop/checkout"], {"sourceAccess": {**EDITOR, "externalId": "guess"}}, "may not sts:AssumeRole"),
        ("show", [], {"repositories": ["["]}, "spec.repositories"),
        ("show", [], {"destination": {}}, "spec.destination lacks registry"),
        ("show", ["--account", "prod"], {}, "'prod' is not an account of twelve digits"),
        ("show", [], {"destination": {"registry": "registry.example.com"}}, "say with --account who reads"),
        ("show", ["--account", "222222222222"], {"source": {"registry": "registry.example.com"}}, "is not ECR"),
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
