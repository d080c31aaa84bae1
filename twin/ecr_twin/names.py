"""Names: registries, repositories, digests, and the AWS host names the twin answers for."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class _Partition:
    """A partition: which Regions are in it, and how its host names end (facts §6)."""

    prefix: str
    name: str
    suffix: str
    dual_stack_api: str
    dual_stack_registry: str


_PARTITIONS = (
    _Partition("cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "on.amazonwebservices.com.cn"),
    _Partition("us-gov-", "aws-us-gov", "amazonaws.com", "api.aws", "on.aws"),
    _Partition("eusc-", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "on.amazonwebservices.eu"),
    _Partition("", "aws", "amazonaws.com", "api.aws", "on.aws"),
)
_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)"
#: What comes before the suffix; the attribute of `_Partition` that the suffix must be.
_HOSTS = (
    ("registry", re.compile(rf"(?P<account>\d{{12}})\.dkr\.ecr(?:-fips)?\.{_REGION}"), "suffix"),
    ("registry", re.compile(rf"(?P<account>\d{{12}})\.dkr-ecr(?:-fips)?\.{_REGION}"), "dual_stack_registry"),
    ("api", re.compile(rf"(?:api\.)?ecr(?:-fips)?\.{_REGION}"), "suffix"),
    ("api", re.compile(rf"(?:api\.)?ecr(?:-fips)?\.{_REGION}"), "dual_stack_api"),
    ("sts", re.compile(rf"sts(?:-fips)?\.{_REGION}"), "suffix"),
    ("sts", re.compile(rf"sts(?:-fips)?\.{_REGION}"), "dual_stack_api"),
    ("blobs", re.compile(rf"prod-{_REGION}-starport-layer-bucket\.s3\.(?P=region)"), "suffix"),
)
_GLOBAL_STS = "sts.amazonaws.com"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,299}")

Face = Literal["registry", "api", "sts", "blobs"]


def partition(region: str) -> str:
    """Give the partition of a Region, for example ``aws``."""
    return _of(region).name


def dns_suffix(region: str) -> str:
    """Give the DNS suffix of a Region's endpoints, for example ``amazonaws.com``."""
    return _of(region).suffix


def _of(region: str) -> _Partition:
    return next(item for item in _PARTITIONS if region.startswith(item.prefix))


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

    def key_arn(self, key: str) -> str:
        """Give the ARN that policies use for a KMS key of the same account and Region."""
        return f"arn:{partition(self.region)}:kms:{self.region}:{self.account}:key/{key}"


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
    for face, pattern, ending in _HOSTS:
        match = pattern.match(name)
        if match and name[match.end() :] == "." + getattr(_of(match["region"]), ending):
            return Endpoint(face, match["region"], match.groupdict().get("account"))  # type: ignore[arg-type]
    return None


def certificate_names(region: str) -> tuple[str, ...]:
    """List the names a Region's API and registry certificate carries."""
    here = _of(region)
    endpoints = (f"{head}.{region}.{tail}" for tail in (here.suffix, here.dual_stack_api)
                 for head in ("api.ecr", "ecr", "ecr-fips", "api.ecr-fips", "sts", "sts-fips"))  # fmt: skip
    registries = ((".ecr", here.suffix), (".ecr-fips", here.suffix), ("-ecr", here.dual_stack_registry),
                  ("-ecr-fips", here.dual_stack_registry))  # fmt: skip
    return (*(f"*.dkr{middle}.{region}.{tail}" for middle, tail in registries), *endpoints)


def blob_host(region: str) -> str:
    """Name of the bucket that holds a Region's layers (fact 6)."""
    return f"prod-{region}-starport-layer-bucket.s3.{region}.{dns_suffix(region)}"
