"""`transship explain`, as somebody asks who has just been refused (on the ECR twin)."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from aws.conftest import Aws, user_of
from aws.fleet import CANARY, DEVELOPMENT, PRODUCTION, ROLE, SAID, build, unhurried
from aws.test_policy_commands import resource
from ecr_twin import Fault
from ecr_twin.canary import spellings
from oci.images import Content, image, multi_arch
from transship.aws.permissions import PULL
from transship.cli.app import app

Explain = Callable[..., Result]
BY_ROLE = {"registry": str(DEVELOPMENT), "roleArn": ROLE, "externalId": "transship-example"}
CONTROLLER = "arn:aws:iam::222222222222:user/transship-controller"


@pytest.fixture
def path(aws: Aws) -> str:
    """A repository in development with an image v1."""
    found = aws.repository()
    build(aws.act_as("ci", quotas=unhurried()), found, {"v1": image([b"layer"])})
    return found


@pytest.fixture
def explain(aws: Aws, tmp_path: Path) -> Explain:
    """Run the command as the controller's user with a file of one policy."""

    def run(*arguments: str, **spec: Any) -> Result:
        aws.act_as("transship-controller")
        file = tmp_path / "policy.yaml"
        wanted = {"source": BY_ROLE, "destinationRepository": {"create": True}, **spec}
        file.write_text(yaml.safe_dump(resource(**wanted)))
        result = CliRunner().invoke(app, ["explain", "-f", str(file), *arguments])
        SAID.append(result.output)
        return result

    return run


def findings(result: Result) -> dict[str, str]:
    return {each["step"]: each["finding"] for each in json.loads(result.stdout)[0]["steps"]}


def step(result: Result, finding: str = "missing") -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in json.loads(result.stdout)[0]["steps"] if each["finding"] == finding)
    return found


def test_what_can_be_promoted_is_said_to_be_step_by_step(explain: Explain, path: str) -> None:
    result = explain(f"{PRODUCTION}/{path}:v1")
    assert result.exit_code == 0, result.output
    assert f"OK        source image           {image([b'layer']).root.descriptor}" in result.stdout
    assert f"OK        destination identity   {CONTROLLER}" in result.stdout
    assert "does not exist and will be created" in result.stdout
    assert "MISSING" not in result.stdout


def test_programs_get_the_same_as_json_and_as_yaml(explain: Explain, path: str) -> None:
    forms = [explain(f"{PRODUCTION}/{path}:v1", "-o", form).stdout for form in ("json", "yaml")]
    assert json.loads(forms[0]) == yaml.safe_load(forms[1])


def test_nothing_is_written(aws: Aws, explain: Explain, path: str) -> None:
    aws.twin.ledger.reset()
    explain(f"{PRODUCTION}/{path}:v1")
    assert {row["action"].partition(":")[2] for row in aws.twin.ledger.rows()} <= {
        "AssumeRole",
        "GetCallerIdentity",
        "GetAuthorizationToken",
        "BatchGetImage",
        "DescribeRepositories",
        "GetDownloadUrlForLayer",
        "GetObject",
    }


def test_a_repository_policy_that_lacks_us_is_given_as_json_and_mends_it(aws: Aws, explain: Explain, path: str) -> None:
    direct = {"registry": str(DEVELOPMENT)}
    result = explain(f"{PRODUCTION}/{path}:v1", "-o", "json", source=direct)
    assert result.exit_code == 1
    missing = step(result)
    assert missing["statement"] == PULL.shared(CONTROLLER)
    assert missing["statement"]["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}
    assert CONTROLLER in str(missing["statement"]["Condition"])
    assert missing["belongsIn"] == f"the policy of the repository arn:aws:ecr:eu-west-1:111111111111:repository/{path}"
    assert "no resource-based policy allows it" in missing["message"]
    aws.set_policy(path, missing["statement"])
    assert explain(f"{PRODUCTION}/{path}:v1", source=direct).exit_code == 0


def test_the_loudest_logs_of_a_command_hold_no_secret(
    explain: Explain, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSSHIP_LOG_LEVEL", "debug")
    caplog.set_level(logging.DEBUG)
    result = explain(f"{PRODUCTION}/{path}:v1")
    assert result.exit_code == 0
    said = caplog.text + result.output
    secrets = spellings(CANARY) | {user_of("transship-controller")["secretAccessKey"], "X-Amz-Signature"}
    assert not [each for each in secrets if each in said]


@pytest.mark.parametrize("content", [image([b"layer"]), multi_arch()], ids=["an image", "an index"])
def test_a_repository_policy_that_lets_manifests_be_read_and_no_layers_is_not_enough(
    aws: Aws, explain: Explain, content: Content
) -> None:
    path, direct = aws.repository(), {"registry": str(DEVELOPMENT)}
    build(aws.act_as("ci", quotas=unhurried()), path, {"v1": content})
    aws.set_policy(path, {**PULL.shared(CONTROLLER), "Action": "ecr:BatchGetImage"})
    result = explain(f"{PRODUCTION}/{path}:v1", "-o", "json", source=direct)
    assert (result.exit_code, findings(result)["source image"]) == (1, "ok")
    missing = step(result)
    assert "may not ecr:GetDownloadUrlForLayer" in missing["message"]
    aws.set_policy(path, missing["statement"])
    assert findings(explain(f"{PRODUCTION}/{path}:v1", "-o", "json", source=direct))["source layers"] == "ok"


def test_a_place_where_layers_are_kept_that_cannot_be_reached_is_told(aws: Aws, explain: Explain, path: str) -> None:
    aws.twin.faults.add(Fault("unreachable", how="dns", times=0))
    try:
        result = explain(f"{PRODUCTION}/{path}:v1", "-o", "json")
    finally:
        aws.twin.faults.clear()
    assert "starport" in step(result)["message"]


def test_the_statement_for_a_role_with_a_path_is_one_that_ecr_takes_and_that_mends_it(
    aws: Aws, explain: Explain, path: str
) -> None:
    role = {"registry": str(DEVELOPMENT), "roleArn": "arn:aws:iam::222222222222:role/team/transship-reader"}
    by_role = role | {"externalId": "transship-example"}
    missing = step(explain(f"{PRODUCTION}/{path}:v1", "-o", "json", source=by_role))
    aws.set_policy(path, missing["statement"])
    assert explain(f"{PRODUCTION}/{path}:v1", source=by_role).exit_code == 0
    same_name_elsewhere = BY_ROLE | {"roleArn": "arn:aws:iam::222222222222:role/transship-write"}
    assert explain(f"{PRODUCTION}/{path}:v1", source=same_name_elsewhere).exit_code == 1


def test_a_role_that_may_not_be_assumed_blocks_its_side_and_not_the_other(explain: Explain, path: str) -> None:
    guess = BY_ROLE | {"externalId": "guess"}
    result = explain(f"{PRODUCTION}/{path}:v1", "-o", "json", source=guess)
    assert result.exit_code == 1
    assert "sts:AssumeRole" in step(result)["message"]
    assert not {"source token", "source image"} & findings(result).keys()
    assert findings(result)["destination identity"] == "ok"


@pytest.mark.parametrize(
    ("reference", "spec", "says"),
    [
        ("{path}:gone", {}, "does not exist"),
        ("elsewhere/{path}:v1", {"repositories": ["shop/*"]}, "no PromotionPolicy lets"),
        ("{path}:v1", {"tags": {"deny": ["v*"]}}, "denies the tag"),
        ("{path}:v1", {"destinationRepository": {"create": False}}, "set destinationRepository.create"),
        ("{path}:v 1", {}, "tag"),
    ],
)
def test_what_stands_in_the_way_is_said(
    explain: Explain, path: str, reference: str, spec: dict[str, Any], says: str
) -> None:
    result = explain(f"{PRODUCTION}/{reference.format(path=path)}", **spec)
    assert result.exit_code == 1
    assert says in result.stdout


def test_an_immutable_promise_is_checked_too(aws: Aws, explain: Explain, path: str) -> None:
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    other = {"v1": image([b"other"])}
    own = aws.act_as("transship-controller", quotas=unhurried())
    build(own, path, other, registry=PRODUCTION)
    result = explain(f"{PRODUCTION}/{path}:v1")
    assert result.exit_code == 1
    assert "name another tag (tagConflict: Refuse)" in result.stdout
    assert explain(f"{PRODUCTION}/{path}:v1", tagConflict="Overwrite").exit_code == 0
