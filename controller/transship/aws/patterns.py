"""Repository patterns and KMS keys as IAM's policies can name them.

IAM's wildcards know no path parts: `*` stands for any run of characters, slashes too, and `?` for any one. Of a pattern
that says less, the narrowest is taken that IAM can say.
"""

import re
from collections.abc import Iterable
from typing import Any

from transship.aws.hosts import EcrHost
from transship.promotion.glob import Glob
from transship.promotion.policy import Endpoint

_DEEP = re.compile(r"\*{2,}")


def is_exact(glob: Glob) -> bool:
    """Whether IAM can say what a pattern says."""
    return "?" not in glob.pattern and "*" not in _DEEP.sub("", glob.pattern)


def _iam_pattern(glob: Glob) -> str:
    """The narrowest pattern of IAM that matches all that a pattern matches."""
    return _DEEP.sub("*", glob.pattern)


def iam_patterns(endpoint: Endpoint, globs: Iterable[Glob]) -> list[str]:
    """The repositories of one side of a policy, as IAM writes them."""
    return sorted({endpoint.repository_prefix + _iam_pattern(each) for each in globs})


def key_of(name: str, host: EcrHost) -> tuple[str, dict[str, Any]]:
    """The resource that a KMS key is in a policy, and the condition that it is used through ECR alone."""
    through: dict[str, Any] = {"StringLike": {"kms:ViaService": f"ecr.{host.region}.*"}}
    prefix = f"arn:{host.partition}:kms:{host.region}:{host.account}:"
    given = name if name.startswith("arn:") else prefix + (name if "/" in name else f"key/{name}")
    front, _, alias = given.partition(":alias/")
    if alias:  # a policy names no alias as a resource, and IAM asks which ones a key has instead
        return f"{front}:key/*", through | {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{alias}"}}
    return given, through
