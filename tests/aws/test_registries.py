"""A policy's two registries, each reached as that policy says (on the ECR twin)."""

import os
import uuid

import pytest

from localworld.accounts import Identity, identities
from localworld.registries import Registries
from oci.images import image, multi_arch
from oci.store_contract import TAG, push
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason, Side, TransshipError
from transship.oci.closure import closure
from transship.oci.copier import Copier
from transship.oci.copy import copy, missing, prove
from transship.oci.reference import Registry, Repository
from transship.promotion.policy import Endpoint, NamespaceSelector, PromotionPolicy, RepositorySettings

DEVELOPMENT = Registry("111111111111.dkr.ecr.eu-west-1.amazonaws.com")
PRODUCTION = Registry("222222222222.dkr.ecr.eu-west-1.amazonaws.com")
ROLE = "arn:aws:iam::111111111111:role/transship-source"
EXTERNAL_ID = "transship-example"


def policy(source: Endpoint, destination: Registry, *, create: bool = True) -> PromotionPolicy:
    settings = RepositorySettings(create=create, image_tag_mutability="IMMUTABLE")
    nobody = NamespaceSelector()
    return PromotionPolicy("shop", source, Endpoint(destination), nobody, (), destination_repository=settings)


PROMOTION = policy(Endpoint(DEVELOPMENT, "", ROLE, EXTERNAL_ID), PRODUCTION)
BUILD = policy(Endpoint(PRODUCTION), DEVELOPMENT)


def registries_as(identity: Identity, twin: Registries, monkeypatch: pytest.MonkeyPatch) -> AwsRegistries:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in twin.environment(identity).items():
        monkeypatch.setenv(name, value)
    return AwsRegistries(ca_file=twin.certificate_authority)


@pytest.fixture
def path() -> str:
    return f"shop/checkout-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def built(twin: Registries, path: str, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository in development that holds a multi-arch image under `TAG`."""
    registries = registries_as(identities()["ci"], twin, monkeypatch)
    repository = Repository.of(DEVELOPMENT, path)
    registries.ensure_repository(BUILD, repository)
    push(registries.destination(BUILD, repository), multi_arch(), TAG)
    return repository


@pytest.fixture
def registries(built: Repository, twin: Registries, monkeypatch: pytest.MonkeyPatch) -> AwsRegistries:
    return registries_as(identities()["transship-controller"], twin, monkeypatch)


def test_an_image_is_promoted_from_account_to_account(registries: AwsRegistries, built: Repository) -> None:
    there = Repository.of(PRODUCTION, built.path)
    source, destination = registries.source(PROMOTION, built), registries.destination(PROMOTION, there)
    found = source.resolve(TAG)
    assert found == multi_arch().root.descriptor
    whole = closure(source, found.digest, Copier())
    registries.ensure_repository(PROMOTION, there)
    report = copy(source, destination, whole, missing(destination, whole, Copier()), Copier(), tag=TAG)
    prove(destination, whole, TAG, Copier())
    assert (report.blobs_copied, report.manifests_copied) == (5, 3)
    again = copy(source, destination, whole, missing(destination, whole, Copier()), Copier(), tag=TAG)
    assert again.bytes_copied == 0


def test_an_immutable_tag_at_another_digest_is_a_conflict(registries: AwsRegistries, built: Repository) -> None:
    there = Repository.of(PRODUCTION, built.path)
    registries.ensure_repository(PROMOTION, there)
    destination = registries.destination(PROMOTION, there)
    push(destination, multi_arch(), TAG)
    with pytest.raises(NeedsHuman) as caught:
        push(destination, image([b"another"]), TAG)
    assert caught.value.reason is Reason.TAG_CONFLICT


def test_without_the_role_the_source_is_denied_and_the_message_says_what_is_missing(
    registries: AwsRegistries, built: Repository
) -> None:
    with pytest.raises(NeedsHuman) as caught:
        registries.source(policy(Endpoint(DEVELOPMENT), PRODUCTION), built).resolve(TAG)
    assert caught.value.reason is Reason.DENIED
    assert "user/transship-controller may not ecr:BatchGetImage" in caught.value.message
    assert built.path in caught.value.message


def test_a_role_with_the_wrong_external_id_is_denied_at_the_side_it_is_for(
    registries: AwsRegistries, built: Repository
) -> None:
    wrong = policy(Endpoint(DEVELOPMENT, "", ROLE, "guess"), PRODUCTION)
    with pytest.raises(NeedsHuman) as caught:
        registries.source(wrong, built).resolve(TAG)
    assert (caught.value.reason, caught.value.side) == (Reason.DENIED, Side.SOURCE)
    assert f"may not sts:AssumeRole on {ROLE}" in caught.value.message


def test_a_repository_that_may_not_be_created_is_named(registries: AwsRegistries, path: str) -> None:
    there = Repository.of(PRODUCTION, f"{path}-none")
    careful = policy(Endpoint(DEVELOPMENT), PRODUCTION, create=False)
    with pytest.raises(NeedsHuman) as caught:
        registries.ensure_repository(careful, there)
    assert (caught.value.reason, caught.value.side) == (Reason.REPOSITORY_MISSING, Side.DESTINATION)
    assert str(there) in caught.value.message


def test_a_registry_that_is_not_ecr_needs_no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "there-is-no-such-profile")
    monkeypatch.setenv("NO_PROXY", "localhost")
    local = Registry("localhost:1")
    plain = policy(Endpoint(local), local)
    registries = AwsRegistries(plain_http=[local.host])
    registries.ensure_repository(plain, Repository.of(local, "shop/checkout"))
    with pytest.raises(TransshipError) as caught:
        registries.source(plain, Repository.of(local, "shop/checkout")).resolve(TAG)
    assert caught.value.reason is Reason.UNREACHABLE
