"""The page about AWS shows what is printed, names what exists, and counts calls as they are made."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from iam.conftest import Accounts, promote
from iam.topologies import A
from transship.actions import ACTIONS
from transship.cli.app import app, load
from transship.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how-to/aws.md").read_text(encoding="utf-8")
POLICIES = {
    each["spec"]["source"].get("roleArn", "a")[-1] + each["spec"]["destination"].get("roleArn", "")[-1:]: text
    for text in re.findall(r"```yaml\n(apiVersion.*?)```", TEXT, re.DOTALL)
    for each in [yaml.safe_load(text)]
}
DOCUMENTS = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
OPERATOR = "arn:aws:iam::333333333333:role/transship"
ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"


def printed(text: str, *options: str) -> list[dict[str, Any]]:
    """All documents that are printed for a policy of the page."""
    result = CliRunner().invoke(app, ["policy", "iam", "-f", "-", "-o", "json", *options], input=text)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    roles = [each[name] for each in document["roles"] for name in ("policy", "trustPolicy") if name in each]
    return roles + [each["policy"] for each in document["repositoryPolicies"]]


def test_every_document_shown_is_printed_and_for_two_ways_every_one_that_is_printed_is_shown() -> None:
    a, b, c = POLICIES.values()
    of_a, of_b, of_c = printed(a), printed(b), printed(c, "--operator-role", OPERATOR)
    every = [*of_a, *of_b, *of_c, *printed(a, "--oidc-issuer", ISSUER)]
    assert [each for each in DOCUMENTS if each not in every] == []
    assert [each for each in [*of_a, *of_b] if each not in DOCUMENTS] == []


def test_every_command_of_transship_and_every_option_of_it_exists() -> None:
    commands = re.findall(r"^\$ transship ([^#\n]*)", TEXT.replace("\\\n", " "), re.MULTILINE)
    commands += re.findall(r"`transship ((?:policy )?[a-z-]+ -[^`]*)`", TEXT)
    assert len(commands) > 5
    for line in commands:
        words = line.split("|")[0].split(">")[0].split()
        group: Any = load(words.pop(0))
        while hasattr(group, "commands"):
            group = group.commands[words.pop(0)]
        known = {option for each in group.params for option in each.opts}
        assert {each for each in words if each.startswith("-") and len(each) > 1} <= known, line


def test_what_is_said_of_settings_components_and_actions_exists() -> None:
    for name in re.findall(r"TRANSSHIP_[A-Z_]+[A-Z]", TEXT):
        assert name.removeprefix("TRANSSHIP_").lower() in Settings.model_fields, name
    for folder in re.findall(r"`(manifests/[a-z/-]+)`", TEXT):
        assert (ROOT / folder / "kustomization.yaml").is_file(), folder
    free = {"sts:GetCallerIdentity", "sts:ExternalId", "kms:ResourceAliases", "kms:ViaService"}
    assert set(re.findall(r"\b(?:ecr|kms|sts):[A-Z][A-Za-z]+", TEXT)) - free <= ACTIONS.keys()


@pytest.mark.parametrize(
    "words", re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \| [A-Z]", TEXT.partition("What the errors say")[2], re.MULTILINE)
)
def test_the_words_of_errors_are_those_of_the_code(words: str) -> None:
    folder = ROOT / "controller/transship"
    code = re.sub(r'"\s*\n\s*f?"', "", "".join(each.read_text(encoding="utf-8") for each in folder.rglob("*.py")))
    for part in (each for said in re.findall("`([^`]+)`", words) for each in said.split(" ... ")):
        fixed = re.split(r"(?:sts|ecr):\w+|identity-based policy|resource-based policy|KmsException", part)
        assert all(each.strip() in code for each in fixed), part


@pytest.mark.twin
def test_doing_nothing_costs_the_calls_that_the_page_counts(accounts: Accounts) -> None:
    accounts.grant(A.rights())
    name, other = accounts.build(), accounts.build()
    accounts.drifted(other)
    registries = accounts.as_pod(A.operator)
    promote(registries, A, name, other)
    accounts.twin.ledger.reset()
    registries.upkeep.look(A.policy(), [name, other])
    calls: Counter[tuple[str, str]] = Counter()
    for row in accounts.twin.ledger.rows():
        calls[row["action"], row["account"]] += row["requests"]
    source, destination = "111111111111", "222222222222"
    assert calls == {
        ("sts:GetCallerIdentity", destination): 2,
        ("sts:GetCallerIdentity", source): 1,
        ("ecr:DescribeRepositories", destination): 1 + 2,
        ("ecr:GetLifecyclePolicy", destination): 2,
        ("ecr:GetRepositoryPolicy", destination): 2,
        ("ecr:ListTagsForResource", destination): 2,
        ("ecr:GetRepositoryPolicy", source): 2,
    }
