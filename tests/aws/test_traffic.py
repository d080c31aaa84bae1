"""ECR's rates, kept against a twin that has them: three times the published ones, so that the tests are quick."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.conftest import ACCOUNTS, REGION, Aws
from aws.fleet import Heard, build, desks, holds, requests, small_images, unhurried
from ecr_twin import Twin
from oci.images import Content
from transship.aws.hosts import EcrHost
from transship.aws.identity import Identity
from transship.aws.quotas import SHARE, Place, Quotas, Rates, Turn
from transship.cli.registries import AwsRegistries
from transship.promotion.status import Phase

SCALE = 3
PATH = "shop/checkout"
IMAGES = small_images(100)
Limited = Callable[..., Any]


@pytest.fixture(scope="module")
def filled(distribution_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a twin that holds IMAGES in development, filled while there were no limits."""
    folder = tmp_path_factory.mktemp("filled") / "state"
    with pytest.MonkeyPatch.context() as patch, Twin(accounts(), folder, distribution_binary) as twin:
        aws = Aws(twin, patch, [])
        aws.ecr("ci").create_repository(repositoryName=PATH)
        build(aws.act_as("ci", quotas=unhurried()), PATH, IMAGES)
        _close(aws)
    return folder


def accounts() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(ACCOUNTS.read_text())
    return read


@pytest.fixture
def limited(
    filled: Path, distribution_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Start a twin with limits and a copy of that state."""

    @contextmanager
    def start(profile: Mapping[str, Any] | None = None, **limits: Any) -> Iterator[Aws]:
        shutil.copytree(filled, tmp_path / "state", ignore=shutil.ignore_patterns("*.sock"))
        paced = accounts() | {"limits": {"scale": SCALE, **limits}, "profile": profile or {}}
        with Twin(paced, tmp_path / "state", distribution_binary) as twin:
            aws = Aws(twin, monkeypatch, [])
            yield aws
            _close(aws)

    return start


def _close(aws: Aws) -> None:
    for client in aws.clients:
        client.close()


def registries(aws: Aws, scale: float) -> tuple[AwsRegistries, Heard]:
    heard = Heard()
    quotas = Quotas(Rates(scale))
    return aws.act_as("transship-controller", quotas=quotas, observer=heard), heard


def promote(given: AwsRegistries, images: dict[str, Content]) -> set[Phase]:
    """Two requests at the same time, looked at again until they have ended, as the operator does."""
    requested = desks(given, PATH, list(images))

    def look(desk: Any) -> Phase:
        for _ in range(10):
            desk.look()
            if desk.status.phase is not Phase.RETRYING:
                break
        phase: Phase = desk.status.phase
        return phase

    with ThreadPoolExecutor(len(requested)) as pool:
        return set(pool.map(look, requested))


def test_a_hundred_images_at_the_default_rates_are_never_throttled_and_put_once_each(limited: Limited) -> None:
    """The published rates times three, and so are those that are kept: only the test's time is shorter."""
    with limited() as aws:
        given, heard = registries(aws, SHARE * SCALE)
        aws.twin.ledger.reset()
        assert promote(given, IMAGES) == {Phase.PROMOTED}
        assert heard.throttled == 0
        assert requests(aws.twin, account="222222222222")["ecr:PutImage"] == len(IMAGES)
        assert heard.milliseconds["222222222222.dkr.ecr.eu-west-1.amazonaws.com"] > 0, "there was something to wait for"


def test_whoever_asks_too_fast_is_throttled_and_learns_and_nothing_is_lost(limited: Limited) -> None:
    some = dict(list(IMAGES.items())[:60])
    with limited({"retryAfterSeconds": 1}, rates={"PutImage": 14}) as aws:
        given, heard = registries(aws, SHARE * SCALE)
        assert promote(given, some) == {Phase.PROMOTED}
        assert 0 < heard.throttled < len(some)
        calm = registries(aws, 0.9)[0]
        assert all(holds(calm, PATH, tag, content) for tag, content in list(some.items())[::20])


def test_a_call_that_names_no_registry_counts_for_the_account_of_its_resource_or_of_its_role(aws: Aws) -> None:
    places: list[Place] = []

    class Noting(Quotas):
        def take(self, place: Place) -> Turn:
            places.append(place)
            return super().take(place)

    path, host = aws.repository(), EcrHost("111111111111", REGION, "aws")
    clients = aws.act_as("ci", quotas=Noting())._clients
    arn = f"arn:aws:ecr:{REGION}:111111111111:repository/{path}"
    clients.ecr(Identity(), host).list_tags_for_resource(resourceArn=arn)
    own = aws.act_as("transship-controller", quotas=Noting())._clients
    role = Identity("arn:aws:iam::111111111111:role/transship-source", "transship-example", "test")
    own.ecr(role, host).get_authorization_token()
    assert places == [
        Place("111111111111", REGION, "ListTagsForResource"),
        Place("111111111111", REGION, "GetAuthorizationToken"),
    ]


def test_calls_of_the_ecr_api_are_paced_and_counted_attempt_for_attempt(limited: Limited) -> None:
    with limited(rates={"BatchGetImage": 1}) as aws:
        given, heard = registries(aws, 1000.0)
        assert promote(given, dict(list(IMAGES.items())[:1])) == {Phase.PROMOTED}
        assert heard.answers["BatchGetImage", 429] > 0
        assert heard.answers["BatchGetImage", 200] > 0
        assert heard.milliseconds["222222222222.dkr.ecr.eu-west-1.amazonaws.com"] > 500, "the next attempt waited"
