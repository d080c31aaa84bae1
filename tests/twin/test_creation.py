"""R1, B7: repositories that a push creates, and layers that are purged."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from twin.clients import DESTINATION, REGION, SOURCE, Launch, World, document, grant, tarball, trust

pytestmark = pytest.mark.twin


@pytest.fixture(scope="module", autouse=True)
def _templates(world: World) -> None:
    ecr = world.client("ecr")
    for prefix, mutability in (("ROOT", "MUTABLE"), ("made", "IMMUTABLE"), ("made/by/push", "MUTABLE_WITH_EXCLUSION")):
        extra = {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}]}
        ecr.create_repository_creation_template(
            prefix=prefix,
            appliedFor=["CREATE_ON_PUSH"] if prefix != "ROOT" else ["REPLICATION"],
            imageTagMutability=mutability,
            **(extra if mutability.endswith("EXCLUSION") else {}),
        )


@pytest.mark.parametrize(
    ("name", "mutability"),
    [
        ("made/app", "IMMUTABLE"),
        ("made/by/push/app", "MUTABLE_WITH_EXCLUSION"),
        ("made/by/pushing", "IMMUTABLE"),
        ("madeup/app", None),
        ("other", None),
    ],
)
def test_a_push_creates_what_the_longest_prefix_says(world: World, name: str, mutability: str | None) -> None:
    archive = tarball(world.folder / "layer.tar", b"hello")
    pushed = world.crane("append", "--new_layer", str(archive), "--new_tag", world.reference(name))
    if mutability is None:
        assert "NAME_UNKNOWN" in pushed.stderr
        return
    assert pushed.returncode == 0, pushed.stderr
    (found,) = world.client("ecr").describe_repositories(repositoryNames=[name])["repositories"]
    assert found["imageTagMutability"] == mutability


def test_only_a_push_creates(world: World) -> None:
    assert world.http("GET", "/v2/made/nothing/tags/list").code == "NAME_UNKNOWN"
    assert world.http("HEAD", "/v2/made/nothing/manifests/v1").status == 404
    assert world.http("POST", "/v2/made/nothing/blobs/uploads/", who="promoter").status == 403


def test_a_template_carries_policy_lifecycle_and_tags(launch: Launch) -> None:
    with launch() as own:
        ecr, text = own.client("ecr"), document(grant({"AWS": DESTINATION}, "ecr:BatchGetImage"))
        rules = json.dumps({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType":
            "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}]})  # fmt: skip
        wanted = {
            "prefix": "ROOT",
            "appliedFor": ["CREATE_ON_PUSH"],
            "resourceTags": [{"Key": "team", "Value": "shop"}],
        }
        with pytest.raises(ClientError, match="customRoleArn"):
            ecr.create_repository_creation_template(**wanted)
        role = {"customRoleArn": f"arn:aws:iam::{SOURCE}:role/transship-source"}
        ecr.create_repository_creation_template(**wanted, **role, repositoryPolicy=text, lifecyclePolicy=rules)
        assert own.http("POST", "/v2/new/blobs/uploads/").status == 202
        assert json.loads(ecr.get_repository_policy(repositoryName="new")["policyText"]) == json.loads(text)
        assert ecr.get_lifecycle_policy(repositoryName="new")["lifecyclePolicyText"] == rules
        arn = f"arn:aws:ecr:{REGION}:{SOURCE}:repository/new"
        assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "shop"}]


def test_templates_are_kept_changed_and_removed(world: World) -> None:
    ecr = world.client("ecr", "promoter")
    ecr.create_repository_creation_template(prefix="a", appliedFor=["CREATE_ON_PUSH"])
    with pytest.raises(ClientError, match="TemplateAlreadyExistsException"):
        ecr.create_repository_creation_template(prefix="a", appliedFor=["CREATE_ON_PUSH"])
    ecr.update_repository_creation_template(prefix="a", imageTagMutability="IMMUTABLE")
    (found,) = ecr.describe_repository_creation_templates(prefixes=["a"])["repositoryCreationTemplates"]
    assert (found["imageTagMutability"], found["appliedFor"]) == ("IMMUTABLE", ["CREATE_ON_PUSH"])
    ecr.delete_repository_creation_template(prefix="a")
    for gone in (ecr.delete_repository_creation_template, ecr.update_repository_creation_template):
        with pytest.raises(ClientError, match="TemplateNotFoundException"):
            gone(prefix="a")


@pytest.mark.parametrize(("needs", "status"), [("create-repository", 403), ("nothing", 202)])
def test_which_right_a_creating_push_needs_is_a_switch(launch: Launch, needs: str, status: int) -> None:
    with launch(createOnPushNeeds=needs) as own:
        own.client("ecr").create_repository_creation_template(prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
        assert own.http("POST", "/v2/new/blobs/uploads/", who="pusher").status == status
        assert own.http("POST", "/v2/new/blobs/uploads/", who="ci").status == 202


def test_layers_that_no_image_uses_can_be_purged(world: World) -> None:
    name = world.repository()
    world.pushed(name)
    orphan = world.push_blob(name, b"orphan")["digest"]
    assert world.twin.purge(SOURCE, REGION, name) == 1
    assert world.http("HEAD", f"/v2/{name}/blobs/{orphan}").status == 404
    assert world.http("HEAD", f"/v2/{name}/manifests/v1").status == 200
    assert world.twin.purge(SOURCE, REGION, name) == 0


def test_creating_with_tags_or_under_a_key_takes_rights_beyond_creating(launch: Launch) -> None:
    name, key = "made/with-care", f"arn:aws:kms:{REGION}:{SOURCE}:key/1234"
    through = {"StringLike": {"kms:ViaService": f"ecr.{REGION}.*"}}
    by_alias = through | {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}}
    asked = {
        "repositoryName": name,
        "tags": [{"Key": "team", "Value": "shop"}],
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": key},
    }
    needed = ["ecr:CreateRepository", "ecr:TagResource", "kms:DescribeKey", "kms:CreateGrant", "kms:RetireGrant"]
    with launch() as own:
        for index, action in enumerate(needed):
            with pytest.raises(ClientError, match=f"not authorized to perform: {action}"):
                _as_role(own, needed[:index], through).create_repository(**asked)
        _as_role(own, needed, through).create_repository(**asked)
        aliased = {"encryptionType": "KMS", "kmsKey": "alias/shop"}
        _as_role(own, needed, by_alias).create_repository(
            **asked | {"repositoryName": f"{name}-2", "encryptionConfiguration": aliased}
        )
        with pytest.raises(ClientError, match="kms:DescribeKey"):
            _as_role(own, needed, by_alias).create_repository(**asked | {"repositoryName": f"{name}-3"})


def _as_role(own: World, actions: list[str], condition: dict[str, Any]) -> Any:
    statements = [
        {"Effect": "Allow", "Action": each, "Resource": "*"} | ({"Condition": condition} if "kms" in each else {})
        for each in ["sts:GetCallerIdentity", *actions]
    ]
    root = f"arn:aws:iam::{SOURCE}:root"
    policies = [{"Version": "2012-10-17", "Statement": statements}]
    own.twin.put_role(SOURCE, {"name": "maker", "trust": trust(root), "policies": policies})
    sts = own.client("sts")
    return own.client(
        "ecr",
        session=sts.assume_role(RoleArn=f"arn:aws:iam::{SOURCE}:role/maker", RoleSessionName="maker")["Credentials"],
    )
