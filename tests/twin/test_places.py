"""Partitions, FIPS and dual-stack names, and two Regions at once (facts §6)."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecr_twin.names import Endpoint, parse_host
from twin.clients import OTHER_REGION, REGION, SOURCE, Launch, World, allow, digest_of, user

pytestmark = pytest.mark.twin
CHINA, GOV, EUROPE = "cn-north-1", "us-gov-west-1", "eusc-de-east-1"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (f"{SOURCE}.dkr.ecr.us-east-1.amazonaws.com", Endpoint("registry", "us-east-1", SOURCE)),
        (f"{SOURCE}.dkr.ecr-fips.us-east-1.amazonaws.com:443", Endpoint("registry", "us-east-1", SOURCE)),
        (f"{SOURCE}.dkr-ecr.us-east-1.on.aws", Endpoint("registry", "us-east-1", SOURCE)),
        (f"{SOURCE}.dkr-ecr-fips.us-gov-west-1.on.aws", Endpoint("registry", GOV, SOURCE)),
        (f"{SOURCE}.dkr.ecr.cn-north-1.amazonaws.com.cn", Endpoint("registry", CHINA, SOURCE)),
        (f"{SOURCE}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", Endpoint("registry", CHINA, SOURCE)),
        (f"{SOURCE}.dkr.ecr.eusc-de-east-1.amazonaws.eu", Endpoint("registry", EUROPE, SOURCE)),
        ("ecr-fips.us-east-1.api.aws", Endpoint("api", "us-east-1")),
        ("ecr.cn-north-1.api.amazonwebservices.com.cn", Endpoint("api", CHINA)),
        ("sts-fips.us-east-1.amazonaws.com", Endpoint("sts", "us-east-1")),
        (f"{SOURCE}.dkr.ecr.cn-north-1.amazonaws.com", None),
        (f"{SOURCE}.dkr.ecr.us-east-1.amazonaws.eu", None),
        (f"{SOURCE}.dkr-ecr.us-east-1.amazonaws.com", None),
        (f"{SOURCE}.dkr.ecr.us-east-1.on.aws", None),
        ("s3.us-east-1.amazonaws.com", None),
    ],
)
def test_a_host_name_says_what_it_stands_for(host: str, expected: Endpoint | None) -> None:
    assert parse_host(host) == expected


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual_stack", [False, True])
def test_stock_clients_find_fips_and_dual_stack_endpoints(launch: Launch, *, fips: bool, dual_stack: bool) -> None:
    regions = {"regions": ["us-east-1", GOV], "accounts": {SOURCE: {"users": [user("ci", allow("ecr:*", "sts:*"))]}}}
    with launch(regions) as own:
        more: dict[str, Any] = {"use_fips_endpoint": fips, "use_dualstack_endpoint": dual_stack}
        ecr = own.client("ecr", region="us-east-1", **more)
        assert ("fips" in ecr.meta.endpoint_url, "api.aws" in ecr.meta.endpoint_url) == (fips, dual_stack)
        assert ecr.describe_repositories()["repositories"] == []
        assert own.client("sts", region="us-east-1", **more).get_caller_identity()["Account"] == SOURCE
        middle, suffix = ("dkr-ecr", "on.aws") if dual_stack else ("dkr.ecr", "amazonaws.com")
        url = f"https://{SOURCE}.{middle}{'-fips' if fips else ''}.us-east-1.{suffix}/v2/"
        assert own.http("GET", url).status == 401


@pytest.mark.parametrize(("region", "partition"), [(CHINA, "aws-cn"), (GOV, "aws-us-gov"), (EUROPE, "aws-eusc")])
def test_every_partition_has_names_of_its_own(launch: Launch, region: str, partition: str) -> None:
    policies = [user("ci", allow("ecr:*", "sts:*"))]
    config: dict[str, Any] = {
        "regions": [region, REGION],
        "accounts": {SOURCE: {"users": policies, "partition": partition}},
    }
    with launch(config) as own:
        sts = own.client("sts", region=region)
        assert sts.get_caller_identity()["Arn"] == f"arn:{partition}:iam::{SOURCE}:user/ci"
        ecr = own.client("ecr", region=region)
        made = ecr.create_repository(repositoryName="app")["repository"]
        suffix = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(partition, "amazonaws.com")
        assert made["repositoryArn"] == f"arn:{partition}:ecr:{region}:{SOURCE}:repository/app"
        assert made["repositoryUri"] == f"{SOURCE}.dkr.ecr.{region}.{suffix}/app"
        token = ecr.get_authorization_token()["authorizationData"][0]
        assert token["proxyEndpoint"] == f"https://{SOURCE}.dkr.ecr.{region}.{suffix}"
        with pytest.raises(ClientError, match="UnrecognizedClientException"):  # credentials do not cross partitions
            own.client("ecr", region=REGION).describe_repositories()


def test_two_regions_are_used_at_once(world: World) -> None:
    digests = set()
    for region in (REGION, OTHER_REGION):
        world.client("ecr", region=region).create_repository(repositoryName="both/app")
        layer = world.push_blob("both/app", region.encode(), region=region)
        digests.add(layer["digest"])
        head = world.http("HEAD", f"/v2/both/app/blobs/{layer['digest']}", region=region)
        assert head.headers["Content-Length"] == str(len(region))
    for region, other in ((REGION, OTHER_REGION), (OTHER_REGION, REGION)):
        path = f"/v2/both/app/blobs/{digest_of(region.encode())}"
        assert world.http("HEAD", path, region=other).status == 404
    assert len(digests) == 2
