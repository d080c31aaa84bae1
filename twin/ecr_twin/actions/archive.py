"""UpdateImageStorageClass: the archive (M7, facts §1)."""

from collections.abc import Mapping
from typing import Any

from ecr_twin.actions.pull import locate
from ecr_twin.errors import Refusal
from ecr_twin.services import Call, Services


async def update_image_storage_class(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Move an image into the archive, or back: then it is ACTIVATING for as long as the profile says."""
    repository = services.admit(call, "ecr:UpdateImageStorageClass", params["repositoryName"])
    try:
        digest = locate(services, repository, params["imageId"])
    except Refusal as refusal:
        raise Refusal("ImageNotFoundException", refusal.message) from refusal
    now, status = services.clock(), services.images.status(repository, digest, services.clock())
    if params["targetStorageClass"] == "ARCHIVE":
        if status != "ACTIVE":  # [I]: the model has the error, and no word on when it comes
            raise _unsupported(digest, status)
        services.images.archive(repository, digest, now)
    else:
        if status != "ARCHIVED":
            raise _unsupported(digest, status)
        services.images.activate(repository, digest, now + services.profile.restore_seconds, now)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": digest, "imageTag": params["imageId"].get("imageTag")},
        "imageStatus": services.images.status(repository, digest, now),
    }


def _unsupported(digest: str, status: str) -> Refusal:
    return Refusal(
        "ImageStorageClassUpdateNotSupportedException",
        f"The storage class of image '{digest}' cannot be updated because its status is {status}",
    )
