"""Settings of a whole registry: its policy (A5, V2) and its signing configuration (F4)."""

import json
from collections.abc import Mapping
from typing import Any

from ecr_twin import policy
from ecr_twin.actions.access import POLICY_CHARACTERS
from ecr_twin.actions.pull import locate
from ecr_twin.errors import Refusal, invalid
from ecr_twin.services import REGISTRY_POLICY, SIGNING, Call, Services


async def put_registry_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the registry policy; it decides calls only while REGISTRY_POLICY_SCOPE is V2."""
    services.authorize(call, "ecr:PutRegistryPolicy", "*")
    text = params["policyText"]
    if len(text) > POLICY_CHARACTERS:
        raise invalid("PolicyText", f"Member must have length less than or equal to {POLICY_CHARACTERS}")
    try:
        document = policy.parse(text, "registry")
    except policy.PolicyError as error:
        raise invalid("PolicyText", f"Invalid registry policy provided: {error}") from error
    if any(not services.directory.exists(name) for name in document.named_principals()):
        raise invalid("PolicyText", "Invalid registry policy provided: Principal not found")
    services.set_setting(call.registry, REGISTRY_POLICY, text)
    return {"registryId": call.registry.account, "policyText": text}


async def get_registry_policy(services: Services, call: Call, _params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the registry policy."""
    services.authorize(call, "ecr:GetRegistryPolicy", "*")
    return {"registryId": call.registry.account, "policyText": _stored(services, call, REGISTRY_POLICY)}


async def delete_registry_policy(services: Services, call: Call, _params: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the registry policy."""
    services.authorize(call, "ecr:DeleteRegistryPolicy", "*")
    text = _stored(services, call, REGISTRY_POLICY)
    services.set_setting(call.registry, REGISTRY_POLICY, "")
    return {"registryId": call.registry.account, "policyText": text}


async def put_signing_configuration(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Set the rules by which pushed images are signed."""
    services.authorize(call, "ecr:PutSigningConfiguration", "*")
    services.set_setting(call.registry, SIGNING, json.dumps(params["signingConfiguration"]))
    return {"signingConfiguration": params["signingConfiguration"]}


async def get_signing_configuration(services: Services, call: Call, _params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the signing rules."""
    services.authorize(call, "ecr:GetSigningConfiguration", "*")
    text = _stored(services, call, SIGNING)
    return {"registryId": call.registry.account, "signingConfiguration": json.loads(text)}


async def delete_signing_configuration(services: Services, call: Call, _params: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the signing rules."""
    services.authorize(call, "ecr:DeleteSigningConfiguration", "*")
    text = _stored(services, call, SIGNING)
    services.set_setting(call.registry, SIGNING, "")
    return {"registryId": call.registry.account, "signingConfiguration": json.loads(text)}


async def describe_image_signing_status(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Tell how far the signatures of an image are."""
    repository = services.admit(call, "ecr:DescribeImageSigningStatus", params["repositoryName"])
    try:
        digest = locate(services, repository, params["imageId"])
    except Refusal as refusal:
        raise Refusal("ImageNotFoundException", refusal.message) from refusal
    statuses = []
    for signing in services.pending.signings(repository, digest):
        status = "FAILED" if signing.failure else "COMPLETE" if signing.done else "IN_PROGRESS"
        reason = {"failureCode": "AccessDeniedException", "failureReason": signing.failure} if signing.failure else {}
        statuses.append({"signingProfileArn": signing.profile_arn, "status": status, **reason})
    return {
        "repositoryName": repository.name,
        "registryId": repository.registry.account,
        "imageId": {"imageDigest": digest, "imageTag": params["imageId"].get("imageTag")},
        "signingStatuses": statuses,
    }


def _stored(services: Services, call: Call, name: str) -> str:
    text = services.setting(call.registry, name, "")
    if not text:
        code = "RegistryPolicyNotFoundException" if name == REGISTRY_POLICY else "SigningConfigurationNotFoundException"
        raise Refusal(code, f"There is none in the registry with id '{call.registry.account}'")
    return text
