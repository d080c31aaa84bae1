"""Buckets of calls, in a time that only the test moves."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.aws.quotas import MAX_WAIT_SECONDS, PUBLISHED, SHARE, UNPUBLISHED, Bucket, Place, Quotas, Rates, Turn
from transship.errors import Reason, RetryLater

HERE = Place("222222222222", "eu-west-1", "PutImage")
OTHERS = [
    Place("111111111111", "eu-west-1", "PutImage"),
    Place("222222222222", "us-east-1", "PutImage"),
    Place("222222222222", "eu-west-1", "InitiateLayerUpload"),
]


@dataclass
class Time:
    """A clock that moves when somebody sleeps, and a note of what may happen then."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.now += seconds

    def quotas(self, text: str = "") -> Quotas:
        return Quotas(Rates.parse(text), lambda: self.now, self.sleep)


def moments(bucket: Bucket, count: int, now: float = 0.0) -> list[float]:
    return [bucket.reserve(now) for _ in range(count)]


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for each in times if start <= each < start + 1.0) for start in times)


# --- one bucket


def test_by_default_a_second_never_holds_more_calls_than_aws_publishes() -> None:
    for action, published in PUBLISHED.items():
        times = moments(Bucket(Rates().of(action)), int(3 * published))
        assert most_in_a_second(times) <= published, action


def test_a_hundred_images_are_put_within_a_tenth_of_the_arithmetic_limit() -> None:
    last = moments(Bucket(Rates().of("PutImage")), 100)[-1]
    assert 100 / 10 * 0.9 < last < 100 / 10 * 1.1


@given(st.floats(0.5, 3000), st.lists(st.floats(0, 2), min_size=1, max_size=50))
def test_however_calls_arrive_no_second_holds_more_than_the_rate_and_its_small_burst(
    rate: float, gaps: list[float]
) -> None:
    bucket, now, times = Bucket(rate), 0.0, []
    for gap in gaps:
        now += gap
        times.append(bucket.reserve(now))
    assert times == sorted(times)
    assert most_in_a_second(times) <= rate + max(1.0, rate * 0.1) + 1


def test_an_idle_bucket_does_not_save_up_for_a_flood() -> None:
    bucket = Bucket(10.0)
    moments(bucket, 5)
    late = moments(bucket, 20, now=3600.0)
    assert late[-1] - late[0] >= 1.8


def test_a_throttled_call_halves_the_rate_and_half_a_minute_brings_it_back() -> None:
    bucket = Bucket(10.0)
    moments(bucket, 1)
    bucket.throttled(1.0, sent_at=0.5, retry_after=None)
    assert bucket.rate(1.0) == 5.0
    assert bucket.rate(8.5) == 7.5
    assert bucket.rate(40.0) == 10.0


def test_calls_that_were_under_way_together_cut_the_rate_once() -> None:
    bucket = Bucket(16.0)
    for _ in range(8):
        bucket.throttled(1.0, sent_at=0.9, retry_after=None)
    assert bucket.rate(1.0) == 8.0
    bucket.throttled(2.0, sent_at=1.5, retry_after=None)
    assert bucket.rate(2.0) < 5.0


def test_the_rate_never_falls_to_nothing() -> None:
    bucket = Bucket(10.0)
    for second in range(1, 50):
        bucket.throttled(float(second), sent_at=second - 0.1, retry_after=None)
    assert bucket.rate(49.0) >= 0.2


@pytest.mark.parametrize("retry_after", [0.5, 3.0, 45.0])
def test_nobody_goes_before_retry_after_is_over(retry_after: float) -> None:
    bucket = Bucket(100.0)
    bucket.throttled(1.0, sent_at=0.5, retry_after=retry_after)
    assert bucket.reserve(1.0) == 1.0 + retry_after


def test_the_longest_retry_after_of_calls_that_were_under_way_counts() -> None:
    bucket = Bucket(100.0)
    bucket.throttled(1.0, sent_at=0.5, retry_after=30.0)
    bucket.throttled(1.1, sent_at=0.6, retry_after=2.0)
    assert bucket.reserve(1.2) == 31.0


# --- all of them


def test_each_account_region_and_action_has_a_bucket_of_its_own() -> None:
    time = Time()
    quotas = time.quotas("PutImage=1,InitiateLayerUpload=1")
    for place in (HERE, *OTHERS):
        assert quotas.take(place).waited == 0.0
    assert quotas.take(HERE).waited == pytest.approx(1.0)


def test_a_read_whose_rate_is_not_published_does_not_hold_back_writing() -> None:
    assert Rates().of("ListImageReferrers") > 5 * Rates().of("PutImage")
    assert Rates().of("SetRepositoryPolicy") == UNPUBLISHED * SHARE


def test_who_waits_when_another_call_is_throttled_waits_for_its_retry_after_too() -> None:
    time = Time()
    turns: list[Turn] = []

    def throttled_meanwhile(seconds: float) -> None:
        if len(turns) == 1:
            quotas.throttled(turns.pop(), 20.0)
        time.sleep(seconds)

    quotas = Quotas(Rates.parse("PutImage=1"), lambda: time.now, throttled_meanwhile)
    time.now = 0.1
    turns.append(quotas.take(HERE))
    assert quotas.take(HERE).at >= 20.1


def test_a_turn_that_is_too_far_away_is_refused_at_once_and_says_when_to_come() -> None:
    time = Time()
    quotas = time.quotas()
    time.now = 5.0
    quotas.throttled(quotas.take(HERE), MAX_WAIT_SECONDS + 30)
    with pytest.raises(RetryLater) as caught:
        quotas.take(HERE)
    assert (caught.value.reason, caught.value.after) == (Reason.THROTTLED, MAX_WAIT_SECONDS + 30)
    assert "PutImage in account 222222222222" in caught.value.message
    assert time.slept == []


def test_many_threads_share_one_bucket() -> None:
    quotas = Quotas(Rates.parse("PutImage=400"))
    with ThreadPoolExecutor(8) as pool:
        times = sorted(turn.at for turn in pool.map(lambda _: quotas.take(HERE), range(120)))
    assert times[-1] - times[0] >= (120 - 1 - 40) / 400


# --- the setting


def test_the_setting_scales_all_rates_or_gives_single_ones() -> None:
    assert Rates.parse("").of("PutImage") == PUBLISHED["PutImage"] * SHARE
    assert Rates.parse("scale=0.5").of("PutImage") == 5.0
    both = Rates.parse(" scale=2 , PutImage=8 ")
    assert (both.of("PutImage"), both.of("UploadLayerPart")) == (8.0, 1000.0)


@pytest.mark.parametrize("text", ["PutImage", "PutImage=", "PutImage=fast", "PutImage=0", "PutImage=-1", "Put=1"])
def test_a_setting_that_cannot_be_meant_is_refused_with_its_part(text: str) -> None:
    with pytest.raises(ValueError, match="Put"):
        Rates.parse(text)
