"""CreateRepository, DescribeRepositories, DeleteRepository."""

from collections.abc import Mapping
from typing import Any

from ecr_twin.errors import Refusal, invalid
from ecr_twin.paging import page
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services

_PAGE = 100


async def create_repository(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Create a repository (R2, R3)."""
    name = params["repositoryName"]
    arn = call.registry.repository_arn(name)
    services.authorize(call, "ecr:CreateRepository", arn)
    if params.get("tags"):  # [F: k8s-image-swapper#416, a notice of AWS]
        services.authorize(call, "ecr:TagResource", arn)
    _require_key(services, call, params.get("encryptionConfiguration", {}))
    mutability = params.get("imageTagMutability", "MUTABLE")
    filters = exclusion_filters(mutability, params.get("imageTagMutabilityExclusionFilters"))
    repository = services.repositories.create(
        Repository(
            id=0,
            registry=call.registry,
            name=name,
            created_at=services.clock(),
            mutability=mutability,
            exclusion_filters=filters,
            scan_on_push=params.get("imageScanningConfiguration", {}).get("scanOnPush", False),
            encryption=params.get("encryptionConfiguration", {"encryptionType": "AES256"}),
            tags={tag["Key"]: tag["Value"] for tag in params.get("tags", [])},
        )
    )
    return {"repository": described(services, repository)}


def _require_key(services: Services, call: Call, encryption: Mapping[str, Any]) -> None:
    """Refuse a creator who may not use the customer's key [D:encryption-at-rest]; the key's own policy says yes."""
    key = encryption.get("kmsKey")
    if key is None:
        return
    name = key.rpartition(":")[2]
    alias = name if name.startswith("alias/") else None
    arn = call.registry.key_arn("of-that-alias" if alias else name.removeprefix("key/"))
    context = {"kms:viaservice": f"ecr.{call.registry.region}.amazonaws.com"}
    context |= {"kms:resourcealiases": alias} if alias else {}
    for action in ("kms:DescribeKey", "kms:CreateGrant", "kms:RetireGrant"):
        if reason := services.allows(call.caller, action, arn, context):
            raise Refusal("KmsException", reason)


async def describe_repositories(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Describe named repositories, or all of a registry in pages (L2)."""
    names = params.get("repositoryNames")
    if names is not None:
        if "maxResults" in params or "nextToken" in params:
            raise invalid("maxResults", "cannot be used together with repositoryNames")
        found = [services.admit(call, "ecr:DescribeRepositories", name) for name in names]
        return {"repositories": [described(services, repository) for repository in found]}
    services.authorize(call, "ecr:DescribeRepositories", call.registry.repository_arn("*"))
    everything = services.repositories.page(call.registry, "", -1)
    cut, token = page(everything, lambda item: item.name, params.get("nextToken"), params.get("maxResults", _PAGE))
    return {"repositories": [described(services, repository) for repository in cut], "nextToken": token}


async def delete_repository(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a repository; one with images only by force (R3)."""
    repository = services.admit(call, "ecr:DeleteRepository", params["repositoryName"])
    if services.images.all(repository) and not params.get("force", False):
        raise Refusal(
            "RepositoryNotEmptyException",
            f"The repository with name '{repository.name}' in registry with id '{repository.registry.account}' "
            "cannot be deleted because it still contains images",
        )
    services.repositories.delete(repository)
    return {"repository": described(services, repository)}


def described(services: Services, repository: Repository) -> dict[str, Any]:
    """Build the model's Repository structure."""
    return {
        "repositoryArn": repository.arn,
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "repositoryUri": repository.registry.repository_uri(repository.name),
        "createdAt": services.time(repository.created_at),
        "imageTagMutability": repository.mutability,
        "imageTagMutabilityExclusionFilters": filter_structures(repository.exclusion_filters),
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": dict(repository.encryption or {}),
    }


def filter_structures(patterns: Any) -> list[dict[str, str]] | None:
    """Build the model's list of exclusion filters, None when there are none."""
    return [{"filterType": "WILDCARD", "filter": pattern} for pattern in patterns] or None


def exclusion_filters(mutability: str, filters: list[dict[str, str]] | None) -> list[str]:
    """Read exclusion filters, which belong to the two modes with exclusions and to no other (M4)."""
    if mutability.endswith("_WITH_EXCLUSION") != bool(filters):
        raise invalid(
            "imageTagMutabilityExclusionFilters",
            "must be given with the modes IMMUTABLE_WITH_EXCLUSION and MUTABLE_WITH_EXCLUSION, and only with them",
        )
    return [item["filter"] for item in filters or []]
