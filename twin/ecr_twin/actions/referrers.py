"""ListImageReferrers (F1, F3): needs no right beyond ecr:BatchGetImage (facts §1)."""

from collections.abc import Mapping
from typing import Any

from ecr_twin.images import Image
from ecr_twin.paging import page
from ecr_twin.services import Call, Services

_PAGE = 20


async def list_image_referrers(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """List the images whose subject is the given digest, in pages of 20 to 50."""
    repository = services.admit(call, "ecr:BatchGetImage", params["repositoryName"])
    asked, now = params.get("filter", {}), services.clock()
    wanted, status = asked.get("artifactTypes"), asked.get("artifactStatus", "ACTIVE")  # F3
    found = [
        image
        for image in services.images.referrers(repository, params["subjectId"]["imageDigest"])
        if (not wanted or image.artifact_type in wanted) and status in {"ANY", image.status(now)}
    ]
    cut, token = page(found, lambda item: item.digest, params.get("nextToken"), params.get("maxResults", _PAGE))
    return {"referrers": [_referrer(image, now) for image in cut], "nextToken": token}


def _referrer(image: Image, now: float) -> dict[str, Any]:
    return {
        "digest": image.digest,
        "mediaType": image.media_type,
        "artifactType": image.artifact_type,
        "size": image.manifest_size,
        "annotations": dict(image.annotations) or None,
        "artifactStatus": image.status(now),
    }
