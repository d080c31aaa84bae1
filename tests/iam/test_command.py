"""`transship policy iam`: the same rights in every form, for every partition, and cut to what a policy names."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from cfnlint.api import lint_all
from hcl2.utils import SerializationOptions
from typer.testing import CliRunner, Result

from iam.topologies import ALL, DEVELOPMENT, PRODUCTION, TOOLS, A, B, C, Topology, by_role, role
from transship.actions import ACTIONS
from transship.cli.app import app
from transship.cli.iam_document import listed

Run = Callable[..., Result]
LETTERS = {"ids": [each.letter for each in ALL]}
BY_HAND = {"sourceAccess": {}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command with a file of one policy."""

    def run(topology: Topology, *arguments: str, operator: bool = True, **spec: Any) -> Result:
        file = tmp_path / "policy.yaml"
        file.write_text(yaml.safe_dump(topology.resource(**spec)))
        who = ["--operator-role", topology.operator] if operator else []
        return CliRunner().invoke(app, ["policy", "iam", "-f", str(file), *who, *arguments])

    return run


def printed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def statements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in document["roles"]:
        yield from each["policy"]["Statement"]
        yield from each.get("trustPolicy", {"Statement": []})["Statement"]
    for each in document["repositoryPolicies"]:
        yield from each["policy"]["Statement"]


def allowed(document: dict[str, Any], arn: str) -> dict[str, set[str]]:
    """The actions of a role's own policy, with the resources of each."""
    (found,) = (each for each in document["roles"] if each["role"] == arn)
    actions: dict[str, set[str]] = {}
    for each in found["policy"]["Statement"]:
        for action in listed(each["Action"]):
            actions.setdefault(action, set()).update(listed(each["Resource"]))
    return actions


@pytest.mark.parametrize("topology", ALL, **LETTERS)
@pytest.mark.parametrize("more", [[], ["--read-only"]], ids=["all", "read-only"])
def test_no_action_is_a_wildcard_and_everything_is_allowed_on_nothing_but_what_aws_has_so(
    run: Run, topology: Topology, more: list[str]
) -> None:
    document = printed(run(topology, "-o", "json", *more))
    for each in statements(document):
        actions = listed(each["Action"])
        assert not [action for action in actions if "*" in action]
        assert set(actions) <= ACTIONS.keys()
        if "*" in listed(each.get("Resource", [])):
            assert actions == ["ecr:GetAuthorizationToken"]
        assert each["Effect"] == "Allow"


def test_settings_that_a_policy_does_not_name_are_not_allowed(run: Run) -> None:
    document = printed(run(B, "-o", "json", destinationRepository={}))
    assert allowed(document, B.operator).keys() == {
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeRepositories",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
        "sts:AssumeRole",
        "sts:TagSession",
    }


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"create": True}, {"ecr:CreateRepository"}),
        ({"create": True, "tags": {"a": "b"}}, {"ecr:CreateRepository", "ecr:ListTagsForResource", "ecr:TagResource"}),
        ({"tags": {"a": "b"}}, {"ecr:ListTagsForResource"}),
        ({"imageTagMutability": "IMMUTABLE", "scanOnPush": True}, set()),
        ({"imageTagMutability": "IMMUTABLE", "drift": "Mend"}, {"ecr:PutImageTagMutability"}),
        ({"scanOnPush": True, "drift": "Mend"}, {"ecr:PutImageScanningConfiguration"}),
        ({"create": True, "encryption": {"type": "KMS"}}, {"ecr:CreateRepository"}),
        ({"encryption": {"type": "KMS", "kmsKey": "1234"}}, set()),
    ],
)
def test_each_setting_brings_what_it_takes_and_no_more(run: Run, settings: dict[str, Any], more: set[str]) -> None:
    without = allowed(printed(run(A, "-o", "json", destinationRepository={})), A.operator).keys()
    assert allowed(printed(run(A, "-o", "json", destinationRepository=settings)), A.operator).keys() - without == more


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("1234", f"arn:aws:kms:eu-west-1:{PRODUCTION}:key/1234"),
        (f"arn:aws:kms:eu-west-1:{TOOLS}:key/mrk-1", f"arn:aws:kms:eu-west-1:{TOOLS}:key/mrk-1"),
        ("alias/shop", f"arn:aws:kms:eu-west-1:{PRODUCTION}:key/*"),
        (f"arn:aws:kms:eu-west-1:{TOOLS}:alias/shop", f"arn:aws:kms:eu-west-1:{TOOLS}:key/*"),
    ],
)
def test_a_key_is_allowed_by_its_arn_or_by_its_alias_and_through_ecr_alone(run: Run, key: str, resource: str) -> None:
    settings = {"create": True, "encryption": {"type": "KMS", "kmsKey": key}}
    document = printed(run(A, "-o", "json", destinationRepository=settings))
    (found,) = (each for each in statements(document) if each.get("Sid") == "UseKey")
    condition = {"StringLike": {"kms:ViaService": "ecr.eu-west-1.*"}}
    if resource.endswith("*"):
        condition["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": "alias/shop"}
    assert (found["Resource"], found["Condition"]) == (resource, condition)


def test_an_editor_that_finds_repositories_may_list_them_all_and_edit_those_that_match(run: Run) -> None:
    actions = allowed(printed(run(C, "-o", "json")), role(DEVELOPMENT, "transship-access"))
    everything = f"arn:aws:ecr:eu-west-1:{DEVELOPMENT}:repository"
    assert actions == {
        "ecr:GetRepositoryPolicy": {f"{everything}/shop/*"},
        "ecr:SetRepositoryPolicy": {f"{everything}/shop/*"},
        "ecr:DescribeRepositories": {f"{everything}/*"},
    }


def test_patterns_become_what_iam_can_say_and_what_it_cannot_is_told(run: Run) -> None:
    result = run(B, repositories=["shop/**", "team/one"])
    assert "stand for slashes" not in result.stderr
    document = printed(run(B, "-o", "json", repositories=["shop/**", "team/one", "a/*/b?", "x/***"]))
    paths = {each.partition("repository/")[2] for each in allowed(document, B.operator)["ecr:PutImage"]}
    assert paths == {"apps/shop/*", "apps/team/one", "apps/a/*/b?", "apps/x/*"}
    (note,) = [each for each in document["notes"] if "slashes" in each]
    assert "more than a/*/b? does" in note


@pytest.mark.parametrize(
    ("partition", "region", "suffix"),
    [
        ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
        ("aws-eusc", "eusc-de-east-1", "amazonaws.eu"),
    ],
)
def test_partition_and_region_are_those_of_the_registries(run: Run, partition: str, region: str, suffix: str) -> None:
    spec = {
        side: {"registry": f"{account}.dkr.ecr.{region}.{suffix}"}
        for side, account in (("source", DEVELOPMENT), ("destination", PRODUCTION))
    }
    document = printed(run(A, "-o", "json", operator=False, **spec, **BY_HAND, destinationRepository={"create": True}))
    operator = f"arn:{partition}:iam::{PRODUCTION}:role/transship"
    assert [each["role"] for each in document["roles"]] == [operator]
    for resources in allowed(document, operator).values():
        assert all(each == "*" or each.startswith(f"arn:{partition}:ecr:{region}:") for each in resources)
    (shared,) = document["repositoryPolicies"]
    assert shared["policy"]["Statement"][0]["Principal"] == {"AWS": f"arn:{partition}:iam::{PRODUCTION}:root"}


def test_whoever_only_plans_needs_no_right_to_write_and_no_role_of_a_pod(run: Run) -> None:
    document = printed(
        run(A, "-o", "json", "--read-only", "--operator-role", role(PRODUCTION, "release"), operator=False)
    )
    actions = {action for each in document["roles"] for action in allowed(document, each["role"])}
    verbs = {action.partition(":")[2] for action in actions}
    assert all(verb.startswith(("Get", "Describe", "Batch", "List", "Assume")) for verb in verbs), verbs
    assert "trustPolicy" not in document["roles"][0]


@pytest.mark.parametrize("topology", ALL, **LETTERS)
@pytest.mark.parametrize("more", [[], ["--read-only"]], ids=["all", "read-only"])
@pytest.mark.parametrize("spec", [{}, BY_HAND], ids=["kept", "by hand"])
def test_terraform_says_what_json_says(run: Run, topology: Topology, more: list[str], spec: dict[str, Any]) -> None:
    document = printed(run(topology, "-o", "json", *more, **spec))
    text = run(topology, "-o", "terraform", *more, **spec).stdout
    resources = hcl2.loads(text, serialization_options=SerializationOptions(strip_string_quotes=True)).get(
        "resource", []
    )
    found = [body for each in resources for kind in each.values() for body in kind.values()]
    said = [
        documents
        for each in document["roles"]
        for documents in ([each["trustPolicy"]] if "trustPolicy" in each else []) + [each["policy"]]
    ]
    said += [each["policy"] for each in document["repositoryPolicies"] if not each["keptByOperator"]]
    written = [each.get("assume_role_policy") or each["policy"] for each in found]
    assert [from_hcl(each) for each in written] == said
    accounts = {each["account"] for each in document["roles"]}
    assert {each.get("provider") for each in found} >= {f"${{aws.account_{account}}}" for account in accounts}


def from_hcl(text: str) -> Any:
    """The document in `${jsonencode({...})}`."""
    content = text.removeprefix("${").removesuffix("}").strip()
    # The parser writes HCL's objects with equals signs; no text of a policy holds one between a quote and a space.
    return json.loads(content.removeprefix("jsonencode(").removesuffix(")").replace('" = ', '": ').replace("$${", "${"))


def test_terraform_of_one_account_needs_no_provider_of_its_own(run: Run) -> None:
    text = run(B, "-o", "terraform", "--account", DEVELOPMENT).stdout
    assert "provider" not in text
    assert text.count('resource "aws_iam_role" ') == 1


@pytest.mark.parametrize("topology", ALL, **LETTERS)
@pytest.mark.parametrize("more", [[], ["--read-only"]], ids=["all", "read-only"])
def test_cloudformation_says_what_json_says_and_is_what_aws_takes(
    run: Run, topology: Topology, more: list[str]
) -> None:
    document = printed(run(topology, "-o", "json", *more, **BY_HAND))
    text = run(topology, "-o", "cloudformation", *more, **BY_HAND).stdout
    found: list[Any] = []
    for part in text.split("\n---\n"):
        assert [str(each) for each in lint_all(part) if each.rule.severity != "informational"] == []
        found += map(resource_of, yaml.safe_load(part)["Resources"].values())
    said = [
        (each["role"].rpartition("/")[2], each.get("trustPolicy"), each["policy"])
        for each in sorted(document["roles"], key=lambda each: str(each["account"]))
    ]
    assert found == said


def resource_of(resource: dict[str, Any]) -> tuple[str, Any, Any]:
    properties = resource["Properties"]
    if resource["Type"] == "AWS::IAM::Role":
        (own,) = properties["Policies"]
        return properties["RoleName"], properties["AssumeRolePolicyDocument"], own["PolicyDocument"]
    return properties["RoleName"], None, properties["PolicyDocument"]


def test_people_get_each_action_with_what_it_is_for(run: Run) -> None:
    said = run(A).stdout
    assert A.operator in said.splitlines()
    for action in ("ecr:PutImage", "kms:CreateGrant", "ecr:SetRepositoryPolicy"):
        line = next(each for each in said.splitlines() if f" {action} " in each)
        assert line.endswith(ACTIONS[action].why)
    assert "let the operator's pod be this role" in said


@pytest.mark.parametrize(
    ("topology", "arguments", "spec", "words"),
    [
        (C, [], {}, "name its role with --operator-role"),
        (A, ["--operator-role", "transship"], {}, "must be like arn:aws:iam::"),
        (A, ["--operator-role", role(TOOLS, "transship")], {}, f"is not of account {PRODUCTION}"),
        (A, [], {"sourceAccess": {"managePolicy": True}}, f"only somebody of account {DEVELOPMENT} can write"),
        (A, ["--account", "production"], {}, "--account 'production' must be like 111111111111"),
        (A, ["--account", TOOLS], {}, f"need nothing of account {TOOLS}"),
        (A, ["--oidc-issuer", "oidc.example.com"], {}, "must be like https://"),
        (A, ["--cluster-arn", "shop"], {}, "must be like arn:aws:eks"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Run, topology: Topology, arguments: list[str], spec: dict[str, Any], words: str
) -> None:
    result = run(topology, *arguments, operator=False, **spec)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    assert words in result.stderr


def test_two_policies_of_one_operator_share_its_statements(tmp_path: Path) -> None:
    file = tmp_path / "transship.yaml"
    one, two = (
        B.resource(),
        B.resource(
            source={"registry": f"{DEVELOPMENT}.dkr.ecr.eu-west-1.amazonaws.com", **by_role(DEVELOPMENT, "other")}
        ),
    )
    two["metadata"], two["spec"]["repositories"] = {"name": "billing"}, ["billing/**"]
    file.write_text(yaml.safe_dump({"policies": [one, two]}))
    document = printed(CliRunner().invoke(app, ["policy", "iam", "-f", str(file), "-o", "json"]))
    actions = allowed(document, B.operator)
    assert actions["ecr:PutImage"] == {
        f"arn:aws:ecr:eu-west-1:{PRODUCTION}:repository/apps/{path}" for path in ("shop/*", "billing/*")
    }
    assert actions["sts:AssumeRole"] == {role(DEVELOPMENT, "transship-source"), role(DEVELOPMENT, "other")}
    sids = [each["Sid"] for each in document["roles"][0]["policy"]["Statement"]]
    assert len(sids) == len(set(sids))
