"""Host names of ECR registries in every partition (ecr.md §6)."""

import re
from dataclasses import dataclass
from typing import Self

from transship.oci.reference import Registry

_ACCOUNT = r"(?P<account>[0-9]{12})"
_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+){1,2}-[0-9]{1,2})"
# The suffix says the partition, except that GovCloud shares the one of the commercial Regions.
_SUFFIXES = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-iso",
    "sc2s.sgov.gov": "aws-iso-b",
    "cloud.adc-e.uk": "aws-iso-e",
    "csp.hci.ic.gov": "aws-iso-f",
}
_DUAL_STACK_SUFFIXES = {"on.aws": "aws", "on.amazonwebservices.com.cn": "aws-cn"}


def _pattern(label: str, suffixes: dict[str, str]) -> re.Pattern[str]:
    endings = "|".join(map(re.escape, suffixes))
    return re.compile(rf"{_ACCOUNT}\.{label}(?P<fips>-fips)?\.{_REGION}\.(?P<suffix>{endings})\Z")


_HOST = _pattern(r"dkr\.ecr", _SUFFIXES)
_DUAL_STACK_HOST = _pattern(r"dkr-ecr", _DUAL_STACK_SUFFIXES)


_SUFFIX_OF = {partition: suffix for suffix, partition in _SUFFIXES.items()} | {"aws-us-gov": "amazonaws.com"}
_DUAL_STACK_SUFFIX_OF = {partition: suffix for suffix, partition in _DUAL_STACK_SUFFIXES.items()} | {
    "aws-us-gov": "on.aws"
}


@dataclass(frozen=True, slots=True)
class EcrHost:
    """An ECR registry, read from its host name.

    Attributes:
        account: the AWS account, twelve digits.
        region: the Region; tokens are good in it only.
        partition: the partition; credentials are good in it only.
        is_fips: whether the name is the FIPS endpoint's, so that API calls go to one, too.
        is_dual_stack: the same for IPv6.
    """

    account: str
    region: str
    partition: str
    is_fips: bool = False
    is_dual_stack: bool = False

    @classmethod
    def of(cls, registry: Registry) -> Self | None:
        """Read a registry's host name; None when it is not a private ECR registry."""
        dual_stack = _DUAL_STACK_HOST.match(registry.host)
        match = dual_stack or _HOST.match(registry.host)
        if match is None:
            return None
        region = match["region"]
        partition = (_SUFFIXES | _DUAL_STACK_SUFFIXES)[match["suffix"]]
        if partition == "aws" and region.startswith("us-gov-"):
            partition = "aws-us-gov"
        return cls(match["account"], region, partition, bool(match["fips"]), dual_stack is not None)

    def name_of(self, account: str) -> str:
        """The host name of an account's registry in this place."""
        fips = "-fips" if self.is_fips else ""
        if self.is_dual_stack:
            return f"{account}.dkr-ecr{fips}.{self.region}.{_DUAL_STACK_SUFFIX_OF[self.partition]}"
        return f"{account}.dkr.ecr{fips}.{self.region}.{_SUFFIX_OF[self.partition]}"
