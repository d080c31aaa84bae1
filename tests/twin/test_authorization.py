"""A5 to A7: what policies let through, on both faces."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from twin.clients import DESTINATION, SOURCE, STRANGER, Launch, World, document, grant

pytestmark = pytest.mark.twin
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")


@pytest.fixture(scope="module")
def source(world: World) -> str:
    name = world.repository("source")
    world.pushed(name)
    return name


def pull(world: World, name: str, who: str = "promoter") -> Any:
    return world.crane("pull", world.reference(name), str(world.folder / "pulled.tar"), who=who)


def set_policy(world: World, name: str, *statements: dict[str, Any]) -> None:
    world.client("ecr").set_repository_policy(repositoryName=name, policyText=document(*statements))


def test_another_account_pulls_only_once_the_repository_policy_allows_it(world: World, source: str) -> None:
    refused = pull(world, source)
    assert refused.returncode != 0
    assert "DENIED" in refused.stderr
    resource = f"arn:aws:ecr:eu-west-1:{SOURCE}:repository/{source}"
    sentence = (
        f"user/promoter is not authorized to perform: ecr:BatchGetImage on resource: {resource} because no resource"
    )
    assert sentence in refused.stderr
    set_policy(world, source, grant({"AWS": f"arn:aws:iam::{DESTINATION}:root"}, *PULL))
    allowed = pull(world, source)
    assert allowed.returncode == 0, allowed.stderr


def test_the_api_honours_the_registry_id_and_its_policy(world: World, source: str) -> None:
    ecr = world.client("ecr", "promoter")
    arguments = {"registryId": SOURCE, "repositoryName": source, "imageIds": [{"imageTag": "v1"}]}
    world.client("ecr").set_repository_policy(
        repositoryName=source, policyText=document(grant({"AWS": DESTINATION}, "ecr:ListImages"))
    )
    with pytest.raises(ClientError, match=r"AccessDeniedException.*no resource-based policy allows"):
        ecr.batch_get_image(**arguments)
    set_policy(world, source, grant({"AWS": DESTINATION}, *PULL))
    assert ecr.batch_get_image(**arguments)["images"][0]["registryId"] == SOURCE


def test_an_explicit_deny_wins(world: World, source: str) -> None:
    everyone = grant("*", *PULL)
    set_policy(world, source, everyone)
    assert pull(world, source).returncode == 0
    set_policy(world, source, everyone, grant({"AWS": DESTINATION}, "ecr:BatchGetImage", effect="Deny"))
    refused = pull(world, source)
    assert "with an explicit deny in a resource-based policy" in refused.stderr
    assert pull(world, source, who="stranger").returncode == 0


def test_the_caller_needs_an_identity_policy_of_its_own(world: World) -> None:
    name = world.repository("theirs", who="promoter")
    world.client("ecr", "promoter").set_repository_policy(
        repositoryName=name, policyText=document(grant({"AWS": SOURCE}, "ecr:*"))
    )
    with pytest.raises(ClientError, match="no identity-based policy allows the ecr:ListImages action"):
        world.client("ecr", "reader").list_images(registryId=DESTINATION, repositoryName=name)


def test_within_an_account_either_policy_is_enough(world: World, source: str) -> None:
    ecr, arguments = world.client("ecr", "nobody"), {"repositoryName": source}
    set_policy(world, source, grant({"AWS": f"arn:aws:iam::{SOURCE}:root"}, "ecr:ListImages"))
    with pytest.raises(ClientError, match="no identity-based policy"):  # the account as principal delegates only
        ecr.list_images(**arguments)
    set_policy(world, source, grant({"AWS": f"arn:aws:iam::{SOURCE}:user/nobody"}, "ecr:ListImages"))
    assert ecr.list_images(**arguments)["imageIds"]


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-shop"}}, {"promoter"}),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{STRANGER}:user/str*"}}, {"stranger"}),
        ({"StringLike": {"aws:PrincipalArn": "*user/*"}}, {"promoter", "stranger"}),
        ({"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{DESTINATION}:role/*"}}, set()),
    ],
)
def test_conditions_narrow_who_is_meant(
    world: World, source: str, condition: dict[str, Any], allowed: set[str]
) -> None:
    set_policy(world, source, grant("*", "ecr:ListImages", **condition))
    for who in ("promoter", "stranger"):
        status = world.http("GET", f"/v2/{source}/tags/list", who=who).status
        assert (status == 200) == (who in allowed)


def test_a_policy_that_would_not_be_evaluated_is_not_stored(world: World, source: str) -> None:
    for statement in (
        grant("*", "ecr:ListImages", Bool={"aws:SecureTransport": "true"}),
        grant("*", "ecr:ListImages") | {"Resource": "*"},
        grant({"AWS": f"arn:aws:iam::{DESTINATION}:role/not-there"}, "ecr:ListImages"),
    ):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            set_policy(world, source, statement)


def test_a_policy_is_handed_back_with_the_same_meaning(world: World, source: str) -> None:
    text = document(grant({"AWS": DESTINATION}, *PULL))
    ecr = world.client("ecr")
    ecr.set_repository_policy(repositoryName=source, policyText=text)
    returned = ecr.get_repository_policy(repositoryName=source)["policyText"]
    assert json.loads(returned) == json.loads(text)
    assert returned != text
    ecr.delete_repository_policy(repositoryName=source)
    with pytest.raises(ClientError, match="RepositoryPolicyNotFoundException"):
        ecr.get_repository_policy(repositoryName=source)


def test_a_policy_that_locks_its_author_out_needs_force(world: World) -> None:
    name, ecr = world.repository(), world.client("ecr")
    text = document(grant("*", "ecr:SetRepositoryPolicy", effect="Deny"))
    with pytest.raises(ClientError, match="InvalidParameterException"):
        ecr.set_repository_policy(repositoryName=name, policyText=text)
    ecr.set_repository_policy(repositoryName=name, policyText=text, force=True)
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        ecr.set_repository_policy(repositoryName=name, policyText=text)


@pytest.mark.parametrize(("answer", "status"), [("denied", 403), ("not-found", 404)])
def test_a_missing_repository_of_another_account_is_a_switch(launch: Launch, answer: str, status: int) -> None:
    with launch(missingRepositoryAcrossAccounts=answer) as own:
        assert own.http("GET", "/v2/nothing/tags/list", who="promoter").status == status
        assert own.http("GET", "/v2/nothing/tags/list", who="ci").status == 404


def test_a_new_policy_spreads_later(launch: Launch) -> None:
    with launch(policyLagSeconds=5) as own:
        own.clock.stopped = True
        name, ecr = own.repository(), own.client("ecr")
        path = f"/v2/{name}/tags/list"
        set_policy(own, name, grant({"AWS": DESTINATION}, "ecr:ListImages"))
        assert ecr.get_repository_policy(repositoryName=name)["policyText"]
        assert own.http("GET", path, who="promoter").status == 403
        own.clock.ahead += 5
        assert own.http("GET", path, who="promoter").status == 200
        ecr.delete_repository_policy(repositoryName=name)
        assert own.http("GET", path, who="promoter").status == 200
        own.clock.ahead += 5
        assert own.http("GET", path, who="promoter").status == 403
