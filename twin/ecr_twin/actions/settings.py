"""Settings of repositories and of a registry: tag mutability, lifecycle policy, resource tags, account settings.

A lifecycle policy is stored and handed back; it is not run.
"""

import json
from collections.abc import Mapping
from typing import Any

from ecr_twin.actions.repositories import exclusion_filters, filter_structures
from ecr_twin.errors import Refusal, invalid
from ecr_twin.names import Registry
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services

_ARN_PARTS = 6
#: Account settings with an effect in the twin, and their defaults (facts §1).
_ACCOUNT_SETTINGS = {
    "BLOB_MOUNTING": ("DISABLED", ("ENABLED", "DISABLED")),
    "REGISTRY_POLICY_SCOPE": ("V1", ("V1", "V2")),
}


async def put_image_tag_mutability(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Change the tag mutability mode (M4)."""
    repository = services.admit(call, "ecr:PutImageTagMutability", params["repositoryName"])
    mutability = params["imageTagMutability"]
    filters = exclusion_filters(mutability, params.get("imageTagMutabilityExclusionFilters"))
    services.repositories.update(repository, mutability=mutability, exclusion_filters=filters)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageTagMutability": mutability,
        "imageTagMutabilityExclusionFilters": filter_structures(filters),
    }


async def put_image_scanning_configuration(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Change whether images are scanned on push; the setting is kept, nothing is scanned."""
    repository = services.admit(call, "ecr:PutImageScanningConfiguration", params["repositoryName"])
    wanted = params["imageScanningConfiguration"].get("scanOnPush", False)
    services.repositories.update(repository, scan_on_push=wanted)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageScanningConfiguration": {"scanOnPush": wanted},
    }


async def put_lifecycle_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Store a lifecycle policy."""
    repository = services.admit(call, "ecr:PutLifecyclePolicy", params["repositoryName"])
    text = params["lifecyclePolicyText"]
    try:
        rules = json.loads(text)["rules"]
    except (ValueError, TypeError, KeyError) as error:
        raise invalid(
            "LifecyclePolicyText", "Lifecycle policy validation failure: it is no object with rules"
        ) from error
    if not isinstance(rules, list) or not rules:
        raise invalid("LifecyclePolicyText", "Lifecycle policy validation failure: it has no rules")
    services.repositories.update(repository, lifecycle_policy=text)
    return _lifecycle(repository, text)


async def get_lifecycle_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the lifecycle policy."""
    repository = services.admit(call, "ecr:GetLifecyclePolicy", params["repositoryName"])
    return _lifecycle(repository, _stored_lifecycle(repository))


async def delete_lifecycle_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the lifecycle policy."""
    repository = services.admit(call, "ecr:DeleteLifecyclePolicy", params["repositoryName"])
    text = _stored_lifecycle(repository)
    services.repositories.update(repository, lifecycle_policy=None)
    return _lifecycle(repository, text)


async def tag_resource(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Add tags to a repository."""
    repository = _by_arn(services, call, "ecr:TagResource", params)
    added = {tag["Key"]: tag["Value"] for tag in params["tags"]}
    services.repositories.update(repository, tags={**(repository.tags or {}), **added})
    return {}


async def untag_resource(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Remove tags from a repository."""
    repository = _by_arn(services, call, "ecr:UntagResource", params)
    kept = {key: value for key, value in (repository.tags or {}).items() if key not in params["tagKeys"]}
    services.repositories.update(repository, tags=kept)
    return {}


async def list_tags_for_resource(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """List the tags of a repository."""
    repository = _by_arn(services, call, "ecr:ListTagsForResource", params)
    return {"tags": [{"Key": key, "Value": value} for key, value in sorted((repository.tags or {}).items())]}


async def put_account_setting(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Change a setting of the caller's own registry (B6)."""
    services.authorize(call, "ecr:PutAccountSetting", "*")
    name, value = _account_setting(params["name"]), params["value"]
    if value not in _ACCOUNT_SETTINGS[name][1]:
        raise invalid("value", f"must be one of {', '.join(_ACCOUNT_SETTINGS[name][1])}")
    services.set_setting(call.registry, name, value)
    return {"name": name, "value": value}


async def get_account_setting(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Read a setting of the caller's own registry."""
    services.authorize(call, "ecr:GetAccountSetting", "*")
    name = _account_setting(params["name"])
    return {"name": name, "value": services.setting(call.registry, name, _ACCOUNT_SETTINGS[name][0])}


def _account_setting(name: str) -> str:
    if name not in _ACCOUNT_SETTINGS:
        raise Refusal("InvalidParameterException", f"ecr-twin does not implement the account setting {name}.")
    return name


def _by_arn(services: Services, call: Call, action: str, params: Mapping[str, Any]) -> Repository:
    parts = params["resourceArn"].split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS or parts[2] != "ecr" or not parts[5].startswith("repository/"):
        raise invalid("resourceArn", "must be the ARN of a repository")
    registry = Registry(parts[4], parts[3])
    return services.admit(Call(call.caller, registry), action, parts[5].removeprefix("repository/"))


def _stored_lifecycle(repository: Repository) -> str:
    if repository.lifecycle_policy is None:
        raise Refusal(
            "LifecyclePolicyNotFoundException",
            f"Lifecycle policy does not exist for the repository with name '{repository.name}' in the registry with "
            f"id '{repository.registry.account}'",
        )
    return repository.lifecycle_policy


def _lifecycle(repository: Repository, text: str) -> dict[str, Any]:
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "lifecyclePolicyText": text,
    }
