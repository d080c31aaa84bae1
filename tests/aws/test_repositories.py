"""Destination repositories on the ECR twin: made as wanted, compared, mended where the policy says so."""

import json
import threading
import uuid
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from aws.conftest import PRODUCTION, REGION, Aws
from aws.test_source_access import SID, host, policy
from oci.store_contract import TAG
from transship.aws.hosts import EcrHost
from transship.aws.repositories import Observed, compare, creation
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, Side
from transship.oci.reference import Registry, Repository
from transship.promotion.desired import Encryption, RepositorySettings
from transship.promotion.policy import PromotionPolicy

HOST = EcrHost(PRODUCTION, REGION, "aws")
KEY = f"arn:aws:kms:{REGION}:{PRODUCTION}:key/00000000-0000-0000-0000-000000000000"
ARN = f"arn:aws:ecr:{REGION}:{PRODUCTION}:repository/shop/checkout"
LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 100},
                "action": {"type": "expire"},
            }
        ]
    }
)
STATEMENT = {"Sid": "Pull", "Effect": "Allow", "Principal": {"AWS": "333333333333"}, "Action": ["ecr:BatchGetImage"]}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
EVERYTHING = {
    "create": True,
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "exclusions": ["sha256-*", "dev-*"],
    "scanOnPush": True,
    "encryption": {"type": "KMS", "kmsKey": KEY},
    "lifecyclePolicy": LIFECYCLE,
    "policy": POLICY,
    "tags": {"team": "shop"},
}


def wanted(**settings: Any) -> PromotionPolicy:
    return policy(destinationRepository={"create": True, **settings}, sourceAccess={"managePolicy": False})


def there(path: str) -> Repository:
    return Repository(Registry(host(PRODUCTION)), path)


@pytest.fixture
def path() -> str:
    return f"shop/checkout-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def controller(aws: Aws) -> AwsRegistries:
    return aws.act_as("transship-controller")


def described(aws: Aws, path: str) -> dict[str, Any]:
    found = aws.ecr("transship-controller").describe_repositories(repositoryNames=[path])["repositories"][0]
    return dict(found)


def drifts(registries: AwsRegistries, asked: PromotionPolicy, *names: str) -> tuple[str, str]:
    """Reason and message of the condition DestinationRepositories."""
    found = registries.upkeep.look(asked, names).standings
    standing = next(each for each in found if each.condition == "DestinationRepositories")
    assert (standing.status == "True") == (standing.reason == "AsWanted")
    return standing.reason, standing.message


# --- making


def test_every_setting_reaches_aws_in_the_form_its_model_wants() -> None:
    settings = wanted(**EVERYTHING).destination_repository
    arguments = creation(HOST, there("shop/checkout"), settings)
    model = botocore.session.get_session().get_service_model("ecr").operation_model("CreateRepository")
    assert model.input_shape
    validate_parameters(arguments, model.input_shape)
    assert arguments == {
        "registryId": PRODUCTION,
        "repositoryName": "shop/checkout",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [
            {"filterType": "WILDCARD", "filter": "sha256-*"},
            {"filterType": "WILDCARD", "filter": "dev-*"},
        ],
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": KEY},
        "tags": [{"Key": "team", "Value": "shop"}],
    }


def test_what_the_policy_does_not_name_is_left_to_ecr() -> None:
    assert creation(HOST, there("shop/checkout"), RepositorySettings(create=True)) == {
        "registryId": PRODUCTION,
        "repositoryName": "shop/checkout",
    }


@pytest.mark.twin
def test_a_new_repository_has_every_setting_also_those_that_cannot_be_given_at_birth(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    controller.ensure_repository(wanted(**EVERYTHING), there(path))
    ecr, found = aws.ecr("transship-controller"), described(aws, path)
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert {each["filter"] for each in found["imageTagMutabilityExclusionFilters"]} == {"sha256-*", "dev-*"}
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": KEY}
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=path)["lifecyclePolicyText"]) == json.loads(LIFECYCLE)
    assert json.loads(ecr.get_repository_policy(repositoryName=path)["policyText"])["Statement"][0]["Sid"] == "Pull"
    assert ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == [{"Key": "team", "Value": "shop"}]
    assert drifts(controller, parse_for(wanted(**EVERYTHING), path), path) == ("AsWanted", "1 repository as wanted")


@pytest.mark.twin
@pytest.mark.parametrize("mode", ["MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"])
@pytest.mark.parametrize("encryption", ["AES256", "KMS", "KMS_DSSE"])
def test_every_mode_and_encryption_is_made_and_is_then_as_wanted(
    aws: Aws, controller: AwsRegistries, path: str, mode: str, encryption: str
) -> None:
    exclusions = {"exclusions": ["v*-rc"]} if mode.endswith("_WITH_EXCLUSION") else {}
    asked = wanted(imageTagMutability=mode, encryption={"type": encryption}, **exclusions)
    asked_of_one = parse_for(asked, path)
    controller.ensure_repository(asked_of_one, there(path))
    found = described(aws, path)
    assert (found["imageTagMutability"], found["encryptionConfiguration"]["encryptionType"]) == (mode, encryption)
    assert drifts(controller, asked_of_one, path) == ("AsWanted", "1 repository as wanted")


def parse_for(asked: PromotionPolicy, *paths: str) -> PromotionPolicy:
    """The same policy for these repositories only: the tests share one registry."""
    settings = asked.destination_repository
    narrowed = policy(repositories=list(paths), sourceAccess={"managePolicy": False})
    return PromotionPolicy(
        "shop",
        narrowed.source,
        narrowed.destination,
        narrowed.namespaces,
        narrowed.repositories,
        destination_repository=settings,
    )


@pytest.mark.twin
def test_a_policy_that_names_no_setting_has_nothing_to_compare(aws: Aws, controller: AwsRegistries) -> None:
    before = aws.twin.ledger.total(action="ecr:DescribeRepositories").requests
    found = controller.upkeep.look(wanted(), ["shop/checkout"])
    assert [each.condition for each in found.standings] == ["Identities"]
    assert aws.twin.ledger.total(action="ecr:DescribeRepositories").requests == before


@pytest.mark.twin
def test_many_who_make_it_at_once_all_find_it_made(aws: Aws, path: str) -> None:
    several = [aws.act_as("transship-controller") for _ in range(4)]
    start, failures = threading.Barrier(len(several)), []

    def make(registries: AwsRegistries) -> None:
        start.wait(10)
        try:
            registries.ensure_repository(wanted(imageTagMutability="IMMUTABLE", tags={"team": "shop"}), there(path))
        except Exception as error:  # noqa: BLE001 - it belongs to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=make, args=(each,)) for each in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert described(aws, path)["imageTagMutability"] == "IMMUTABLE"


@pytest.mark.twin
def test_who_is_faster_but_makes_it_otherwise_is_found_out(aws: Aws, controller: AwsRegistries, path: str) -> None:
    asked, told = parse_for(wanted(imageTagMutability="IMMUTABLE", lifecyclePolicy=LIFECYCLE), path), []
    controller.upkeep.tell(told.append)

    def make_it_first(**_: Any) -> None:
        aws.ecr("transship-controller").create_repository(repositoryName=path)

    identity = controller.source_access.open(asked, there(path)).client  # the same cached client: one identity
    identity.meta.events.register_first("before-call.ecr.CreateRepository", make_it_first)
    controller.ensure_repository(asked, there(path))
    assert told == ["shop"]
    assert drifts(controller, asked, path) == (
        "Drift",
        f"{path}: imageTagMutability is MUTABLE, wanted IMMUTABLE",
    )


@pytest.mark.twin
def test_a_missing_repository_that_may_not_be_created_needs_a_human(controller: AwsRegistries, path: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        controller.ensure_repository(wanted(create=False), there(path))
    assert (caught.value.reason, caught.value.side) == (Reason.REPOSITORY_MISSING, Side.DESTINATION)
    assert str(there(path)) in caught.value.message


# --- comparing


@pytest.mark.parametrize(
    ("settings", "observed", "fields"),
    [
        ({}, {"mutability": "IMMUTABLE", "scan_on_push": True, "tags": {"a": "b"}}, []),
        ({"imageTagMutability": "MUTABLE"}, {"mutability": "IMMUTABLE"}, ["imageTagMutability"]),
        (
            {"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "exclusions": ["a*"]},
            {"mutability": "MUTABLE_WITH_EXCLUSION", "exclusions": frozenset({"b*"})},
            ["imageTagMutability"],
        ),
        (
            {"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "exclusions": ["a*", "b*"]},
            {"mutability": "MUTABLE_WITH_EXCLUSION", "exclusions": frozenset({"b*", "a*"})},
            [],
        ),
        ({"scanOnPush": False}, {"scan_on_push": True}, ["scanOnPush"]),
        ({"encryption": {}}, {"encryption": Encryption("KMS", KEY)}, ["encryption"]),
        ({"encryption": {"type": "KMS"}}, {"encryption": Encryption("KMS", KEY)}, []),
        ({"encryption": {"type": "KMS", "kmsKey": KEY.rpartition("/")[2]}}, {"encryption": Encryption("KMS", KEY)}, []),
        ({"encryption": {"type": "KMS", "kmsKey": "alias/x"}}, {"encryption": Encryption("KMS", KEY)}, []),
        ({"encryption": {"type": "KMS", "kmsKey": KEY + "1"}}, {"encryption": Encryption("KMS", KEY)}, ["encryption"]),
        ({"encryption": {"type": "KMS_DSSE"}}, {"encryption": Encryption("KMS", KEY)}, ["encryption"]),
        ({"lifecyclePolicy": LIFECYCLE}, {"lifecycle_policy": json.dumps(json.loads(LIFECYCLE), indent=2)}, []),
        ({"lifecyclePolicy": LIFECYCLE}, {"lifecycle_policy": LIFECYCLE.replace("100", "99")}, ["lifecyclePolicy"]),
        ({"lifecyclePolicy": LIFECYCLE}, {}, ["lifecyclePolicy"]),
        ({"policy": POLICY}, {"policy": POLICY.replace('"333333333333"', '["arn:aws:iam::333333333333:root"]')}, []),
        ({"policy": POLICY}, {"policy": POLICY.replace("Allow", "Deny")}, ["policy"]),
        ({"policy": POLICY}, {}, ["policy"]),
        ({"tags": {"team": "shop"}}, {"tags": {"team": "shop", "cost": "1"}}, []),
        ({"tags": {"team": "shop"}}, {"tags": {"team": "billing"}}, ["tags"]),
    ],
)
def test_only_what_is_named_and_means_something_else_is_drift(
    settings: dict[str, Any], observed: dict[str, Any], fields: list[str]
) -> None:
    found = compare(Observed(ARN, **observed), wanted(**settings).destination_repository)
    assert [each.field for each in found] == fields


@pytest.mark.twin
def test_drift_is_reported_with_what_is_there_and_nothing_is_changed(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    before = described(aws, path)
    asked = parse_for(wanted(**EVERYTHING), path)
    reason, message = drifts(controller, asked, path)
    assert reason == "Drift"
    assert f"{path}: imageTagMutability is MUTABLE, wanted IMMUTABLE_WITH_EXCLUSION except dev-*, sha256-*" in message
    assert f"{path}: encryption is AES256, wanted KMS with {KEY} (it is fixed when a repository is created" in message
    controller.ensure_repository(asked, there(path))
    assert described(aws, path) == before


@pytest.mark.twin
def test_drift_is_mended_when_the_policy_says_so_except_what_nobody_can_change(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    ecr = aws.ecr("transship-controller")
    ecr.create_repository(repositoryName=path, tags=[{"Key": "cost", "Value": "1"}])
    asked = parse_for(wanted(**EVERYTHING, drift="Mend"), path)
    reason, message = drifts(controller, asked, path)
    assert (reason, message.count("wanted")) == ("Drift", 1)
    assert message.startswith(f"{path}: encryption is AES256")
    assert "delete the repository and promote again" in message
    found = described(aws, path)
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=path)["lifecyclePolicyText"]) == json.loads(LIFECYCLE)
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert {each["Key"]: each["Value"] for each in tags} == {"cost": "1", "team": "shop"}
    no_key = parse_for(wanted(**{**EVERYTHING, "encryption": {}}, drift="Mend"), path)
    assert drifts(controller, no_key, path) == ("AsWanted", "1 repository as wanted")


@pytest.mark.twin
def test_a_promotion_mends_what_it_finds(aws: Aws, controller: AwsRegistries, path: str) -> None:
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    controller.ensure_repository(wanted(imageTagMutability="IMMUTABLE", drift="Mend"), there(path))
    assert described(aws, path)["imageTagMutability"] == "IMMUTABLE"


@pytest.mark.twin
def test_a_repository_that_is_the_next_environments_source_keeps_that_statement(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    ecr = aws.ecr("transship-controller")
    ecr.create_repository(repositoryName=path)
    ours = {**STATEMENT, "Sid": SID}
    text = json.dumps({"Version": "2012-10-17", "Statement": [ours, {**STATEMENT, "Sid": "Old"}]})
    ecr.set_repository_policy(repositoryName=path, policyText=text)
    asked = parse_for(wanted(policy=POLICY, drift="Mend"), path)
    assert drifts(controller, asked, path)[0] == "AsWanted"
    found = json.loads(ecr.get_repository_policy(repositoryName=path)["policyText"])["Statement"]
    assert sorted(each["Sid"] for each in found) == ["Pull", SID]


@pytest.mark.twin
def test_every_repository_that_matches_is_looked_at_and_no_other(
    aws: Aws, controller: AwsRegistries, path: str
) -> None:
    names = [path, f"{path}-2", f"billing/{path}"]
    for name in names:
        aws.ecr("transship-controller").create_repository(repositoryName=name)
    asked = parse_for(wanted(imageTagMutability="IMMUTABLE"), f"{path}*")
    _, message = drifts(controller, asked)
    assert sorted(each.split(":")[0] for each in message.split("; ")) == names[:2]


@pytest.mark.twin
def test_many_differences_do_not_flood_the_status(aws: Aws, controller: AwsRegistries, path: str) -> None:
    for number in range(8):
        aws.ecr("transship-controller").create_repository(repositoryName=f"{path}-{number}")
    _, message = drifts(controller, parse_for(wanted(imageTagMutability="IMMUTABLE"), f"{path}-*"))
    assert message.endswith("; and 3 more")
    assert message.count(path) == 5


@pytest.mark.twin
def test_who_may_not_list_looks_at_what_was_promoted_and_who_may_not_mend_says_so(aws: Aws, path: str) -> None:
    aws.ecr("transship-controller").create_repository(repositoryName=path)
    careful = aws.act_as("careful")
    asked = parse_for(wanted(imageTagMutability="IMMUTABLE", drift="Mend"), path)
    reason, message = drifts(careful, asked, path)
    assert reason == "Drift"
    assert "user/careful may not ecr:PutImageTagMutability" in message
    careful.ensure_repository(asked, there(path))  # the image comes all the same


@pytest.mark.twin
def test_a_repository_that_is_gone_again_is_made_again(aws: Aws, controller: AwsRegistries, path: str) -> None:
    controller.ensure_repository(wanted(), there(path))
    aws.ecr("transship-controller").delete_repository(repositoryName=path)
    assert controller.destination(wanted(), there(path)).resolve_all([TAG]) == {TAG: None}, "which every promotion asks"
    controller.ensure_repository(wanted(), there(path))
    assert described(aws, path)["repositoryName"] == path
