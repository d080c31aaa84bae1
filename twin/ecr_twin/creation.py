"""The repositories that a push creates from a template (R1, facts §1)."""

from ecr_twin.names import Registry
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services
from ecr_twin.templates import Template


def admit_push(services: Services, call: Call, action: str, name: str) -> Repository:
    """Let a push through to its repository, which a template may create at this moment (R1).

    Which of the calls of a push creates the repository is [I]: the first that would write to it.
    """
    if services.repositories.find(call.registry, name) is None:
        template = services.templates.best(call.registry, name, "CREATE_ON_PUSH")
        if template is not None:
            arn = call.registry.repository_arn(name)
            services.authorize(call, action, arn)
            if services.profile.create_on_push_needs == "create-repository":
                services.authorize(call, "ecr:CreateRepository", arn)
            create(services, call.registry, name, template)
    return services.admit(call, action, name)


def create(services: Services, registry: Registry, name: str, template: Template) -> Repository:
    """Create a repository with a template's settings."""
    settings = template.settings
    repository = services.repositories.create(
        Repository(
            id=0,
            registry=registry,
            name=name,
            created_at=services.clock(),
            mutability=settings.get("imageTagMutability", "MUTABLE"),
            exclusion_filters=[item["filter"] for item in settings.get("imageTagMutabilityExclusionFilters", [])],
            encryption=settings.get("encryptionConfiguration"),
            tags={tag["Key"]: tag["Value"] for tag in settings.get("resourceTags", [])},
            policy=settings.get("repositoryPolicy") or None,
        )
    )
    return services.repositories.update(repository, lifecycle_policy=settings.get("lifecyclePolicy") or None)
