"""Layers: availability, download URLs, and uploads in parts.

Parts arrive as bytes from the JSON face and as a stream from the v2 face; both end in the same upload.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import ClientError

from ecr_twin.backing import BackingError, DigestMismatchError
from ecr_twin.creation import admit_push
from ecr_twin.errors import Refusal
from ecr_twin.layers import SMALLEST_PART, Layer, Upload, no_upload
from ecr_twin.names import is_digest
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services

#: What the model calls the part size; parts may be larger.
_PART_SIZE = 10 * 1024 * 1024
_UNKNOWN_MEDIA_TYPE = "application/octet-stream"


async def batch_check_layer_availability(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Tell which layers a repository has."""
    repository = services.admit(call, "ecr:BatchCheckLayerAvailability", params["repositoryName"])
    layers, failures = [], []
    for digest in params["layerDigests"]:
        if not is_digest(digest):
            reason = f"Invalid layer digest '{digest}'"
            failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
        elif layer := services.layers.find(repository, digest):
            availability = "ARCHIVED" if _archived(services, repository, digest) else "AVAILABLE"
            layers.append({"layerDigest": digest, "layerAvailability": availability, "layerSize": layer.size,
                           "mediaType": layer.media_type})  # fmt: skip
        else:
            layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
    return {"layers": layers, "failures": failures}


async def get_download_url_for_layer(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a presigned URL; only layers that an image references have one (B7, fact 26 [M])."""
    repository = services.admit(call, "ecr:GetDownloadUrlForLayer", params["repositoryName"])
    digest = params["layerDigest"]
    if services.layers.find(repository, digest) is None:
        raise layers_missing(repository, [digest])
    if not services.images.used_by(repository, digest):
        raise Refusal("LayerInaccessibleException", f"The layer with digest '{digest}' is not associated with an image")
    if _archived(services, repository, digest):  # M7
        raise Refusal("LayerInaccessibleException", f"The layer with digest '{digest}' is archived")
    if services.profile.kms_across_accounts == "denied" and _is_locked(repository, call):
        # [?], facts §6; the model has no KmsException for this call, so the denial is the common one [I].
        raise Refusal("AccessDeniedException", f"{call.caller.principal.arn} may not use the repository's KMS key")
    url = services.downloads.url(repository, digest, call.caller.access_key_id)
    return {"downloadUrl": url, "layerDigest": digest}


async def initiate_layer_upload(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Start an upload, or mount a layer of another repository.

    ``mountDigest`` and ``mountFrom`` come from the v2 face only; the result then has ``layerDigest`` when the layer
    could be mounted.
    """
    repository = admit_push(services, call, "ecr:InitiateLayerUpload", params["repositoryName"])
    if "mountDigest" in params and await _mount(services, call, repository, params):
        return {"layerDigest": params["mountDigest"]}
    location = await services.backing.start(repository.namespace)
    return {"uploadId": services.layers.start(repository, location, services.clock()).id, "partSize": _PART_SIZE}


async def upload_layer_part(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Append a part (B3, B4, B8).

    ``layerPartBlob`` is bytes, or an asynchronous iterator of them from the v2 face, where ``partFirstByte`` may be
    None (no Content-Range: append here) and ``partLastByte`` None (the length is known at the end).
    """
    repository = services.admit(call, "ecr:UploadLayerPart", params["repositoryName"])
    upload = find_upload(services, repository, params["uploadId"])
    first, blob = params.get("partFirstByte"), params["layerPartBlob"]
    if first is not None and first != upload.received:
        raise _out_of_order(repository, upload)
    if isinstance(blob, bytes):
        if params["partLastByte"] - upload.received + 1 != len(blob):
            raise _out_of_order(repository, upload)
        blob = _once(blob)
    elif upload.small_part:
        # B4 [I]: the model knows this error for completing only; on v2 it was seen on the PATCH (fact 11).
        raise _part_too_small()
    try:
        location, length = await services.backing.append(upload.location, blob)
    except (BackingError, ClientError, OSError) as error:
        services.layers.finish(upload)  # no trustworthy offset is left: the client starts the blob again (facts §4)
        raise BackingError(f"an upload was cut off: {type(error).__name__}") from error
    services.layers.grow(upload, location, length)
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "uploadId": upload.id,
        "lastByteReceived": upload.received + length - 1,
    }


async def complete_layer_upload(services: Services, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    """Finish an upload; distribution checks the digest (B8, fact 13)."""
    repository = services.admit(call, "ecr:CompleteLayerUpload", params["repositoryName"])
    upload = find_upload(services, repository, params["uploadId"])
    digest = params["layerDigests"][0]
    if upload.received == 0:
        raise Refusal("EmptyUploadException", "The specified layer upload does not contain any layer parts.")
    if upload.small_middle:
        raise _part_too_small()
    services.layers.finish(upload)
    if services.layers.find(repository, digest):
        raise Refusal(
            "LayerAlreadyExistsException",
            f"Layer with digest '{digest}' already exists in the repository with name '{repository.name}' in "
            f"registry with id '{repository.registry.account}'",
        )
    if not is_digest(digest):
        raise Refusal("InvalidLayerException", f"Layer digest '{digest}' is not valid")
    try:
        await services.backing.commit(upload.location, digest)
    except DigestMismatchError as error:
        raise Refusal(
            "InvalidLayerException",
            f"The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not match the "
            f"digest specified: '{digest}'",
        ) from error
    services.layers.add(repository, Layer(digest, upload.received, _UNKNOWN_MEDIA_TYPE))
    return {
        "registryId": repository.registry.account,
        "repositoryName": repository.name,
        "uploadId": upload.id,
        "layerDigest": digest,
    }


def find_upload(services: Services, repository: Repository, upload_id: str) -> Upload:
    """Look an upload up; one that is too old is gone, if the profile says that they grow old (fact 29, [?])."""
    upload = services.layers.upload(repository, upload_id)
    life = services.profile.upload_seconds
    if life and services.clock() >= upload.started_at + life:
        services.layers.forget(upload_id)
        raise no_upload(repository, upload_id)
    return upload


def layers_missing(repository: Repository, digests: list[str]) -> Refusal:
    """Build the refusal that names layers which are not in the repository (M2)."""
    return Refusal(
        "LayersNotFoundException",
        f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository with name "
        f"'{repository.name}' in the registry with id '{repository.registry.account}' do not exist",
    )


async def _mount(services: Services, call: Call, target: Repository, params: Mapping[str, Any]) -> bool:
    """Mount a layer if the account allows it and every condition of B6 holds (facts §1, [D:blob-mounting])."""
    if services.setting(call.registry, "BLOB_MOUNTING", "DISABLED") != "ENABLED":
        return False
    digest = params["mountDigest"]
    try:
        source = services.admit(call, "ecr:GetDownloadUrlForLayer", params["mountFrom"])
    except Refusal:
        return False
    layer = services.layers.find(source, digest)
    # A blob that no manifest references yet is answered 202 [F: roadmap#2860].
    if layer is None or source.encryption != target.encryption or not services.images.used_by(source, digest):
        return False
    await services.backing.mount(target.namespace, digest, source.namespace)
    services.layers.add(target, layer)
    return True


def _archived(services: Services, repository: Repository, digest: str) -> bool:
    """Tell whether all images that use a layer are in the archive (M7, facts §1)."""
    users, now = services.images.used_by(repository, digest), services.clock()
    return bool(users) and all(services.images.status(repository, user, now) != "ACTIVE" for user in users)


def _is_locked(repository: Repository, call: Call) -> bool:
    """Tell whether another account asks for bytes under a customer's key."""
    key = (repository.encryption or {}).get("kmsKey")
    return bool(key) and call.caller.principal.account != repository.registry.account


async def _once(blob: bytes) -> AsyncIterator[bytes]:
    yield blob


def _part_too_small() -> Refusal:
    return Refusal(
        "LayerPartTooSmallException",
        f"Layer parts must be at least {SMALLEST_PART} bytes, except the last; one is smaller",
    )


def _out_of_order(repository: Repository, upload: Upload) -> Refusal:
    return Refusal(
        "InvalidLayerPartException",
        "The layer part size is not valid, or the first byte specified is not consecutive to the last byte of a "
        "previous layer part upload.",
        {
            "registryId": repository.registry.account,
            "repositoryName": repository.name,
            "uploadId": upload.id,
            "lastValidByteReceived": upload.received - 1,
        },
    )
