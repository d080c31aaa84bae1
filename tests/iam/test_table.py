"""The one table of actions has all that the code can ask AWS for, and nothing that it cannot."""

import ast
from pathlib import Path

import boto3
from botocore import xform_name

import transship.aws
from transship.actions import ACTIONS
from transship.aws import permissions
from transship.aws.permissions import Permission, of_settings
from transship.aws.traffic import ACTIONS as REQUESTS
from transship.promotion.desired import parse_repository_settings

FOLDER = Path(transship.aws.__file__).parent
FREE = {"GetCallerIdentity"}
"""Nobody needs a permission for it."""


def words(file: Path) -> set[str]:
    """Names of methods and texts of a module: what a client may be asked by, written out or by name."""
    tree = ast.walk(ast.parse(file.read_text()))
    return {
        each.attr if isinstance(each, ast.Attribute) else str(each.value)
        for each in tree
        if isinstance(each, ast.Attribute | ast.Constant)
    }


def test_every_call_of_boto3_in_the_code_is_in_the_table_and_every_one_of_the_table_is_made() -> None:
    called = set()
    for service in ("ecr", "sts"):
        names = boto3.Session().client(service, region_name="eu-west-1").meta.service_model.operation_names
        spelt = {xform_name(name): name for name in names}
        found = set().union(*(words(file) for file in FOLDER.glob("*.py")))
        called |= {name for method, name in spelt.items() if method in found}
    called |= set(REQUESTS.values())  # requests of the distribution API
    called.add("AssumeRoleWithWebIdentity")  # botocore makes it by itself
    assert called - FREE == {call for use in ACTIONS.values() for call in use.calls}


def test_every_permission_is_made_of_actions_of_the_table_and_uses_all_of_ecr_and_kms_but_one() -> None:
    settings = {
        "create": True,
        "drift": "Mend",
        "imageTagMutability": "IMMUTABLE",
        "scanOnPush": True,
        "lifecyclePolicy": '{"rules": []}' + " " * 100,
        "policy": "{}",
        "tags": {"a": "b"},
    }
    every = [each for each in vars(permissions).values() if isinstance(each, Permission)]
    every += of_settings(parse_repository_settings(settings))
    used = {action for each in every for action in each.actions}
    assert used <= ACTIONS.keys()
    # The operator leaves a document; `transship policy remove` takes an empty one away.
    assert {each for each in ACTIONS if not each.startswith("sts:")} - used == {"ecr:DeleteRepositoryPolicy"}
