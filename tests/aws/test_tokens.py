from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from transship.aws.hosts import EcrHost
from transship.aws.tokens import Token, Tokens
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.oci.reference import Registry

HOST = EcrHost("111111111111", "eu-west-1", "aws")
HERE = Registry("111111111111.dkr.ecr.eu-west-1.amazonaws.com")
SAME_REGION = Registry("222222222222.dkr.ecr.eu-west-1.amazonaws.com")
SCOPE = "repository:shop/checkout:pull"
HOURS_12 = timedelta(hours=12)


@dataclass
class Mint:
    """What stands for GetAuthorizationToken, with a clock that a test turns."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    fetched: int = 0
    lifetime: timedelta = HOURS_12
    problem: Exception | None = None
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(HOST, self.fetch, lambda: self.now)

    def fetch(self) -> Token:
        self.fetched += 1
        if self.problem:
            raise self.problem
        return Token(f"Basic canary-{self.fetched}", self.now, self.now + self.lifetime)


def test_one_token_serves_every_registry_of_its_region() -> None:
    mint = Mint()
    assert mint.tokens.authorization(HERE, SCOPE) == mint.tokens.authorization(SAME_REGION, SCOPE) == "Basic canary-1"
    assert mint.fetched == 1


@pytest.mark.parametrize(
    "host",
    [
        "111111111111.dkr.ecr.us-east-1.amazonaws.com",
        "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn",
        "evil.example.com",
    ],
)
def test_a_registry_it_is_not_meant_for_never_gets_the_token(host: str) -> None:
    mint = Mint()
    assert mint.tokens.authorization(Registry(host), SCOPE) is None
    assert mint.fetched == 0


def test_it_is_kept_until_half_life_and_renewed_then() -> None:
    mint = Mint()
    mint.tokens.authorization(HERE, SCOPE)
    mint.now += timedelta(hours=6) - timedelta(seconds=1)
    assert mint.tokens.authorization(HERE, SCOPE) == "Basic canary-1"
    mint.now += timedelta(seconds=1)
    assert mint.tokens.authorization(HERE, SCOPE) == "Basic canary-2"


def test_a_refused_token_is_renewed_once_however_many_saw_the_refusal() -> None:
    mint = Mint()
    refused = mint.tokens.authorization(HERE, SCOPE) or ""
    for _ in range(5):
        mint.tokens.renew(HERE, SCOPE, refused, "Basic")
        assert mint.tokens.authorization(HERE, SCOPE) == "Basic canary-2"
    assert mint.fetched == 2


def test_many_who_ask_at_once_cause_one_fetch() -> None:
    mint, together = Mint(), Barrier(8)

    def ask(_: int) -> str | None:
        together.wait()
        return mint.tokens.authorization(HERE, SCOPE)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"Basic canary-1"}
    assert mint.fetched == 1


def test_while_aws_is_away_the_token_is_used_to_its_end() -> None:
    mint = Mint()
    mint.tokens.authorization(HERE, SCOPE)
    mint.problem = RetryLater(Reason.THROTTLED, "not now")
    mint.now += timedelta(hours=11)
    assert mint.tokens.authorization(HERE, SCOPE) == "Basic canary-1"
    mint.now += timedelta(hours=1)
    with pytest.raises(RetryLater):
        mint.tokens.authorization(HERE, SCOPE)


def test_an_identity_that_lost_its_rights_does_not_live_on_its_old_token() -> None:
    mint = Mint()
    mint.tokens.authorization(HERE, SCOPE)
    mint.problem = NeedsHuman(Reason.DENIED, "no more")
    mint.now += timedelta(hours=7)
    with pytest.raises(NeedsHuman):
        mint.tokens.authorization(HERE, SCOPE)


def test_printing_a_token_does_not_show_it() -> None:
    mint = Mint()
    assert "canary" not in repr(mint.fetch())
