"""Reading images: BatchGetImage, DescribeImages, ListImages."""

from collections.abc import Iterator, Mapping
from typing import Any

from ecr_twin.errors import Refusal, invalid
from ecr_twin.images import Image
from ecr_twin.manifests import convert
from ecr_twin.names import is_digest, is_tag
from ecr_twin.paging import page, shuffled
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services

_PAGE = 100


async def batch_get_image(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Read manifests by tag or digest (M5); what cannot be read is a failure of its own, not of the call."""
    repository = services.admit(call, "ecr:BatchGetImage", params["repositoryName"])
    accepted = frozenset(params.get("acceptedMediaTypes", ()))
    images, failures = [], []
    for image_id in params["imageIds"]:
        try:
            images.append(await _read(services, repository, image_id, accepted))
        except Refusal as refusal:
            reason = {"imageId": image_id, "failureCode": refusal.code, "failureReason": refusal.message}
            failures.append(reason)
    return {"images": images, "failures": failures}


async def describe_images(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Describe named images, or all of a repository in pages (L2)."""
    repository = services.admit(call, "ecr:DescribeImages", params["repositoryName"])
    wanted = params.get("imageIds")
    token = None
    if wanted is not None:
        if "maxResults" in params or "nextToken" in params:
            raise invalid("maxResults", "cannot be used together with imageIds")
        try:
            digests = dict.fromkeys(locate(services, repository, image_id) for image_id in wanted)
        except Refusal as refusal:
            raise Refusal("ImageNotFoundException", refusal.message) from refusal
        images = (services.images.find(repository, digest) for digest in digests)
        found = [image for image in images if image and _is(services, image, params)]
        if len(found) < len(digests):  # M7: what is archived is hidden from those who do not ask for it [I]
            raise Refusal("ImageNotFoundException", "Requested image not found")
    else:
        status = params.get("filter", {}).get("tagStatus", "ANY")
        everything = [image for image in services.images.all(repository) if _is(services, image, params)]
        candidates = [item for item in everything if _has_status(services, repository, item, status)]
        cut, token = page(
            candidates, lambda item: item.digest, params.get("nextToken"), params.get("maxResults", _PAGE)
        )
        found = list(cut)
    return {"imageDetails": [_detail(services, repository, image) for image in found], "nextToken": token}


async def list_images(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """List image ids in pages and in no promised order (L1, L2)."""
    repository = services.admit(call, "ecr:ListImages", params["repositoryName"])
    status = params.get("filter", {}).get("tagStatus", "ANY")
    shown = [image.digest for image in services.images.all(repository) if _is(services, image, params)]
    ids = list(_ids(services, repository, status, frozenset(shown)))
    cut, token = page(
        ids,
        lambda item: shuffled(item.get("imageTag", "") + "@" + item["imageDigest"]),
        params.get("nextToken"),
        params.get("maxResults", _PAGE),
    )
    return {"imageIds": list(cut), "nextToken": token}


def locate(services: Services, repository: Repository, image_id: Mapping[str, str]) -> str:
    """Give the digest that an image id stands for.

    Raises:
        Refusal: with a code of the model's ImageFailureCode.
    """
    tag, digest = image_id.get("imageTag"), image_id.get("imageDigest")
    if tag is None and digest is None:
        raise Refusal("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest is not None and not is_digest(digest):
        raise Refusal("InvalidImageDigest", f"Invalid request parameters: image digest '{digest}' is not valid")
    if tag is not None and not is_tag(tag):
        raise Refusal("InvalidImageTag", f"Invalid request parameters: image tag '{tag}' is not valid")
    found = services.images.resolve(repository, tag) if tag is not None else digest
    if found is None or services.images.find(repository, found) is None:
        raise Refusal("ImageNotFound", "Requested image not found")
    if digest is not None and found != digest:
        raise Refusal("ImageTagDoesNotMatchDigest", f"Image tag '{tag}' does not match image digest '{digest}'")
    return found


async def _read(
    services: Services, repository: Repository, image_id: Mapping[str, str], accepted: frozenset[str]
) -> dict[str, Any]:
    digest = locate(services, repository, image_id)
    image = services.images.find(repository, digest)
    if image is None or image.status(services.clock()) != "ACTIVE":  # M7: a pull from the archive is a 404
        raise Refusal("ImageNotFound", "Requested image not found")
    body = await services.backing.read_manifest(repository.namespace, digest, image.media_type)
    media_type = image.media_type
    if "imageDigest" not in image_id:  # by digest the manifest is never converted (M5)
        body, media_type = convert(body, media_type, accepted)
    services.images.pulled(repository, digest, services.clock())
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": digest, "imageTag": image_id.get("imageTag")},
        "imageManifest": body.decode(),
        "imageManifestMediaType": media_type,
    }


def _detail(services: Services, repository: Repository, image: Image) -> dict[str, Any]:
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageTags": services.images.tags_of(repository, image.digest) or None,
        "imageSizeInBytes": image.image_size,
        "imagePushedAt": services.time(image.pushed_at),
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_type,
        "lastRecordedPullTime": services.time(image.pulled_at) if image.pulled_at else None,
        "subjectManifestDigest": image.subject,
        "imageStatus": image.status(services.clock()),
        "lastArchivedAt": services.time(image.archived_at) if image.archived_at else None,
        "lastActivatedAt": services.time(image.activated_at) if image.activated_at else None,
    }


def _has_status(services: Services, repository: Repository, image: Image, status: str) -> bool:
    return status == "ANY" or (status == "TAGGED") == bool(services.images.tags_of(repository, image.digest))


def _is(services: Services, image: Image, params: Mapping[str, Any]) -> bool:
    """Tell whether an image has the status asked for: ACTIVE when none is (M7, F3)."""
    wanted = params.get("filter", {}).get("imageStatus", "ACTIVE")
    return wanted in {"ANY", image.status(services.clock())}


def _ids(services: Services, repository: Repository, status: str, shown: frozenset[str]) -> Iterator[dict[str, str]]:
    tags = {tag: digest for tag, digest in services.images.all_tags(repository).items() if digest in shown}
    if status in {"ANY", "TAGGED"}:
        for tag, digest in tags.items():
            yield {"imageDigest": digest, "imageTag": tag}
    if status in {"ANY", "UNTAGGED"}:
        tagged = set(tags.values())
        for image in services.images.all(repository):
            if image.digest in shown and image.digest not in tagged:
                yield {"imageDigest": image.digest}
