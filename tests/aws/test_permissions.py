"""The permissions that are asked for are those that are needed: each test's principals have them and no others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.conftest import ACCOUNTS, Aws
from aws.fleet import DEVELOPMENT, PRODUCTION, build, desk, requests, unhurried
from ecr_twin import Twin
from oci.images import multi_arch
from transship.actions import ACTIONS
from transship.aws.permissions import CREATE, DESTINATION, PULL, SOURCE, TOKEN, Permission, document
from transship.errors import Reason
from transship.oci.reference import Repository
from transship.promotion.status import Phase

PATH = "shop/checkout"
HERE, THERE = Repository.of(DEVELOPMENT, PATH), Repository.of(PRODUCTION, PATH)
Allowed = Callable[..., Any]


def without(permissions: tuple[Permission, ...], action: str) -> tuple[Permission, ...]:
    return tuple(
        Permission(each.purpose, tuple(name for name in each.actions if name != action), each.everywhere)
        for each in permissions
        if each.actions != (action,)
    )


@pytest.fixture
def allowed(distribution_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Allowed:
    """A twin on which the controller may do what a table says, with an image in development."""

    @contextmanager
    def start(
        source: tuple[Permission, ...], destination: tuple[Permission, ...], layer_bytes: int = 100_000
    ) -> Iterator[Aws]:
        accounts = yaml.safe_load(ACCOUNTS.read_text())
        controller = accounts["accounts"]["222222222222"]["users"][0]
        controller["policies"] = [document(source, HERE), document(destination, THERE)]
        with Twin(accounts, tmp_path / "state", distribution_binary) as twin:
            aws = Aws(twin, monkeypatch, [])
            aws.ecr("ci").create_repository(repositoryName=PATH)
            aws.set_policy(PATH, PULL.shared("arn:aws:iam::222222222222:root"))
            build(aws.act_as("ci", quotas=unhurried()), PATH, {"v1": multi_arch(layer_bytes=layer_bytes)})
            yield aws
            for client in aws.clients:
                client.close()

    return start


def promoted(aws: Aws) -> Any:
    direct = {"registry": str(DEVELOPMENT)}
    request = desk(aws.act_as("transship-controller", quotas=unhurried()), [(PATH, "v1")], source=direct)
    aws.twin.ledger.reset()
    request.look()
    return request


def test_an_image_is_promoted_with_the_permissions_of_the_tables_and_calls_nothing_else(allowed: Allowed) -> None:
    with allowed(SOURCE, (*DESTINATION, CREATE)) as aws:
        request = promoted(aws)
        assert request.status.phase is Phase.PROMOTED, request.status.ready
        called = {each for each in requests(aws.twin) if each.startswith("ecr:")}
        granted = {action for each in (*SOURCE, *DESTINATION, CREATE) for action in each.actions}
        # Whoever has ecr:BatchGetImage may ask for referrers as well (facts §1).
        assert called - {"ecr:ListImageReferrers"} <= granted


@pytest.mark.parametrize(
    "action",
    [
        *(action for each in (TOKEN, *DESTINATION) for action in each.actions if action != "ecr:BatchGetImage"),
        "ecr:CreateRepository",
    ],
)
def test_none_of_them_can_be_spared_at_the_destination(allowed: Allowed, action: str) -> None:
    source = without(SOURCE, action) if action == "ecr:GetAuthorizationToken" else SOURCE
    with allowed(source, without((*DESTINATION, CREATE), action)) as aws:
        request = promoted(aws)
        assert request.status.phase is Phase.STALLED
        image = request.status.images[0]
        assert image.reason == Reason.DENIED
        assert f"may not {action}" in image.message
        assert f'"Action":"{action}"' in image.message


def test_a_layer_in_parts_that_may_not_be_uploaded_is_told_with_its_statement(allowed: Allowed) -> None:
    """Small layers go in one request, which takes the same right."""
    action = "ecr:UploadLayerPart"
    with allowed(SOURCE, without((*DESTINATION, CREATE), action), layer_bytes=3_000_000) as aws:
        request = promoted(aws)
        image = request.status.images[0]
        assert (request.status.phase, image.reason) == (Phase.STALLED, Reason.DENIED)
        assert image.message.startswith("destination push blob: ")
        assert f":user/transship-controller may not {action} on arn:aws:ecr:eu-west-1:222222222222:" in image.message
        assert f'"Action":"{action}"' in image.message
        assert f"it is needed to {ACTIONS[action].why}" in image.message
        assert requests(aws.twin)["ecr:PutImage"] == 0
