"""`transship diff`: what runs there and not here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.command import Said
from overlays.conftest import DESTINATION, SOURCE, Shop
from overlays.test_plan import pod
from overlays.test_promote import BY, ROLE


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.policy(source=ROLE)
    return shop


def differences(said: Said) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)["differences"]
    return found


def diff(shop: Shop, *arguments: str | Path) -> Said:
    return shop.run("diff", *arguments, "-o", "json", by=BY)


def test_overlays_that_run_the_same_do_not_differ_though_their_registries_do(shop: Shop) -> None:
    shop.push("v1")
    shop.hold("v1", "v1")
    dev, production = shop.overlay("dev", shop.reference("v1", SOURCE)), shop.overlay("p", shop.reference("v1"))
    said = shop.run("diff", dev, production, by=BY)
    assert (said.status, said.out, said.err) == (0, "", "")


def test_another_version_is_told_with_tags_digests_and_ages(shop: Shop) -> None:
    digests = shop.push("v1", "v2")
    shop.hold("v1", "v1")
    dev, production = shop.overlay("dev", shop.reference("v2", SOURCE)), shop.overlay("p", shop.reference("v1"))
    said = diff(shop, dev, production)
    assert said.status == 2, said.err
    (found,) = differences(said)
    assert (found["kind"], found["name"]) == ("Different", shop.repository)
    ((first,), (second,)) = found["first"], found["second"]
    assert (first["tag"], first["digest"]) == ("v2", digests["v2"])
    assert (second["tag"], second["digest"]) == ("v1", digests["v1"])
    assert first["pushedAt"]
    row = shop.run("diff", dev, production, by=BY).out.splitlines()[1]
    assert digests["v2"][:19] in row
    assert shop.repository in row


def test_a_tag_that_means_other_content_there_is_a_difference(shop: Shop) -> None:
    shop.push("v1")
    shop.hold("v1", "v0")
    dev, production = shop.overlay("dev", shop.reference("v1", SOURCE)), shop.overlay("p", shop.reference("v1"))
    assert [each["kind"] for each in differences(diff(shop, dev, production))] == ["Different"]
    said = diff(shop, dev, production, "--offline")
    assert (said.status, differences(said)) == (0, [])


def test_images_that_only_one_of_them_runs_are_told_by_side(shop: Shop) -> None:
    dev, production = shop.overlay("dev", "docker.io/library/a:1"), shop.overlay("p", "docker.io/library/b:1")
    said = diff(shop, dev, production, "--offline")
    assert [(each["kind"], each["name"]) for each in differences(said)] == [
        ("OnlyFirst", "library/a"),
        ("OnlySecond", "library/b"),
    ]


def test_what_is_not_there_is_told_beside_the_difference(shop: Shop) -> None:
    shop.push("v1")
    dev, production = shop.overlay("dev", shop.reference("v1", SOURCE)), shop.overlay("p", shop.reference("v1"))
    said = shop.run("diff", dev, production, by=BY)
    assert (said.status, said.out) == (0, "")
    assert f"{shop.reference('v1')}: is not there" in said.err


def test_a_registry_that_refuses_is_an_error_and_not_no_difference(shop: Shop) -> None:
    shop.push("v1")
    shop.policy()
    dev, production = shop.overlay("dev", shop.reference("v1", SOURCE)), shop.overlay("p", shop.reference("v1"))
    said = shop.run("diff", dev, production)
    assert said.status == 1
    assert "may not ecr:DescribeImages" in said.err


def test_a_registry_of_another_account_that_may_not_be_listed_is_told_what_would_help(shop: Shop) -> None:
    """What is said is true: rights of one's own to list it all change nothing, a role and one repository do."""
    shop.push("v1")
    shop.let_in()
    shop.policy()
    said = shop.run("diff", SOURCE, DESTINATION)
    assert (said.status, said.out) == (1, "")
    assert f"cannot list the repositories of {SOURCE}: " in said.err
    assert "may not ecr:DescribeRepositories there; across accounts no policy of its own is enough" in said.err
    assert "name a role of account 111111111111 in the PromotionPolicy, or one repository" in said.err
    assert len(said.err.splitlines()) == 1

    one = shop.run("diff", f"{SOURCE}/{shop.repository}", f"{SOURCE}/{shop.repository}")
    assert (one.status, one.err) == (0, "")
    shop.policy(source=ROLE)
    assert shop.run("diff", SOURCE, SOURCE, by=BY).status == 0


def test_a_registry_of_ones_own_that_may_not_be_listed_is_told_as_a_right_on_it(shop: Shop) -> None:
    said = shop.run("diff", DESTINATION, DESTINATION, by="node")
    assert (said.status, said.out) == (1, "")
    everywhere = "arn:aws:ecr:eu-west-1:222222222222:repository/*"
    needed = f'{{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"{everywhere}"}}'
    assert f"add to the principal's own policy {needed}" in said.err


def test_a_repository_that_neither_it_nor_the_registry_shows_is_told_as_a_right_on_it(shop: Shop) -> None:
    shop.push("v1")
    shop.policy()
    said = shop.run("diff", f"{SOURCE}/{shop.repository}", f"{DESTINATION}/{shop.repository}")
    assert (said.status, said.out) == (1, "")
    assert f"cannot list the images of {SOURCE}/{shop.repository}" in said.err
    assert "ecr:DescribeRepositories" not in said.err


def test_a_path_is_one_repository_or_a_folder_of_them(shop: Shop) -> None:
    shop.push("v1")
    longer = replace(shop, name=f"{shop.name}-api")
    longer.push("v1")
    said = diff(shop, f"{SOURCE}/{shop.repository}", f"{DESTINATION}/{shop.repository}")
    assert [each["name"] for each in differences(said)] == [f"{shop.repository}:v1"]
    said = diff(shop, f"{SOURCE}/{shop.repository[:-1]}", f"{DESTINATION}/{shop.repository}")
    assert (said.status, differences(said)) == (0, [])
    assert f"{longer.repository}:v1" in {
        each["name"] for each in differences(diff(shop, f"{SOURCE}/shop/", DESTINATION))
    }


def test_registries_are_compared_tag_by_tag(shop: Shop) -> None:
    digests = shop.push("v1", "v2", "v3")
    shop.hold("v1", "v1")
    shop.hold("v3", "v0")
    shop.hold("only-here", "v1")
    said = diff(shop, f"{SOURCE}/{shop.repository}", f"{DESTINATION}/{shop.repository}")
    assert said.status == 2, said.err
    found = {each["name"].rpartition(":")[2]: each for each in differences(said)}
    assert {tag: each["kind"] for tag, each in found.items()} == {
        "v2": "OnlyFirst",
        "v3": "Different",
        "only-here": "OnlySecond",
    }
    assert found["v2"]["first"][0]["digest"] == digests["v2"]
    assert found["v2"]["first"][0]["pushedAt"]
    same = shop.run("diff", *[f"{SOURCE}/{shop.repository}"] * 2, by=BY)
    assert (same.status, same.out) == (0, "")


def test_names_are_those_of_images(shop: Shop) -> None:
    first, second = shop.overlay("dev", "docker.io/library/a:1"), shop.overlay("p", "docker.io/library/b:1")
    assert shop.run("diff", first, second, "--offline", "-o", "name").out == "library/a\nlibrary/b\n"


def test_without_a_policy_paths_are_compared(shop: Shop) -> None:
    (shop.folder / "transship.yaml").unlink()
    first, second = shop.overlay("dev", f"{SOURCE}/a/b:1"), shop.overlay("p", f"{DESTINATION}/a/b:1")
    assert diff(shop, first, second, "--offline").status == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dev", SOURCE], "one of them is a folder and the other is not"),
        (["no/where", "else/where"], "neither a folder nor a registry"),
        (["a b", "c"], "neither a folder nor a registry"),
        (["ghcr.io", "ghcr.io"], "is not ECR, and is not listed"),
        ([SOURCE, DESTINATION, "--offline"], "cannot be compared with --offline"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_1(shop: Shop, arguments: list[str], sentence: str) -> None:
    (shop.overlay("dev", "a:1") / "deployment.yaml").write_text(yaml.safe_dump(pod("a", "a:1")))
    said = shop.run("diff", *arguments, by=BY)
    assert (said.status, said.out) == (1, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1
