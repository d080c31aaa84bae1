"""Rights to look, and rights that are wanted and not needed: what is missing without them is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecr_twin.errors import Refusal
from iam.conftest import Accounts, promote
from iam.test_suffice import Missing, every_action, without
from iam.topologies import DEVELOPMENT, POD, PRODUCTION, A, B, C, Topology, host
from localworld.paths import REPOSITORY
from transship.aws.rights import Rights, RoleRights, rights_of
from transship.cli.app import app
from transship.cli.configuration import read_files
from transship.cli.iam_document import listed
from transship.errors import NeedsHuman
from transship.oci.reference import Registry, Repository, Tag

pytestmark = pytest.mark.twin
OVERLAYS = REPOSITORY / "overlays"
READ_ONLY = {
    *("AssumeRole", "GetAuthorizationToken", "GetCallerIdentity", "BatchGetImage", "BatchCheckLayerAvailability"),
    *("DescribeRepositories", "DescribeImages", "ListImageReferrers", "ListImages"),
}
PLANNER = f"arn:aws:iam::{PRODUCTION}:role/release"
Plan = Callable[..., Result]
READERS = (replace(A, operator=PLANNER), replace(B, operator=PLANNER))
BY_HAND: dict[str, Any] = {"sourceAccess": {}}
TRUST = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"}, "Action": "sts:AssumeRole"}
# Planning goes on without seeing whether the destination's repository exists: see the last test.
REMOVED = [
    missing
    for topology in READERS
    for missing in every_action(topology, "statements", read_only=True, **BY_HAND)
    if missing.action != "ecr:DescribeRepositories"
]


@pytest.fixture
def plan(accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """`transship plan` of an image whose signature is new, or that is new itself, as somebody with these rights."""

    def run(topology: Topology, rights: Rights, *, exists: bool = True) -> Result:
        # Who may be the role of a pipeline is known to whoever has made it, and not printed.
        trusted = tuple(replace(each, trust=each.trust or (TRUST,)) for each in rights.roles)
        accounts.grant(replace(rights, roles=trusted))
        name = accounts.build()
        if exists:
            accounts.drifted(name)
            accounts.hold(name)
        for each in topology.rights(read_only=True, **BY_HAND).shared:
            accounts.share(name, each.statement)
        policy, workload = tmp_path / "policy.yaml", tmp_path / "workload.yaml"
        policy.write_text(yaml.safe_dump(topology.resource(**BY_HAND)))
        container = {"name": "app", "image": f"{host(PRODUCTION)}/apps/{name}:v1"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop", "namespace": "shop"}}
        workload.write_text(yaml.safe_dump(pod | {"spec": {"containers": [container]}}))
        accounts.as_somebody(topology.operator)
        monkeypatch.setenv("TRANSSHIP_CA_BUNDLE", str(accounts.twin.ca_path))
        accounts.twin.ledger.reset()
        return CliRunner().invoke(app, ["plan", "-f", str(workload), "--policy", str(policy), "-o", "json"])

    return run


@pytest.mark.parametrize("topology", READERS, ids=["a", "b"])
def test_to_plan_takes_what_read_only_prints_and_writes_nothing(
    accounts: Accounts, plan: Plan, topology: Topology
) -> None:
    rights = topology.rights(read_only=True, **BY_HAND)
    result = plan(topology, rights)
    assert result.exit_code == 2, result.output
    rows = accounts.twin.ledger.rows()
    assert not [row for row in rows if row["refused"]]
    assert not [
        row for row in rows if row["action"].partition(":")[2].startswith(("Put", "Create", "Set", "Tag", "Init"))
    ]


@pytest.mark.parametrize("missing", REMOVED, ids=str)
def test_of_what_planning_takes_nothing_can_be_spared(plan: Plan, missing: Missing) -> None:
    result = plan(missing.topology, missing.rights())
    assert (result.exit_code, f"may not {missing.action}" in result.output) == (1, True), result.output


def test_who_may_not_see_repositories_is_not_told_that_one_will_be_created(plan: Plan) -> None:
    (missing,) = (
        each
        for each in every_action(READERS[0], "statements", read_only=True, **BY_HAND)
        if each.action == "ecr:DescribeRepositories"
    )
    seen = json.loads(plan(missing.topology, missing.topology.rights(**missing.spec), exists=False).stdout)
    unseen = json.loads(plan(missing.topology, missing.rights(), exists=False).stdout)
    assert [len(each["plans"][0]["totals"]["createsRepositories"]) for each in (seen, unseen)] == [1, 0]


def test_a_first_plan_of_the_sample_overlays_takes_what_is_printed_for_their_policy_to_be_read(
    accounts: Accounts, kustomize: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = rights_of(read_files([str(OVERLAYS / "transship.yaml")]).policies, PLANNER, POD, read_only=True)
    source, planner = sorted(rights.roles, key=lambda each: each.arn)
    assert source.arn.endswith(f"{DEVELOPMENT}:role/transship-source")
    accounts.grant(replace(rights, roles=(source, replace(planner, trust=(TRUST,)))))
    accounts.build("shop/checkout", "v1.4.2")
    accounts.owner(PRODUCTION).create_repository(repositoryName="shop/checkout")
    accounts.as_somebody(PLANNER)
    monkeypatch.setenv("TRANSSHIP_CA_BUNDLE", str(accounts.twin.ca_path))
    monkeypatch.setenv("TRANSSHIP_KUSTOMIZE", str(kustomize))
    accounts.twin.ledger.reset()

    result = CliRunner().invoke(app, ["plan", str(OVERLAYS / "production")])

    assert result.exit_code == 2, result.output
    assert "1 image: 1 to copy" in result.output
    rows = accounts.twin.ledger.rows()
    assert not [row for row in rows if row["refused"]]
    assert {row["action"].partition(":")[2] for row in rows} <= READ_ONLY


WEBHOOK = f"arn:aws:iam::{PRODUCTION}:role/transship-admission"


@pytest.mark.parametrize("topology", [A, C], ids=["by its own role", "by the role that the policy names"])
def test_the_webhook_sees_destinations_and_nothing_else(accounts: Accounts, topology: Topology) -> None:
    rights = topology.rights(admission=WEBHOOK)
    (webhook,) = (each for each in rights.roles if each.arn == WEBHOOK)
    accounts.grant(rights)
    name = accounts.build()
    accounts.drifted(name)
    accounts.hold(name)
    here, there = (
        Repository.of(Registry(host(PRODUCTION)), f"apps/{name}"),
        Repository.of(Registry(host(DEVELOPMENT)), name),
    )
    registries = accounts.as_pod(WEBHOOK, **{"kubernetes-service-account": "transship-admission"})
    assert registries.destination(topology.policy(), here).resolve(Tag("v1")) is not None
    with pytest.raises(NeedsHuman, match=":assumed-role/transship-admission/pod may not ecr:BatchGetImage"):
        registries.source(topology.policy(), there).resolve(Tag("v1"))
    lacks = {"ecr:BatchGetImage", "sts:AssumeRole"} & {a for s in webhook.statements for a in listed(s["Action"])}
    for action in lacks:
        accounts.grant(
            replace(rights, roles=tuple(_without(each, action if each is webhook else None) for each in rights.roles))
        )
        registries = accounts.as_pod(WEBHOOK, **{"kubernetes-service-account": "transship-admission"})
        with pytest.raises(NeedsHuman, match=f":assumed-role/transship-admission/pod may not {action}"):
            registries.destination(topology.policy(), here).resolve(Tag("v1"))
    with pytest.raises(Refusal, match="sts:AssumeRole"):
        accounts.as_pod(WEBHOOK)  # the operator's ServiceAccount


@pytest.mark.parametrize("action", [None, "ecr:DescribeImages"])
def test_with_the_right_to_describe_an_archived_image_is_told_from_a_missing_one(
    accounts: Accounts, action: str | None
) -> None:
    described = {"sourceAccess": {"describe": True}}
    rights = B.rights(**described)
    assert "ecr:DescribeImages" not in str(B.rights())
    accounts.grant(replace(rights, roles=tuple(_without(each, action) for each in rights.roles)))
    name, ecr = accounts.build(), accounts.owner(DEVELOPMENT)
    digest = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"][0]["imageDigest"]
    ecr.update_image_storage_class(repositoryName=name, imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE")
    outcome = promote(accounts.as_pod(B.operator), B, name, name, **described)
    assert ("archived" in outcome.said) is (action is None), outcome.said


def test_with_the_right_to_describe_tags_can_be_listed_and_without_it_the_denial_names_it(accounts: Accounts) -> None:
    described = {"sourceAccess": {"describe": True}}
    name = accounts.build()
    repository = Repository.of(Registry(host(DEVELOPMENT)), name)
    accounts.grant(B.rights(**described))
    found = accounts.as_pod(B.operator).source(B.policy(), repository).list_tags()
    assert [str(each) for each in found] == ["v1"]
    accounts.grant(B.rights())
    with pytest.raises(
        NeedsHuman, match=r"transship-source/transship-shop may not ecr:ListImages .*it is needed to list"
    ):
        list(accounts.as_pod(B.operator).source(B.policy(), repository).list_tags())


def _without(role: RoleRights, action: str | None) -> RoleRights:
    return replace(role, statements=tuple(without(each, action or "") for each in role.statements))
