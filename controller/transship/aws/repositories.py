"""Destination repositories that have to exist before something can be pushed (ecr.md §1, R1)."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from transship.aws.failures import aws_errors, code_of
from transship.aws.hosts import EcrHost
from transship.aws.identity import Clients, Identity
from transship.errors import NeedsHuman, Reason
from transship.oci.reference import Repository
from transship.promotion.policy import RepositorySettings

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient


def ensure(
    clients: Clients, identity: Identity, host: EcrHost, repository: Repository, settings: RepositorySettings
) -> None:
    """Make a repository exist, if the settings say so; an existing one is never changed.

    Safe against others who do the same at the same time.

    Raises:
        NeedsHuman: RepositoryMissing when it may not be created, or Denied.
        RetryLater: AWS cannot answer now.
    """
    with aws_errors(f"look up the repository {repository}"):
        client = clients.ecr(identity, host)
        if _exists(client, host, repository):
            return
    if not settings.create:
        raise NeedsHuman(
            Reason.REPOSITORY_MISSING,
            f"the repository {repository} does not exist; create it, or set destinationRepository.create in the policy",
        )
    with aws_errors(f"create the repository {repository}"):
        _create(client, creation(host, repository, settings))


def creation(host: EcrHost, repository: Repository, settings: RepositorySettings) -> dict[str, Any]:
    """The arguments of CreateRepository."""
    arguments: dict[str, Any] = {
        "registryId": host.account,
        "repositoryName": repository.path,
        "imageTagMutability": settings.image_tag_mutability,
        "imageScanningConfiguration": {"scanOnPush": settings.scan_on_push},
        "tags": [{"Key": key, "Value": value} for key, value in sorted(settings.tags.items())],
    }
    if settings.exclusions:
        arguments["imageTagMutabilityExclusionFilters"] = [
            {"filterType": "WILDCARD", "filter": exclusion} for exclusion in settings.exclusions
        ]
    if settings.kms_key:
        arguments["encryptionConfiguration"] = {"encryptionType": "KMS", "kmsKey": settings.kms_key}
    return arguments


def _exists(client: "ECRClient", host: EcrHost, repository: Repository) -> bool:
    try:
        client.describe_repositories(registryId=host.account, repositoryNames=[repository.path])
    except ClientError as error:
        if code_of(error) != "RepositoryNotFoundException":
            raise
        return False
    return True


def _create(client: "ECRClient", arguments: dict[str, Any]) -> None:
    try:
        client.create_repository(**arguments)
    except ClientError as error:
        # Somebody else was faster: what was asked for is there.
        if code_of(error) != "RepositoryAlreadyExistsException":
            raise
