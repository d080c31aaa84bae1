import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.aws.hosts import EcrHost
from transship.oci.reference import Registry


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("111111111111.dkr.ecr.eu-west-1.amazonaws.com", EcrHost("111111111111", "eu-west-1", "aws")),
        ("111111111111.dkr.ecr.ap-southeast-2.amazonaws.com", EcrHost("111111111111", "ap-southeast-2", "aws")),
        (
            "111111111111.dkr.ecr-fips.us-east-1.amazonaws.com",
            EcrHost("111111111111", "us-east-1", "aws", is_fips=True),
        ),
        ("111111111111.dkr.ecr.us-gov-west-1.amazonaws.com", EcrHost("111111111111", "us-gov-west-1", "aws-us-gov")),
        ("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", EcrHost("111111111111", "cn-north-1", "aws-cn")),
        ("111111111111.dkr.ecr.eusc-de-east-1.amazonaws.eu", EcrHost("111111111111", "eusc-de-east-1", "aws-eusc")),
        ("111111111111.dkr.ecr.us-iso-east-1.c2s.ic.gov", EcrHost("111111111111", "us-iso-east-1", "aws-iso")),
        ("111111111111.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", EcrHost("111111111111", "us-isob-east-1", "aws-iso-b")),
        (
            "111111111111.dkr-ecr.eu-west-1.on.aws",
            EcrHost("111111111111", "eu-west-1", "aws", is_dual_stack=True),
        ),
        (
            "111111111111.dkr-ecr-fips.us-gov-east-1.on.aws",
            EcrHost("111111111111", "us-gov-east-1", "aws-us-gov", is_fips=True, is_dual_stack=True),
        ),
        (
            "111111111111.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
            EcrHost("111111111111", "cn-north-1", "aws-cn", is_dual_stack=True),
        ),
    ],
)
def test_an_ecr_host_says_account_region_and_partition(host: str, expected: EcrHost) -> None:
    assert EcrHost.of(Registry.parse(host)) == expected


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws",
        "ghcr.io",
        "11111111111.dkr.ecr.eu-west-1.amazonaws.com",
        "111111111111.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "111111111111.dkr.ecr.eu-west-1.amazonaws.com:8443",
        "evil-111111111111.dkr.ecr.eu-west-1.amazonaws.com",
        "111111111111.dkr.ecr.evil.amazonaws.com",
        "111111111111.dkr.ecr.eu-west-1.amazonaws.org",
        "111111111111.dkr-ecr.eu-west-1.amazonaws.com",
    ],
)
def test_nothing_else_is_ever_given_ecr_credentials(host: str) -> None:
    assert EcrHost.of(Registry.parse(host)) is None


@given(st.text())
def test_any_host_is_judged_without_an_error(text: str) -> None:
    assert EcrHost.of(Registry(text)) is None
