"""What each thing this project does needs of IAM, in one place (ecr.md §5).

Messages, documents and tests take their actions from here; a test promotes with these permissions and no others, so
that they cannot drift from what the code calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transship.aws.hosts import EcrHost
from transship.denials import whom
from transship.oci.reference import Repository


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions that belong together.

    Attributes:
        purpose: what they are for, as the end of "may not ...".
        actions: of IAM.
        everywhere: they cannot be limited to a repository.
    """

    purpose: str
    actions: tuple[str, ...]
    everywhere: bool = False

    def statement(self, repository: Repository) -> dict[str, Any]:
        """For the principal's own policy."""
        resource = "*" if self.everywhere else arn_of(repository)
        return {"Effect": "Allow", "Action": list(self.actions), "Resource": resource}

    def shared(self, principal: str) -> dict[str, Any]:
        """For the repository's policy, which lets a principal of another account in."""
        return {"Effect": "Allow", **whom(principal), "Action": list(self.actions)}


TOKEN = Permission("get a registry token", ("ecr:GetAuthorizationToken",), everywhere=True)
PULL = Permission("pull", ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"))
"""Across accounts both policies have to allow it."""
LIST = Permission("tell which images there are", ("ecr:DescribeImages", "ecr:ListImages"))
"""Wanted and not needed: without it an archived image cannot be told from a missing one."""
PUSH = Permission(
    "push",
    (
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
    ),
)
LOOK = Permission("see whether the repository exists", ("ecr:DescribeRepositories",))
CREATE = Permission("create the repository", ("ecr:CreateRepository", "ecr:TagResource"))
"""Only with destinationRepository.create."""

SOURCE = (TOKEN, PULL)
DESTINATION = (TOKEN, PUSH, LOOK)


def arn_of(repository: Repository) -> str:
    """The repository's ARN.

    Raises:
        ValueError: it is not in an ECR registry.
    """
    host = EcrHost.of(repository.registry)
    if host is None:
        raise ValueError(f"{repository.registry} is not an ECR registry")
    return f"arn:{host.partition}:ecr:{host.region}:{host.account}:repository/{repository.path}"


def document(permissions: Iterable[Permission], repository: Repository) -> dict[str, Any]:
    """A policy document with these permissions for one repository."""
    return {"Version": "2012-10-17", "Statement": [each.statement(repository) for each in permissions]}
