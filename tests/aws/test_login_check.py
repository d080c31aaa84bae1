"""`transship login-check`: who one is, and what one may do, seen on the ECR twin without writing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from aws.conftest import Aws
from aws.fleet import DEVELOPMENT, PRODUCTION, ROLE, SAID
from aws.test_policy_commands import resource
from transship.cli.app import app

Check = Callable[..., Result]
BY_ROLE = {"registry": str(DEVELOPMENT), "roleArn": ROLE, "externalId": "transship-example"}
CONTROLLER = "arn:aws:iam::222222222222:user/transship-controller"


@pytest.fixture
def check(aws: Aws, tmp_path: Path) -> Check:
    """Run the command as somebody with a file of one policy."""

    def run(*arguments: str, who: str = "transship-controller", **spec: Any) -> Result:
        aws.act_as(who)
        file = tmp_path / "policy.yaml"
        file.write_text(yaml.safe_dump(resource(**{"source": BY_ROLE, **spec})))
        result = CliRunner().invoke(app, ["login-check", "-f", str(file), *arguments])
        SAID.append(result.output)
        return result

    return run


def steps(result: Result) -> dict[str, tuple[str, str]]:
    return {each["step"]: (each["finding"], each["message"]) for each in json.loads(result.stdout)[0]["steps"]}


def statements(result: Result) -> dict[str, list[str]]:
    return {
        each["step"]: each["statement"]["Action"] for each in json.loads(result.stdout)[0]["steps"] if each["statement"]
    }


def test_who_one_is_on_each_side_and_how_long_the_token_is_good_for(aws: Aws, check: Check) -> None:
    path = aws.repository()
    aws.ecr("transship-controller").create_repository(repositoryName=path)

    result = check("--repository", path, "-o", "json")

    found = steps(result)
    assert result.exit_code == 0, result.output
    assert "assumed-role/transship-source/transship-shop" in found["source identity"][1]
    assert found["destination identity"] == ("ok", CONTROLLER)
    for side, registry in (("source", DEVELOPMENT), ("destination", PRODUCTION)):
        finding, message = found[f"{side} token"]
        assert finding == "ok"
        assert message.startswith(f"good for {registry}, 0s old, for another 11h")
    assert found["source read"] == ("ok", f"may look into {DEVELOPMENT}/{path}")
    assert found["destination read"] == ("ok", f"may look into {PRODUCTION}/{path}")


def test_a_repository_that_exists_nowhere_is_missing_and_comes_with_what_it_would_need(check: Check) -> None:
    result = check("--repository", "shop/nope", "-o", "json")

    found, needed = steps(result), statements(result)
    assert result.exit_code == 1
    finding, message = found["source repository"]
    assert finding == "missing"
    assert message.startswith(f"{DEVELOPMENT}/shop/nope does not exist: push to it, or name another")
    assert found["destination repository"][0] == "missing"
    assert "set destinationRepository.create in the policy" in found["destination repository"][1]
    assert "ecr:GetDownloadUrlForLayer" in needed["source repository"]
    assert "ecr:PutImage" in needed["destination write"]
    assert not {"source read", "destination read"} & set(found)


def test_a_destination_that_a_policy_has_created_is_told_with_the_statements_to_create_and_to_write(
    aws: Aws, check: Check
) -> None:
    path = aws.repository()
    creating = {"create": True, "tags": {"team": "shop"}}
    result = check("--repository", path, "-o", "json", destinationRepository=creating)
    assert result.exit_code == 0, result.output
    assert steps(result)["destination repository"][0] == "unchecked"
    assert statements(result)["destination repository"] == ["ecr:CreateRepository", "ecr:TagResource"]
    assert "ecr:PutImage" in statements(result)["destination write"]


def test_who_may_not_see_whether_the_source_exists_is_told_so(check: Check) -> None:
    result = check("--repository", "shop/nope", "-o", "json", source={"registry": str(DEVELOPMENT)})
    assert result.exit_code == 1
    assert "whether there is such a repository cannot be seen either" in steps(result)["source resolve"][1]


def test_a_repository_that_no_policy_speaks_of_ends_with_one_sentence(check: Check) -> None:
    result = check("--repository", "nope", repositories=["shop/*", "web"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "transship: --repository nope: no policy speaks of it; shop has shop/*, web\n"


def test_nothing_is_written(aws: Aws, check: Check) -> None:
    path = aws.repository()
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    aws.twin.ledger.reset()
    check("--repository", path)
    assert {row["action"].partition(":")[2] for row in aws.twin.ledger.rows()} <= {
        "AssumeRole",
        "GetCallerIdentity",
        "GetAuthorizationToken",
        "DescribeRepositories",
        "BatchGetImage",
        "DescribeImages",
        "ListImages",
    }


def test_what_may_be_written_is_told_with_its_statement_and_not_claimed(aws: Aws, check: Check) -> None:
    path = aws.repository()
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    result = check("--repository", path, "-o", "json")
    assert steps(result)["destination read"] == ("ok", f"may look into {PRODUCTION}/{path}")
    (write,) = (each for each in json.loads(result.stdout)[0]["steps"] if each["step"] == "destination write")
    assert write["finding"] == "unchecked"
    assert "ecr:PutImage" in write["statement"]["Action"]


def test_a_repository_that_may_not_be_read_comes_with_the_statement_that_is_missing(aws: Aws, check: Check) -> None:
    path = aws.repository()
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    result = check("--repository", path, "-o", "json", source={"registry": str(DEVELOPMENT)})
    (missing,) = (each for each in json.loads(result.stdout)[0]["steps"] if each["finding"] == "missing")
    assert result.exit_code == 1
    assert missing["statement"]["Effect"] == "Allow"
    assert "ecr:BatchGetImage" in missing["statement"]["Action"]


def test_a_role_that_may_not_be_assumed_is_told_and_the_other_side_is_looked_at(aws: Aws, check: Check) -> None:
    wrong = {**BY_ROLE, "externalId": "an-external-id-that-is-wrong"}
    result = check("-o", "json", source=wrong)
    found = steps(result)
    assert result.exit_code == 1
    assert "sts:AssumeRole" in found["source identity"][1]
    assert found["destination identity"] == ("ok", CONTROLLER)


def test_without_a_repository_to_try_nothing_is_said_of_rights(check: Check) -> None:
    result = check(repositories=["no-such-team/*"])
    assert result.exit_code == 2
    assert result.stdout.count("name a repository with --repository") == 2


def test_a_listing_that_is_refused_is_told_from_one_in_which_nothing_fits(aws: Aws, check: Check) -> None:
    aws.ecr("transship-controller").create_repository(repositoryName=f"{aws.repository()}-there")
    result = check("-o", "json", repositories=["no-such-team/*"])
    found = {each["step"]: each for each in json.loads(result.stdout)[0]["steps"]}
    assert result.exit_code == 2, result.output
    refused, unfitting = found["source rights"], found["destination rights"]
    assert refused["finding"] == unfitting["finding"] == "unchecked"
    assert refused["message"].startswith(
        f"listing the repositories of {DEVELOPMENT} is refused: arn:aws:sts::111111111111"
    )
    assert "may not ecr:DescribeRepositories, which no promotion needs; name a repository with" in refused["message"]
    assert refused["statement"] == {
        "Effect": "Allow",
        "Action": ["ecr:DescribeRepositories"],
        "Resource": "arn:aws:ecr:eu-west-1:111111111111:repository/*",
    }
    assert re.match(rf"none of the \d+ repositories of {PRODUCTION} fits no-such-team/\*; name", unfitting["message"])
    assert unfitting["statement"] is None


def test_a_repository_that_fits_the_patterns_is_found_and_tried(aws: Aws, check: Check) -> None:
    path = aws.repository()
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    result = check("-o", "json", repositories=[f"{path[:-1]}?"])
    assert result.exit_code == 0, result.output
    assert steps(result)["source read"] == ("ok", f"may look into {DEVELOPMENT}/{path}")
    assert steps(result)["destination read"] == ("ok", f"may look into {PRODUCTION}/{path}")


def test_what_programs_get_is_named_as_everything_else_is(aws: Aws, check: Check) -> None:
    path = aws.repository()
    (found,) = json.loads(check("--repository", path, "-o", "json", source={"registry": str(DEVELOPMENT)}).stdout)
    as_yaml = check("--repository", path, "-o", "yaml", source={"registry": str(DEVELOPMENT)})
    assert yaml.safe_load(as_yaml.stdout) == [found]
    assert {name for each in found["steps"] for name in each} == {
        "step",
        "finding",
        "message",
        "statement",
        "belongsIn",
    }


def test_the_repository_that_a_policy_spells_out_is_tried(aws: Aws, check: Check) -> None:
    path = aws.repository()
    assert f"may look into {DEVELOPMENT}/{path}" in check(repositories=["shop/*", path]).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "there is no PromotionPolicy nobody; there are shop"),
        (["--repository", "UPPER"], "--repository 'UPPER': repository"),
    ],
)
def test_what_is_asked_wrongly_ends_with_one_sentence(arguments: list[str], sentence: str, check: Check) -> None:
    result = check(*arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
