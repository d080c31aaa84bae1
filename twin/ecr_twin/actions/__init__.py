"""The actions of the ECR API, each once.

The JSON face calls them directly. The v2 face translates every HTTP call into one of them, as ECR's own front end
appears to (facts §2), so that permissions, counts and rate limits (Q2) are the same on both faces.

An action is ``async (services, call, params) -> result`` with params and result in the shapes of the service model;
it refuses by raising `Refusal` with a code of the model.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ecr_twin import due, interference
from ecr_twin.actions import access, archive, layers, pull, push, referrers, registry, repositories, settings, templates
from ecr_twin.backing import BackingError
from ecr_twin.errors import Refusal
from ecr_twin.services import Call, Services

_LOG = logging.getLogger(__name__)
Action = Callable[[Services, Call, Mapping[str, Any]], Awaitable[dict[str, Any]]]

ACTIONS: Mapping[str, Action] = {
    "BatchCheckLayerAvailability": layers.batch_check_layer_availability,
    "BatchDeleteImage": push.batch_delete_image,
    "BatchGetImage": pull.batch_get_image,
    "CompleteLayerUpload": layers.complete_layer_upload,
    "CreateRepository": repositories.create_repository,
    "CreateRepositoryCreationTemplate": templates.create_repository_creation_template,
    "DeleteLifecyclePolicy": settings.delete_lifecycle_policy,
    "DeleteRegistryPolicy": registry.delete_registry_policy,
    "DeleteRepository": repositories.delete_repository,
    "DeleteRepositoryCreationTemplate": templates.delete_repository_creation_template,
    "DeleteRepositoryPolicy": access.delete_repository_policy,
    "DeleteSigningConfiguration": registry.delete_signing_configuration,
    "DescribeImageSigningStatus": registry.describe_image_signing_status,
    "DescribeImages": pull.describe_images,
    "DescribeRepositories": repositories.describe_repositories,
    "DescribeRepositoryCreationTemplates": templates.describe_repository_creation_templates,
    "GetAccountSetting": settings.get_account_setting,
    "GetAuthorizationToken": access.get_authorization_token,
    "GetDownloadUrlForLayer": layers.get_download_url_for_layer,
    "GetLifecyclePolicy": settings.get_lifecycle_policy,
    "GetRegistryPolicy": registry.get_registry_policy,
    "GetRepositoryPolicy": access.get_repository_policy,
    "GetSigningConfiguration": registry.get_signing_configuration,
    "InitiateLayerUpload": layers.initiate_layer_upload,
    "ListImageReferrers": referrers.list_image_referrers,
    "ListImages": pull.list_images,
    "ListTagsForResource": settings.list_tags_for_resource,
    "PutAccountSetting": settings.put_account_setting,
    "PutImage": push.put_image,
    "PutImageScanningConfiguration": settings.put_image_scanning_configuration,
    "PutImageTagMutability": settings.put_image_tag_mutability,
    "PutLifecyclePolicy": settings.put_lifecycle_policy,
    "PutRegistryPolicy": registry.put_registry_policy,
    "PutSigningConfiguration": registry.put_signing_configuration,
    "SetRepositoryPolicy": access.set_repository_policy,
    "TagResource": settings.tag_resource,
    "UntagResource": settings.untag_resource,
    "UpdateImageStorageClass": archive.update_image_storage_class,
    "UpdateRepositoryCreationTemplate": templates.update_repository_creation_template,
    "UploadLayerPart": layers.upload_layer_part,
}


async def perform(services: Services, call: Call, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Do one action, counted in the ledger."""
    key = call.key(f"ecr:{operation}")
    services.ledger.add(key, requests=1)
    try:
        services.throttle(call, operation)
        await due.settle(services)
        seen = interference.before(services, call, operation, params)
        result = await ACTIONS[operation](seen, call, params)
    except Refusal:
        services.ledger.add(key, refused=1)
        raise
    except BackingError as error:
        # Also when the client went away in the middle of a body: then nobody reads this answer.
        _LOG.warning("%s failed behind the twin: %s", operation, error)
        services.ledger.add(key, refused=1)
        raise Refusal("ServerException", "The bytes could not be stored or read.") from error
    interference.after(services, call, operation, params)
    return result
