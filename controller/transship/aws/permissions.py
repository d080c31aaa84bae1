"""Who needs which IAM actions for what, in one place (ecr.md §5); what each action is for is said by `actions`.

Messages, documents, printed policies and tests take their actions from here; tests promote with these permissions and
no others, so that they cannot drift from what the code calls.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from transship.aws.hosts import EcrHost
from transship.denials import whom
from transship.oci.reference import Repository
from transship.promotion.desired import RepositorySettings

VERSION = "2012-10-17"
"""Of every policy document that is written here."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions that belong together.

    Attributes:
        purpose: what they are for, as the end of "may not ...".
        actions: of IAM, each a key of `actions.ACTIONS`.
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
RESOLVE = Permission("see what is to be copied", ("ecr:BatchGetImage",))
"""What of `PULL` planning takes."""
LOOK_INTO = Permission("see what is there", ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"))
"""What of `PUSH` reads; enough to plan."""
PUSH = Permission(
    "push",
    (
        *LOOK_INTO.actions,
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
    ),
)
LOOK = Permission("see whether the repository exists", ("ecr:DescribeRepositories",))
FIND = Permission("find the repositories that match", ("ecr:DescribeRepositories",))
"""A listing: of all repositories of a registry, or none."""
CREATE = Permission("create the repository", ("ecr:CreateRepository",))
"""Only with destinationRepository.create."""
TAG = Permission("tag the repository", ("ecr:TagResource",))
"""With destinationRepository.tags: also to create it with them."""
USE_KEY = Permission(
    "create the repository under its KMS key", ("kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant")
)
"""Only where repositories are created under a key of one's own; what ECR has of a key, it has by grants afterwards."""
SEE_STATEMENT = Permission("read the repository's policy", ("ecr:GetRepositoryPolicy",))
KEEP_STATEMENT = Permission(
    "keep our statement in the repository's policy", (*SEE_STATEMENT.actions, "ecr:SetRepositoryPolicy")
)
"""Only with sourceAccess.managePolicy."""

SOURCE = (TOKEN, PULL)
DESTINATION = (TOKEN, PUSH, LOOK)


def of_settings(settings: RepositorySettings) -> Iterator[Permission]:
    """What a policy's `destinationRepository` takes beyond `DESTINATION`; the KMS key apart."""
    writes = settings.create or settings.mend
    if settings.create:
        yield CREATE
    if settings.tags:
        yield Permission("compare the repository's tags", ("ecr:ListTagsForResource",))
        if writes:
            yield TAG
    if settings.lifecycle_policy:
        yield Permission("compare the lifecycle policy", ("ecr:GetLifecyclePolicy",))
        if writes:
            yield Permission("set the lifecycle policy", ("ecr:PutLifecyclePolicy",))
    if settings.policy:
        yield Permission("compare the repository's policy", ("ecr:GetRepositoryPolicy",))
        if writes:
            yield Permission("set the repository's policy", ("ecr:SetRepositoryPolicy",))
    # What CreateRepository takes itself is changed only where it is to be mended.
    if settings.mend and settings.image_tag_mutability:
        yield Permission("mend the tag mutability", ("ecr:PutImageTagMutability",))
    if settings.mend and settings.scan_on_push is not None:
        yield Permission("mend scanning on push", ("ecr:PutImageScanningConfiguration",))


def to_create(settings: RepositorySettings) -> Permission:
    """What creating a repository with these settings takes."""
    return Permission(CREATE.purpose, CREATE.actions + (TAG.actions if settings.tags else ()))


def arn_of(repository: Repository) -> str:
    """The repository's ARN.

    Raises:
        ValueError: it is not in an ECR registry.
    """
    host = EcrHost.of(repository.registry)
    if host is None:
        raise ValueError(f"{repository.registry} is not an ECR registry")
    return arn_in(host, repository.path)


def arn_in(host: EcrHost, path: str) -> str:
    """The ARN of a repository of a registry, or of those that a pattern of IAM matches."""
    return f"arn:{host.partition}:ecr:{host.region}:{host.account}:repository/{path}"


def document(permissions: Iterable[Permission], repository: Repository) -> dict[str, Any]:
    """A policy document with these permissions for one repository."""
    return {"Version": VERSION, "Statement": [each.statement(repository) for each in permissions]}
