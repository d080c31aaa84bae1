"""Writing images: PutImage and BatchDeleteImage."""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from ecr_twin.actions.layers import layers_missing
from ecr_twin.actions.pull import locate
from ecr_twin.creation import admit_push
from ecr_twin.errors import Refusal, invalid
from ecr_twin.manifests import Manifest, parse
from ecr_twin.names import is_tag
from ecr_twin.pending import Signing
from ecr_twin.repositories import Repository
from ecr_twin.services import SIGNING, Call, Services

#: M9, facts §3.
TAGS_PER_IMAGE = 1000


async def put_image(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Store a manifest and point a tag to it (M1 to M4, M9).

    ``imageManifest`` is text from the JSON face and bytes from the v2 face.
    """
    repository = admit_push(services, call, "ecr:PutImage", params["repositoryName"])
    body = params["imageManifest"]
    manifest = parse(body if isinstance(body, bytes) else body.encode(), params.get("imageManifestMediaType"))
    tag = params.get("imageTag")
    if params.get("imageDigest", manifest.digest) != manifest.digest:
        raise Refusal(
            "ImageDigestDoesNotMatchException",
            f"The digest '{params['imageDigest']}' does not match the digest calculated for the image: "
            f"'{manifest.digest}'",
        )
    _check(services, repository, manifest, tag)
    await services.backing.put_manifest(repository.namespace, manifest.digest, manifest.media_type, manifest.body)
    # The world may have moved while the bytes were written; from here on there is no await.
    repository = services.repositories.get(repository.registry, repository.name)
    _check(services, repository, manifest, tag)
    now = services.clock()
    services.images.add(repository, manifest, now)
    if services.images.status(repository, manifest.digest, now) != "ACTIVE":  # M7: a push restores at once [I]
        services.images.activate(repository, manifest.digest, now, now)
    services.layers.name_types(repository, manifest.blobs)
    if tag is not None:
        services.images.tag(repository, tag, manifest.digest)
    services.events.pushed(repository, manifest, tag)
    _sign(services, call, repository, manifest)
    image = {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": manifest.digest, "imageTag": tag},
        "imageManifest": manifest.body.decode(),
        "imageManifestMediaType": manifest.media_type,
    }
    return {"image": image}


async def batch_delete_image(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Delete tags, or images with all their tags; a child of an index stays (M8, fact 27)."""
    repository = services.admit(call, "ecr:BatchDeleteImage", params["repositoryName"])
    deleted, failures = [], []
    for image_id in params["imageIds"]:
        try:
            deleted.extend(_delete(services, repository, image_id))
        except Refusal as refusal:
            reason = {"imageId": image_id, "failureCode": refusal.code, "failureReason": refusal.message}
            failures.append(reason)
    return {"imageIds": deleted, "failures": failures}


def _check(services: Services, repository: Repository, manifest: Manifest, tag: str | None) -> None:
    _check_content(services, repository, manifest)
    _check_tag(services, repository, manifest.digest, tag)


def _check_content(services: Services, repository: Repository, manifest: Manifest) -> None:
    """Refuse a manifest whose parts are not in the same repository (M2, fact 17)."""
    if absent := services.layers.absent(repository, manifest.blobs):
        raise layers_missing(repository, absent)
    if absent := services.images.absent(repository, manifest.children):
        raise Refusal(
            "ReferencedImagesNotFoundException",
            f"Images with digests '[{', '.join(absent)}]' required for pushing image into repository with name "
            f"'{repository.name}' in the registry with id '{repository.registry.account}' do not exist",
        )
    # F1, [?]: whether a subject may be absent is a switch of the profile.
    must_exist = services.profile.subject_must_exist
    if must_exist and manifest.subject and services.images.find(repository, manifest.subject) is None:
        raise invalid("ImageManifest", f"subject '{manifest.subject}' does not exist in the repository")


def _check_tag(services: Services, repository: Repository, digest: str, tag: str | None) -> None:
    """Refuse a tag that may not move, and a push that changes nothing (M4, fact 19)."""
    current = services.images.resolve(repository, tag) if tag else None
    if tag is None or current == digest:
        image = services.images.find(repository, digest)
        if image is not None and image.status(services.clock()) == "ACTIVE":
            named = f"tag '{tag}'" if tag else "no tag"
            raise Refusal(
                "ImageAlreadyExistsException",
                f"Image with digest '{digest}' and {named} already exists in the repository with name "
                f"'{repository.name}' in registry with id '{repository.registry.account}'",
            )
        return
    if not is_tag(tag):
        raise invalid("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]*'")
    if current is not None and repository.tag_is_immutable(tag):
        raise tag_is_immutable(repository, tag)
    if len(services.images.tags_of(repository, digest)) >= TAGS_PER_IMAGE:
        raise Refusal("LimitExceededException", f"The image has reached the limit of {TAGS_PER_IMAGE} tags")


def tag_is_immutable(repository: Repository, tag: str) -> Refusal:
    """Build the refusal for a tag that may not be pushed again (M4)."""
    return Refusal(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
        "because the tag is immutable.",
    )


def _sign(services: Services, call: Call, repository: Repository, manifest: Manifest) -> None:
    """Have the image signed if a rule says so, with the pusher's own rights (F4, facts §1)."""
    text = services.setting(repository.registry, SIGNING, "")
    rules = json.loads(text)["rules"] if text and manifest.subject is None else []
    for rule in rules:
        filters = [item["filter"] for item in rule.get("repositoryFilters", [])]
        if filters and not any(fnmatchcase(repository.name, pattern) for pattern in filters):
            continue
        arn, due_at = rule["signingProfileArn"], services.clock() + services.config.signing_seconds
        failure = services.allows(call.caller, "signer:SignPayload", arn)
        services.pending.sign_later(Signing(repository.id, manifest.digest, arn, due_at, failure))


def _delete(services: Services, repository: Repository, image_id: Mapping[str, str]) -> list[dict[str, str]]:
    digest = locate(services, repository, image_id)
    tags = services.images.tags_of(repository, digest)
    tag = image_id.get("imageTag")
    if tag is not None and len(tags) > 1:
        services.images.untag(repository, tag)
        services.events.deleted(repository, digest, tag)
        return [{"imageDigest": digest, "imageTag": tag}]
    if parents := services.images.used_by(repository, digest):
        raise Refusal(
            "ImageReferencedByManifestList",
            f"Requested image referenced by manifest list: [{', '.join(parents)}]",
        )
    services.images.delete(repository, digest)
    if not tags:
        services.events.deleted(repository, digest, None)
    for name in tags:
        services.events.deleted(repository, digest, name)
    services.pending.clean_later(repository, digest, services.clock() + services.config.cleanup_seconds)  # F5
    return [{"imageDigest": digest, "imageTag": name} for name in tags] or [{"imageDigest": digest}]
