"""The reference documents say what there is, all of it."""

import re
import tomllib

import pytest
import yaml

from localworld import tools
from manifests import installation
from transship.errors import Reason
from transship.promotion.advice import ADVICE, Next
from transship.promotion.upkeep import Standing

DOCS = installation.REPOSITORY / "docs"
PAGES = {"promotionrequests": "promotionrequest.md", "promotionpolicies": "promotionpolicy.md"}
CONDITIONS = {"Ready", "Stalled", "Reconciling", "Identities", "SourceAccess", "DestinationRepositories"}
TEXTS = {plural: (DOCS / "reference" / page).read_text() for plural, page in PAGES.items()}


@pytest.mark.parametrize("plural", installation.KINDS)
def test_every_field_is_described_on_its_page_and_no_other(plural: str) -> None:
    paths = {path for path, _ in installation.fields(installation.schema(plural)) if not path.endswith("[]")}
    fields = {path for path in paths if path.startswith(("spec.", "status."))}

    rows = [line for line in TEXTS[plural].splitlines() if line.startswith(("| `spec.", "| `status."))]
    described = {name.replace("[]", "") for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}

    assert described == fields


def test_every_reason_is_told_with_what_to_do() -> None:
    text = (DOCS / "reasons.md").read_text()
    told = re.findall(r"^### (\w+)\n\n(.+)\n\n\*\*What to do:\*\* (.+)$", text, re.MULTILINE)

    assert [name for name, _, _ in told] == [reason.value for reason in Reason]
    assert all(meaning.endswith(".") and advice.endswith(".") for _, meaning, advice in told)


def test_a_reason_that_the_page_of_policies_names_is_told_on_the_page_of_reasons() -> None:
    rows = [line for line in TEXTS["promotionpolicies"].splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"\| `([A-Z]\w+)` (?=\|)", row)} - CONDITIONS

    assert named
    assert named <= set(Reason)


def test_no_reason_is_said_that_is_not_of_the_list() -> None:
    package = installation.REPOSITORY / "controller/transship"
    said = "".join(file.read_text() for file in package.rglob("*.py"))

    assert re.findall(r"""(?:reason=|"reason": |Standing\(\s*"\w+", "\w+", )["'](\w+)["']""", said) == []
    assert Standing.__annotations__["reason"] is Reason


def test_no_reason_that_is_raised_is_told_to_go_on_otherwise_than_it_does() -> None:
    package = installation.REPOSITORY / "controller/transship"
    sources = [
        file.read_text() for name in ("aws", "oci", "promotion", "registry") for file in (package / name).glob("*.py")
    ]
    raised = {pair for text in sources for pair in re.findall(r"(NeedsHuman|RetryLater)\(\s*Reason\.(\w+)", text)}
    stalls = {name for error, name in raised if error == "NeedsHuman"}
    heals = {name for error, name in raised if error == "RetryLater"}

    assert stalls
    assert {ADVICE[Reason[name]].next for name in stalls} == {Next.STALLS}
    assert heals
    assert {ADVICE[Reason[name]].next for name in heals} == {Next.RETRIED, Next.STATE}


@pytest.mark.parametrize("plural", installation.KINDS)
def test_the_example_of_a_page_is_the_sample(plural: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXTS[plural], re.DOTALL)

    sample = installation.SAMPLES / PAGES[plural].replace(".md", ".yaml")
    assert [yaml.safe_load(example)] == installation.resources(sample)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((installation.REPOSITORY / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = {
        "operator": project["project"]["dependencies"],
        "development": [each for group in groups.values() for each in group if isinstance(each, str)],
    }
    first, second, _ = (DOCS / "dependencies.md").read_text().split("\n## ")[1:]

    for text, names in zip((first, second), asked.values(), strict=True):
        told = set(re.findall(r"^\| (\S+) \| .{4,} \| .{4,} \|$", text, re.MULTILINE)) - {"dependency"}
        assert told == {re.split(r"[\[<>=]", name)[0] for name in names}


def test_every_pinned_tool_has_its_reason() -> None:
    programs = (DOCS / "dependencies.md").read_text().split("\n## ")[-1]
    pinned = {binary for tool in tools.TOOLS.values() for binary in tool.binaries.values()}
    own = {"delayline", "checkout"}

    assert {each for each in pinned - own if each not in programs and each != "registry"} == set()
