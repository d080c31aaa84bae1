"""Names: registries, repositories, digests, and the AWS host names the twin answers for."""

import re
from dataclasses import dataclass
from typing import Literal

#: partition -> DNS suffix, chosen by the prefix of the Region (facts §6).
_PARTITIONS = (
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
)
_SUFFIX = r"(?P<suffix>amazonaws\.com(?:\.cn)?|amazonaws\.eu)"
_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)"
_HOSTS = {
    "registry": re.compile(rf"(?P<account>\d{{12}})\.dkr\.ecr\.{_REGION}\.{_SUFFIX}"),
    "api": re.compile(rf"(?:api\.)?ecr\.{_REGION}\.{_SUFFIX}"),
    "sts": re.compile(rf"sts\.{_REGION}\.{_SUFFIX}"),
    "blobs": re.compile(rf"prod-{_REGION}-starport-layer-bucket\.s3\.(?P=region)\.{_SUFFIX}"),
}
_GLOBAL_STS = "sts.amazonaws.com"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}")

Face = Literal["registry", "api", "sts", "blobs"]


def partition(region: str) -> str:
    """Give the partition of a Region, for example ``aws``."""
    return next((name for prefix, name, _ in _PARTITIONS if region.startswith(prefix)), "aws")


def dns_suffix(region: str) -> str:
    """Give the DNS suffix of a Region's endpoints, for example ``amazonaws.com``."""
    return next((suffix for prefix, _, suffix in _PARTITIONS if region.startswith(prefix)), "amazonaws.com")


def is_digest(text: str) -> bool:
    """Tell whether the text is a sha256 digest."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Tell whether the text is a tag ECR accepts (up to 300 characters, facts §1)."""
    return _TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Registry:
    """A registry: everything that one account holds in one Region."""

    account: str
    region: str

    @property
    def host(self) -> str:
        """Host name of the registry's data plane."""
        return f"{self.account}.dkr.ecr.{self.region}.{dns_suffix(self.region)}"

    def repository_uri(self, name: str) -> str:
        """Give the name under which clients pull from a repository."""
        return f"{self.host}/{name}"

    def repository_arn(self, name: str) -> str:
        """Give the ARN that policies use for a repository."""
        return f"arn:{partition(self.region)}:ecr:{self.region}:{self.account}:repository/{name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a host name stands for."""

    face: Face
    region: str
    account: str | None = None


def parse_host(host: str) -> Endpoint | None:
    """Parse a Host header (a port is ignored); None when the name is not one the twin answers for."""
    name = host.partition(":")[0].lower()
    if name == _GLOBAL_STS:
        return Endpoint("sts", "us-east-1")
    for face, pattern in _HOSTS.items():
        match = pattern.fullmatch(name)
        if match and match["suffix"] == dns_suffix(match["region"]):
            return Endpoint(face, match["region"], match.groupdict().get("account"))  # type: ignore[arg-type]
    return None


def certificate_names(region: str) -> tuple[str, ...]:
    """List the names a Region's API and registry certificate carries."""
    suffix = dns_suffix(region)
    return (
        f"*.dkr.ecr.{region}.{suffix}",
        f"api.ecr.{region}.{suffix}",
        f"ecr.{region}.{suffix}",
        f"sts.{region}.{suffix}",
    )


def blob_host(region: str) -> str:
    """Name of the bucket that holds a Region's layers (fact 6)."""
    return f"prod-{region}-starport-layer-bucket.s3.{region}.{dns_suffix(region)}"
