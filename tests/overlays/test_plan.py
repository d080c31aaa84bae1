"""`transship plan`: the answer before the merge, by somebody who may only read."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from command_line.command import Said
from localworld.accounts import DEVELOPMENT
from localworld.ledger import Ledger
from overlays.conftest import DESTINATION, SOURCE, Shop

MAY_ONLY_READ = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetAuthorizationToken",
    "ecr:GetRepositoryPolicy",
    "ecr:ListImageReferrers",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
}
BY_POLICY_READER = {"managePolicy": True, "roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/policy-reader"}


def the_image(said: Said) -> dict[str, Any]:
    (plan,) = json.loads(said.out)["plans"]
    (found,) = plan["images"]
    return dict(found)


def pod(name: str, *images: str, kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": containers}}, **spec},
    }


@contextmanager
def only_reads(ledger: Ledger) -> Iterator[None]:
    """See that nothing but reading is even tried, whoever it is."""
    before = ledger.requests()
    yield
    made = +(Counter(ledger.requests()) - before)
    assert made
    assert set(made) <= MAY_ONLY_READ


def test_an_image_that_is_not_there_is_to_be_copied_with_all_that_is_missing_and_what_it_costs(shop: Shop) -> None:
    digest = shop.push("v1")["v1"]
    shop.let_in()
    said = shop.run("plan", shop.overlay("production", shop.reference("v1")), "-o", "json")
    assert said.status == 2, said.err
    image = the_image(said)
    assert (image["verdict"], image["digest"]) == ("Copy", digest)
    assert (image["source"], image["destination"]) == (shop.reference("v1", SOURCE), shop.reference("v1"))
    assert image["namedBy"][0]["kind"] == "Deployment"
    assert image["missing"] | {"bytes": 0} == {"bytes": 0, "blobs": 6, "manifests": 3, "referrers": 0}
    assert image["missing"]["bytes"] > 6 * 16 * 1024
    assert image["awsCalls"][DESTINATION]["PutImage"] == 3
    totals = json.loads(said.out)["plans"][0]["totals"]
    assert totals["createsRepositories"] == [f"{DESTINATION}/{shop.repository}"]


@pytest.mark.parametrize("is_there", [False, True], ids=["no repository", "a repository with another version"])
def test_rights_to_read_are_enough_and_no_write_is_even_tried(shop: Shop, ledger: Ledger, *, is_there: bool) -> None:
    shop.push("v1")
    shop.let_in()
    if is_there:
        shop.hold("v0", "v0")
    with only_reads(ledger):
        said = shop.run("plan", shop.overlay("production", shop.reference("v1")), "-o", "json")
    assert said.status == 2, said.err
    # The base layers of both platforms are those of every version.
    assert the_image(said)["missing"]["blobs"] == (4 if is_there else 6)
    assert shop.at_destination("v1") is None


def test_whoever_may_write_writes_nothing_either(shop: Shop, ledger: Ledger) -> None:
    shop.push("v1")
    shop.policy(
        sourceAccess={
            "managePolicy": True,
            "roleArn": f"arn:aws:iam::{DEVELOPMENT}:role/transship-access",
            "externalId": "transship-example",
        }
    )
    with only_reads(ledger):
        said = shop.run("plan", shop.overlay("production", shop.reference("v1")), by="transship-controller")
    assert said.status == 2, said.err


def test_nothing_is_to_be_done_about_an_image_that_is_there(shop: Shop) -> None:
    digest = shop.push("v1")["v1"]
    shop.let_in()
    assert shop.hold("v1", "v1") == digest
    said = shop.run("plan", shop.overlay("production", shop.reference("v1")))
    assert said.status == 0, said.err
    assert "AlreadyPresent" in said.out
    assert "1 image: 1 already present" in said.out


def test_content_that_is_there_under_another_tag_is_to_be_tagged(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    shop.hold("candidate", "v1")
    said = shop.run("plan", shop.overlay("production", shop.reference("v1")), "-o", "json")
    image = the_image(said)
    assert (said.status, image["verdict"], image["missing"]["bytes"]) == (2, "AddTag", 0)
    assert image["awsCalls"][DESTINATION]["PutImage"] == 1


def test_a_tag_at_another_digest_is_a_conflict_or_moves_if_the_policy_says_so(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    before = shop.hold("v1", "v0")
    overlay = shop.overlay("production", shop.reference("v1"))
    said = shop.run("plan", overlay, "-o", "json")
    assert (said.status, the_image(said)["reason"]) == (1, "TagConflict")
    shop.policy(tagConflict="Overwrite")
    said = shop.run("plan", overlay, "-o", "json")
    assert (said.status, the_image(said)["replaces"]) == (2, before)


def test_an_image_that_nobody_pushed_is_told_at_once(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    shop.policy(sourceGrace="10m")
    said = shop.run("plan", shop.overlay("production", shop.reference("v9")), "-o", "json")
    assert (said.status, the_image(said)["reason"]) == (1, "SourceMissing")
    assert f"{shop.reference('v9', SOURCE)} does not exist" in the_image(said)["message"]


@pytest.mark.parametrize("form", ["table", "json", "yaml", "name", "markdown"])
def test_what_is_wrong_is_a_sentence_on_standard_error_in_every_form(shop: Shop, form: str) -> None:
    shop.push("v1")
    shop.let_in()
    shop.policy()
    said = shop.run("plan", shop.overlay("production", shop.reference("v9")), "-o", form)
    assert said.status == 1
    assert said.err.startswith("transship: 1 of 1 images cannot be promoted as they are, ")
    assert len(said.err.splitlines()) == 1


def test_a_repository_that_nobody_may_create_is_told(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    shop.policy(destinationRepository={"create": False})
    said = shop.run("plan", shop.overlay("production", shop.reference("v1")), "-o", "json")
    assert (said.status, the_image(said)["reason"]) == (1, "RepositoryMissing")


def test_a_statement_that_the_source_lacks_is_planned_and_is_the_one_that_lets_us_read(
    shop: Shop, ledger: Ledger
) -> None:
    shop.push("v1")
    shop.policy(sourceAccess=BY_POLICY_READER)
    overlay = shop.overlay("production", shop.reference("v1"))
    with only_reads(ledger):
        said = shop.run("plan", overlay, "-o", "json")
    assert (said.status, the_image(said)["verdict"]) == (2, "Pending")
    (added,) = json.loads(said.out)["plans"][0]["totals"]["addsStatements"]
    assert added["repository"] == f"{SOURCE}/{shop.repository}"
    with shop.registries.ecr(shop.people["ci"]) as ecr:
        text = json.dumps({"Version": "2012-10-17", "Statement": [added["statement"]]})
        ecr.set_repository_policy(repositoryName=shop.repository, policyText=text)
    said = shop.run("plan", overlay, "-o", "json")
    assert (said.status, the_image(said)["verdict"]) == (2, "Copy")
    assert not json.loads(said.out)["plans"][0]["totals"]["addsStatements"]


def test_a_source_that_may_not_be_read_is_told_with_who_may_not_do_what(shop: Shop) -> None:
    shop.push("v1")
    said = shop.run("plan", shop.overlay("production", shop.reference("v1")), "-o", "json")
    assert (said.status, the_image(said)["reason"]) == (1, "Denied")
    assert "user/planner may not ecr:BatchGetImage" in the_image(said)["message"]


def test_a_rendered_stream_is_read_from_standard_input_and_each_image_is_looked_at_once(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    image = shop.reference("v1")
    stream = yaml.safe_dump_all(
        [
            pod("a", image, "docker.io/library/envoy:1"),
            pod("b", image),
            {"kind": "List", "apiVersion": "v1", "items": []},
        ]
    )
    said = shop.run("plan", "-f", "-", "-o", "json", stdin=stream)
    assert said.status == 2, said.err
    (plan,) = json.loads(said.out)["plans"]
    first, other = plan["images"]
    assert [each["name"] for each in first["namedBy"]] == ["a", "b"]
    assert (other["verdict"], other.get("reason")) == ("NotCovered", None)


def test_an_image_that_no_policy_covers_is_wrong_where_it_should_have_been_promoted(shop: Shop) -> None:
    ours = pod("a", f"{DESTINATION}/other/app:v1")
    asked = pod("b", "docker.io/library/envoy:1", kind="Job", managedBy="transship.dev/promotion")
    for resource in (ours, asked):
        said = shop.run("plan", "-f", "-", "-o", "json", stdin=yaml.safe_dump(resource))
        assert (said.status, the_image(said)["reason"]) == (1, "NotCovered")


def test_images_that_share_layers_are_counted_once(shop: Shop) -> None:
    shop.push("v1", "v2")
    shop.let_in()
    both = yaml.safe_dump(pod("a", shop.reference("v1"), shop.reference("v2")))
    said = shop.run("plan", "-f", "-", "-o", "json", stdin=both)
    (plan,) = json.loads(said.out)["plans"]
    alone = sum(each["missing"]["blobs"] for each in plan["images"])
    assert (alone, plan["totals"]["missing"]["blobs"]) == (12, 10)


def test_an_image_of_two_namespaces_is_counted_once_and_each_namespace_has_to_be_covered(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    elsewhere = pod("b", shop.reference("v1"))
    elsewhere["metadata"]["namespace"] = "other"
    stream = yaml.safe_dump_all([pod("a", shop.reference("v1")), elsewhere])
    said = shop.run("plan", "-f", "-", "-o", "json", stdin=stream)
    assert said.status == 1
    assert [each["verdict"] for each in json.loads(said.out)["plans"][0]["images"]] == ["Copy", "NotCovered"]
    shop.policy(namespaces={"names": ["shop", "other"]})
    said = shop.run("plan", "-f", "-", "-o", "json", stdin=stream)
    (plan,) = json.loads(said.out)["plans"]
    assert (said.status, plan["totals"]["missing"]["blobs"]) == (2, 6)


def test_names_are_those_that_would_be_written(shop: Shop) -> None:
    shop.push("v1", "v2")
    shop.let_in()
    shop.hold("v1", "v1")
    both = yaml.safe_dump(pod("a", shop.reference("v1"), shop.reference("v2")))
    said = shop.run("plan", "-f", "-", "-o", "name", stdin=both)
    assert said.out.splitlines() == [shop.reference("v2")]


def test_markdown_is_a_table_in_which_a_strangers_text_is_only_text(shop: Shop) -> None:
    evil = pod("a", f"{DESTINATION}/shop/<img>|@everyone:v1")
    said = shop.run("plan", "-f", "-", "-o", "markdown", stdin=yaml.safe_dump(evil))
    assert said.status == 1
    assert "| verdict | image |" in said.out
    outside_code = re.sub("`[^`]*`", "", said.out)
    assert "everyone" in outside_code
    assert "@everyone" not in outside_code
    assert "<img>" not in outside_code


def test_bad_input_is_one_sentence_and_exit_code_1(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    (shop.folder / "transship.yaml").unlink()
    cases = {
        "name an overlay": shop.run("plan"),
        "is not a folder": shop.run("plan", "nowhere"),
        "there is no transship.yaml": shop.run("plan", overlay),
        "cannot be read: No such file": shop.run("plan", "-f", "nowhere.yaml"),
        "not YAML": shop.run("plan", "-f", "-", stdin="a: [\n"),
        "exclude each other": shop.run("plan", overlay, "--policy", "x.yaml", "--from-cluster"),
    }
    for sentence, said in cases.items():
        assert (said.status, said.out) == (1, ""), sentence
        assert sentence in said.err
        assert len(said.err.splitlines()) == 1
