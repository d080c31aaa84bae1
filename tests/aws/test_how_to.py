"""The how-to says what is so: its documents are those that are used."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from transship.aws.policy_document import Grant
from transship.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/source-access.md").read_text()
(EDITOR, READER, STATEMENT) = (json.loads(each) for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
ACCOUNTS = yaml.safe_load((ROOT / "hack/localworld/accounts.yaml").read_text())["accounts"]


def rights(document: dict[str, Any]) -> set[tuple[str, str]]:
    def listed(content: Any) -> list[str]:
        return content if isinstance(content, list) else [content]

    return {
        (action, resource)
        for statement in document["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def test_the_statement_shown_is_the_one_that_is_written() -> None:
    assert Grant("222222222222").statement() == STATEMENT


def test_the_role_that_the_demo_edits_with_has_the_rights_shown_and_no_others() -> None:
    (role,) = (each for each in ACCOUNTS["111111111111"]["roles"] if each["name"] == "transship-access")
    assert [rights(each) for each in role["policies"]] == [rights(EDITOR)]


def test_the_demos_controller_has_the_rights_shown() -> None:
    (user,) = (each for each in ACCOUNTS["222222222222"]["users"] if each["name"] == "transship-controller")
    assert rights(READER) <= rights(user["policies"][0])


def test_the_terraform_shown_holds_the_same_statement() -> None:
    (block,) = re.findall(r"jsonencode\((.*?)\)\n}", TEXT, re.DOTALL)
    assert json.loads(block)["Statement"] == [STATEMENT]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"TRANSSHIP_[A-Z_]+[A-Z]", TEXT))))
def test_every_setting_named_exists(name: str) -> None:
    assert name.removeprefix("TRANSSHIP_").lower() in Settings.model_fields
