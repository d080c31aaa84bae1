"""Repository creation templates (R1): the four calls about them."""

from collections.abc import Mapping
from typing import Any

from ecr_twin import policy
from ecr_twin.actions.repositories import exclusion_filters
from ecr_twin.errors import Refusal, invalid
from ecr_twin.paging import page
from ecr_twin.services import Call, Services
from ecr_twin.templates import Template

_PAGE = 100


async def create_repository_creation_template(
    services: Services, call: Call, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Create a template."""
    services.authorize(call, "ecr:CreateRepositoryCreationTemplate", "*")
    prefix = params["prefix"]
    if services.templates.find(call.registry, prefix) is not None:
        raise Refusal(
            "TemplateAlreadyExistsException", f"A repository creation template with prefix '{prefix}' already exists"
        )
    settings = {name: value for name, value in params.items() if name != "prefix" and value is not None}
    _check(settings)
    now = services.clock()
    return _put(services, call, Template(prefix, settings, now, now))


async def update_repository_creation_template(
    services: Services, call: Call, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Change the settings that are named; repositories that exist stay as they are."""
    services.authorize(call, "ecr:UpdateRepositoryCreationTemplate", "*")
    template = _get(services, call, params["prefix"])
    settings = {**template.settings, **{name: value for name, value in params.items() if name != "prefix"}}
    _check(settings)
    return _put(services, call, Template(template.prefix, settings, template.created_at, services.clock()))


async def delete_repository_creation_template(
    services: Services, call: Call, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Remove a template."""
    services.authorize(call, "ecr:DeleteRepositoryCreationTemplate", "*")
    template = _get(services, call, params["prefix"])
    services.templates.delete(call.registry, template.prefix)
    return {"registryId": call.registry.account, "repositoryCreationTemplate": _structure(services, template)}


async def describe_repository_creation_templates(
    services: Services, call: Call, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe the templates with the given prefixes, or all in pages (L2)."""
    services.authorize(call, "ecr:DescribeRepositoryCreationTemplates", "*")
    wanted = params.get("prefixes")
    found = [item for item in services.templates.all(call.registry) if not wanted or item.prefix in wanted]
    cut, token = page(found, lambda item: item.prefix, params.get("nextToken"), params.get("maxResults", _PAGE))
    return {
        "registryId": call.registry.account,
        "repositoryCreationTemplates": [_structure(services, item) for item in cut],
        "nextToken": token,
    }


def _get(services: Services, call: Call, prefix: str) -> Template:
    template = services.templates.find(call.registry, prefix)
    if template is None:
        raise Refusal("TemplateNotFoundException", f"No repository creation template with prefix '{prefix}' was found")
    return template


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse settings that no repository could have; KMS and tags need a role (facts §1)."""
    exclusion_filters(settings.get("imageTagMutability", "MUTABLE"), settings.get("imageTagMutabilityExclusionFilters"))
    kms = settings.get("encryptionConfiguration", {}).get("encryptionType", "AES256") != "AES256"
    if (kms or settings.get("resourceTags")) and not settings.get("customRoleArn"):
        raise invalid("customRoleArn", "is required with resource tags and with KMS encryption")
    if settings.get("repositoryPolicy"):
        try:
            policy.parse(settings["repositoryPolicy"], "repository")
        except policy.PolicyError as error:
            raise invalid("repositoryPolicy", str(error)) from error


def _put(services: Services, call: Call, template: Template) -> dict[str, Any]:
    services.templates.put(call.registry, template)
    return {"registryId": call.registry.account, "repositoryCreationTemplate": _structure(services, template)}


def _structure(services: Services, template: Template) -> dict[str, Any]:
    times = {"createdAt": services.time(template.created_at), "updatedAt": services.time(template.updated_at)}
    return {"imageTagMutability": "MUTABLE", **template.settings, "prefix": template.prefix, **times}
