from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters
from moto import mock_aws

from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.aws.repositories import creation, ensure
from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import RepositorySettings

ACCOUNT = "123456789012"  # the one moto gives to everybody
HOST = EcrHost(ACCOUNT, "eu-west-1", "aws")
REPOSITORY = Repository(Registry(f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"), "shop/checkout")
SETTINGS = RepositorySettings(
    create=True,
    image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
    exclusions=("sha256-*",),
    scan_on_push=True,
    kms_key="arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    tags={"team": "shop"},
)


def test_every_setting_reaches_aws_in_the_form_its_model_wants() -> None:
    arguments = creation(HOST, REPOSITORY, SETTINGS)
    model = botocore.session.get_session().get_service_model("ecr").operation_model("CreateRepository")
    assert model.input_shape
    validate_parameters(arguments, model.input_shape)
    assert arguments == {
        "registryId": ACCOUNT,
        "repositoryName": "shop/checkout",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "sha256-*"}],
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": SETTINGS.kms_key},
        "tags": [{"Key": "team", "Value": "shop"}],
    }


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with mock_aws():
        yield Clients()


def test_a_repository_is_created_once_and_then_left_alone(clients: Clients) -> None:
    ensure(clients, Identity(), HOST, REPOSITORY, RepositorySettings(create=True))
    ensure(clients, Identity(), HOST, REPOSITORY, SETTINGS)
    found = clients.ecr(Identity(), HOST).describe_repositories(repositoryNames=[REPOSITORY.path])
    assert found["repositories"][0]["imageTagMutability"] == "MUTABLE"


def test_somebody_who_creates_it_in_between_has_done_what_was_wanted(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.ecr(Identity(), HOST)
    describe = client.describe_repositories

    def describe_and_lose_the_race(**arguments: Any) -> Any:
        try:
            return describe(**arguments)
        finally:
            client.create_repository(repositoryName=REPOSITORY.path)

    monkeypatch.setattr(client, "describe_repositories", describe_and_lose_the_race)
    ensure(clients, Identity(), HOST, REPOSITORY, SETTINGS)


def test_a_missing_repository_that_may_not_be_created_needs_a_human(clients: Clients) -> None:
    with pytest.raises(NeedsHuman) as caught:
        ensure(clients, Identity(), HOST, REPOSITORY, RepositorySettings(create=False))
    assert caught.value.reason is Reason.REPOSITORY_MISSING
    assert str(REPOSITORY) in caught.value.message
