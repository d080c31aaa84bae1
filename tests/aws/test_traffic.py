"""ECR's rates, kept against a twin that has them: three times the published ones, so that the tests are quick."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws.conftest import ACCOUNTS, Aws
from aws.fleet import Heard, build, desks, holds, requests, small_images, unhurried
from ecr_twin import Twin
from oci.images import Content
from transship.aws.quotas import SHARE, Quotas, Rates
from transship.cli.registries import AwsRegistries
from transship.promotion.status import Phase

SCALE = 3
PATH = "shop/checkout"
IMAGES = small_images(40)
Limited = Callable[..., Any]


@pytest.fixture
def limited(distribution_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A twin with limits that holds IMAGES in development, filled before the limits were there."""
    accounts = yaml.safe_load(ACCOUNTS.read_text())

    @contextmanager
    def start(profile: Mapping[str, Any] | None = None, **limits: Any) -> Iterator[Aws]:
        with Twin(accounts, tmp_path / "state", distribution_binary) as twin:
            aws = Aws(twin, monkeypatch, [])
            aws.ecr("ci").create_repository(repositoryName=PATH)
            build(aws.act_as("ci", quotas=unhurried()), PATH, IMAGES)
            _close(aws)
        paced = accounts | {"limits": {"scale": SCALE, **limits}, "profile": profile or {}}
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


def test_whoever_keeps_the_default_rates_is_never_throttled(limited: Limited) -> None:
    with limited() as aws:
        given, heard = registries(aws, SHARE * SCALE)
        aws.twin.ledger.reset()
        assert promote(given, IMAGES) == {Phase.PROMOTED}
        assert heard.throttled == 0
        assert requests(aws.twin, account="222222222222")["ecr:PutImage"] == 2 * len(IMAGES)
        assert heard.milliseconds["222222222222/eu-west-1"] > 0, "there was something to wait for"


def test_whoever_asks_too_fast_is_throttled_and_learns_and_nothing_is_lost(limited: Limited) -> None:
    with limited({"retryAfterSeconds": 1}, rates={"PutImage": 14}) as aws:
        given, heard = registries(aws, SHARE * SCALE)
        assert promote(given, IMAGES) == {Phase.PROMOTED}
        assert 0 < heard.throttled < len(IMAGES)
        calm = registries(aws, 0.9)[0]
        assert all(holds(calm, PATH, tag, content) for tag, content in list(IMAGES.items())[::20])


def test_calls_of_the_ecr_api_are_paced_and_counted_attempt_for_attempt(limited: Limited) -> None:
    with limited(rates={"BatchGetImage": 1}) as aws:
        given, heard = registries(aws, 1000.0)
        assert promote(given, dict(list(IMAGES.items())[:1])) == {Phase.PROMOTED}
        assert heard.answers["BatchGetImage", "throttled"] > 0
        assert heard.answers["BatchGetImage", "ok"] > 0
        assert heard.milliseconds["222222222222/eu-west-1"] > 500, "the next attempt waited"
