"""GetAuthorizationToken, and the three calls about a repository's policy."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from ecr_twin import policy
from ecr_twin.errors import Refusal, invalid
from ecr_twin.names import Registry
from ecr_twin.policy import Verdict
from ecr_twin.services import Call, Services

#: R4, facts §1 [M].
POLICY_CHARACTERS = 10_240


async def get_authorization_token(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Mint tokens: one for the caller's own registry, or one per registry named (A2, A4, A9)."""
    services.authorize(call, "ecr:GetAuthorizationToken", "*")
    own = call.caller.principal.account
    entries = []
    for account in params.get("registryIds", [own]):
        password, expires_at = services.tokens.mint(call.caller, call.registry.region)
        entries.append(
            {
                "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
                "expiresAt": services.time(expires_at),
                "proxyEndpoint": f"https://{Registry(account, call.registry.region).host}",
            }
        )
    return {"authorizationData": entries}


async def set_repository_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the whole policy document (R4, facts §5)."""
    repository = services.admit(call, "ecr:SetRepositoryPolicy", params["repositoryName"])
    text = params["policyText"]
    if len(text) > POLICY_CHARACTERS:
        raise invalid("PolicyText", f"Member must have length less than or equal to {POLICY_CHARACTERS}")
    try:
        document = policy.parse(text, "repository")
    except policy.PolicyError as error:
        raise invalid("PolicyText", f"Invalid repository policy provided: {error}") from error
    if any(_unknown(services, name) for name in document.named_principals()):
        raise invalid("PolicyText", "Invalid repository policy provided: Principal not found")
    question = policy.Request(call.caller.principal, "ecr:SetRepositoryPolicy", repository.arn)
    if document.verdict(question) is Verdict.DENY and not params.get("force", False):
        raise invalid("PolicyText", "would prevent you from setting another policy in the future; use force")
    services.repositories.set_policy(repository, text, services.clock(), services.profile.policy_lag_seconds)
    return _policy(repository.registry, repository.name, text)


async def get_repository_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the policy document."""
    repository = services.admit(call, "ecr:GetRepositoryPolicy", params["repositoryName"])
    if repository.policy is None:
        raise _no_policy(repository.registry, repository.name)
    return _policy(repository.registry, repository.name, repository.policy)


async def delete_repository_policy(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the policy document."""
    repository = services.admit(call, "ecr:DeleteRepositoryPolicy", params["repositoryName"])
    if repository.policy is None:
        raise _no_policy(repository.registry, repository.name)
    services.repositories.set_policy(repository, None, services.clock(), services.profile.policy_lag_seconds)
    return _policy(repository.registry, repository.name, repository.policy)


def _unknown(services: Services, name: str) -> bool:
    """Tell whether a principal makes a policy unacceptable; about ids of deleted ones the profile decides (R4)."""
    if name.startswith(("AROA", "AIDA")):
        return services.profile.stale_principal_ids == "refuse"
    return not services.directory.exists(name)


def _policy(registry: Registry, name: str, text: str) -> dict[str, Any]:
    # ECR hands a document back in its own layout, so clients must compare by meaning ([D: CLI reference examples]).
    pretty = json.dumps(json.loads(text), indent=2, separators=(",", " : "))
    return {"registryId": registry.account, "repositoryName": name, "policyText": pretty}


def _no_policy(registry: Registry, name: str) -> Refusal:
    return Refusal(
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id "
        f"'{registry.account}'",
    )
