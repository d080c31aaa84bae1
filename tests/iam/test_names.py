"""What is printed has names of its own in Terraform and CloudFormation, whatever the roles and policies are called."""

import re
from typing import Any

import hcl2
import pytest
import yaml
from cfnlint.api import lint_all
from hcl2.utils import SerializationOptions
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from iam.topologies import DEVELOPMENT, PRODUCTION, A, host, role
from transship.cli.app import app
from transship.cli.iam_names import role_in_cloudformation, role_in_terraform, source_in_terraform

ALIKE = (
    "transship-source",
    "transship_source",
    "transship.source",
    "transship--source",
    "transshipsource",
    "TransshipSourc",
    "transship/source-1",
    "transship-source-1",
    "transship-source1",
    "@@",
    "@",
    "1",
    "eks/v1/transship",
    "eks-v1-transship",
)
NAMES = st.from_regex(r"(?:[a-b_+=,.@/-]{0,3}[a-c1A]){1,4}", fullmatch=True)


def policy(name: str, source: dict[str, Any], **spec: Any) -> dict[str, Any]:
    resource = A.resource(source=source, sourceAccess={}, destinationRepository={}, repositories=[f"{name}/**"], **spec)
    return resource | {"metadata": {"name": name}}


def iam(policies: list[dict[str, Any]], *arguments: str) -> Result:
    text = yaml.safe_dump_all(policies)
    operator = () if "--operator-role" in arguments else ("--operator-role", A.operator)
    return CliRunner().invoke(app, ["policy", "iam", "-f", "-", *operator, *arguments], input=text)


@pytest.fixture(scope="module")
def alike() -> list[dict[str, Any]]:
    """Policies whose roles differ in what is no letter, and some that read as the operator and are as much alike."""
    source = {"registry": host(DEVELOPMENT)}
    by_role = [policy(f"p{at}", source | {"roleArn": role(DEVELOPMENT, each)}) for at, each in enumerate(ALIKE)]
    return by_role + [policy(each, source) for each in ("a.b", "a-b", "a--b", "a-b-source", "1a")]


def test_roles_that_are_called_much_alike_are_all_in_the_template(alike: list[dict[str, Any]]) -> None:
    result = iam(alike, "-o", "cloudformation", "--account", DEVELOPMENT)
    assert result.exit_code == 0, result.output
    resources = yaml.safe_load(result.stdout)["Resources"]
    found = {
        each["Properties"].get("Path", "/").lstrip("/") + each["Properties"]["RoleName"] for each in resources.values()
    }
    assert found == set(ALIKE)
    assert [str(each) for each in lint_all(result.stdout) if each.rule.severity != "informational"] == []


def test_no_label_of_terraform_is_there_twice(alike: list[dict[str, Any]]) -> None:
    result = iam(alike, "-o", "terraform")
    assert result.exit_code == 0, result.output
    labels = re.findall(r"^((?:resource|variable) .*) \{$", result.stdout, re.MULTILINE)
    assert len(labels) == len(set(labels)) == 2 * (len(ALIKE) + 1) + 2 * 5
    parsed = hcl2.loads(result.stdout, serialization_options=SerializationOptions(strip_string_quotes=True))
    roles = [body["name"] for each in parsed["resource"] for body in each.get("aws_iam_role", {}).values()]
    assert sorted(roles) == sorted([each.rpartition("/")[2] for each in ALIKE] + ["transship"])
    assert all(re.search(r' "[A-Za-z_][A-Za-z0-9_-]*"$', each) for each in labels), labels


@given(NAMES, NAMES, st.sampled_from([DEVELOPMENT, PRODUCTION]))
def test_two_names_are_called_differently_everywhere(one: str, two: str, account: str) -> None:
    mine, others = role(DEVELOPMENT, one), role(account, two)
    if mine != others:
        assert role_in_terraform(mine) != role_in_terraform(others)
    if one != two:
        assert role_in_cloudformation(mine) != role_in_cloudformation(role(DEVELOPMENT, two))
        assert source_in_terraform(one) != source_in_terraform(two)
    assert re.fullmatch("[A-Za-z0-9]{1,255}", role_in_cloudformation(mine))
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", role_in_terraform(mine))
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", source_in_terraform(one))


def test_nothing_that_is_made_is_called_otherwise_because_of_another_policy(alike: list[dict[str, Any]]) -> None:
    alone = iam(alike[:1], "-o", "terraform").stdout
    together = iam(alike, "-o", "terraform").stdout
    assert set(re.findall(r"^resource .*", alone, re.MULTILINE)) <= set(
        re.findall(r"^resource .*", together, re.MULTILINE)
    )
    assert 'resource "aws_iam_role" "transship_source_111111111111" {' in alone


@pytest.mark.parametrize("form", ["table", "json", "terraform", "cloudformation"])
@pytest.mark.parametrize(("one", "two"), [("eks/transship", "transship"), ("Transship", "transship")])
def test_two_roles_that_an_account_cannot_have_are_told_of_in_one_sentence(form: str, one: str, two: str) -> None:
    source = {"registry": host(DEVELOPMENT)}
    policies = [policy(f"p{at}", source | {"roleArn": role(DEVELOPMENT, each)}) for at, each in enumerate((one, two))]
    result = iam(policies, "-o", form)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"{role(DEVELOPMENT, one)} and {role(DEVELOPMENT, two)} cannot both exist" in result.stderr


@pytest.mark.parametrize("name", ["/x/", "x/", "/x", "a//b", "", "x" * 65, "a" * 511 + "/b", "x\n", "x y", "${x}"])
def test_a_role_whose_name_iam_does_not_take_is_one_sentence(name: str) -> None:
    bad = role(PRODUCTION, name)
    for policies, arguments in (
        ([A.resource()], ["--operator-role", bad]),
        ([A.resource()], ["--admission-role", bad]),
        ([policy("shop", {"registry": host(DEVELOPMENT), "roleArn": bad})], []),
        ([A.resource(sourceAccess={"managePolicy": True, "roleArn": bad})], []),
    ):
        result = iam(policies, "-o", "terraform", *arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1), (arguments, result.output)
        assert "must be like arn:aws:iam::" in result.stderr


def test_a_repository_of_two_policies_is_listed_under_one_of_them() -> None:
    source = {"registry": host(DEVELOPMENT)}
    policies = [policy(each, source) for each in ("one", "two")]
    for each in policies:
        each["spec"]["repositories"] = ["shop/web", "shop/api", f"{each['metadata']['name']}/x"]
    text = iam(policies, "-o", "terraform").stdout
    assert re.findall(r"default     = (.*)", text) == ['["one/x", "shop/api", "shop/web"]', '["two/x"]']


@pytest.mark.parametrize(
    ("spec", "arguments", "words"),
    [
        ({"source": {"externalId": "${aws:PrincipalArn}"}}, [], "spec.source.externalId"),
        ({"destination": {"externalId": "a b"}}, [], "spec.destination.externalId"),
        ({"sourceAccess": {"externalId": "${aws:username}"}}, [], "spec.sourceAccess.externalId"),
        ({}, ["--namespace", "${aws:username}"], "--namespace"),
        ({}, ["--service-account", "*"], "--service-account"),
        ({}, ["--namespace", ""], "--namespace"),
    ],
)
def test_nothing_that_is_named_becomes_a_variable_of_iam(
    spec: dict[str, Any], arguments: list[str], words: str
) -> None:
    resource = A.resource(sourceAccess={})
    for field, more in spec.items():
        resource["spec"][field] |= more
    result = iam([resource], "-o", "json", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.output
    assert words in result.stderr


def test_what_cloudformation_cannot_make_is_told_of_and_never_left_out_in_silence() -> None:
    policies = [policy("shop", {"registry": host(DEVELOPMENT)})]
    result = iam(policies, "-o", "cloudformation")
    assert result.exit_code == 0
    (note,) = [each for each in result.stderr.splitlines() if "no resource for" in each]
    assert f"the repositories shop/* of {DEVELOPMENT} in eu-west-1 need for shop" in note
    alone = iam(policies, "-o", "cloudformation", "--account", DEVELOPMENT)
    assert (alone.exit_code, alone.stdout, alone.stderr.count("\n")) == (1, "", 1)
    assert "transship policy apply puts it there" in alone.stderr


def test_source_repositories_of_two_regions_are_reached_by_a_provider_each() -> None:
    west, north = host(DEVELOPMENT), host(DEVELOPMENT).replace("eu-west-1", "eu-north-1")
    policies = [
        policy("one", {"registry": west}),
        policy("two", {"registry": north}),
        policy("three", {"registry": west}),
    ]
    text = iam(policies, "-o", "terraform").stdout
    found = dict(re.findall(r'"aws_ecr_repository_policy" "(\w+)" \{\n  provider = (\S+)', text))
    assert found == {
        "one_source": "aws.account_111111111111_eu_west_1",
        "two_source": "aws.account_111111111111_eu_north_1",
        "three_source": "aws.account_111111111111_eu_west_1",
    }
    assert "# A repository that three reads, too, goes into one variable" in text
    assert text.count("goes into one variable") == 2
