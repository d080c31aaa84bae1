"""What ECR does by itself some time after a call: signing pushed images (F4), removing orphaned referrers (F5).

Such work waits in a table until its time has come by the twin's clock, and is done before the next action.
"""

import base64
import json
from collections.abc import AsyncIterator

from ecr_twin.layers import Layer
from ecr_twin.manifests import OCI_MANIFEST, digest_of, parse
from ecr_twin.pending import Signing
from ecr_twin.repositories import Repository
from ecr_twin.services import Services

#: What AWS Signer's signatures are: Notary Project envelopes [D:managed-signing].
SIGNATURE = "application/vnd.cncf.notary.signature"
_ENVELOPE = "application/jose+json"
_EMPTY = "application/vnd.oci.empty.v1+json"


async def settle(services: Services) -> None:
    """Do everything whose time has come."""
    now = services.clock()
    for repository_id, subject in services.pending.take_cleanings(now):
        repository = services.repositories.by_id(repository_id)
        if repository is not None and services.images.find(repository, subject) is None:
            for image in services.images.referrers(repository, subject):
                services.images.delete(repository, image.digest)
                services.pending.clean_later(repository, image.digest, now)
    for signing in services.pending.take_signings(now):
        repository = services.repositories.by_id(signing.repository_id)
        if repository is not None and services.images.find(repository, signing.digest) is not None:
            await _sign(services, repository, signing)


async def _sign(services: Services, repository: Repository, signing: Signing) -> None:
    """Push a signature: an artifact of the expected shape; there is no key behind it."""
    payload = json.dumps({"payload": signing.digest, "signingProfile": signing.profile_arn}).encode()
    envelope = json.dumps({"payload": base64.b64encode(payload).decode(), "signature": ""}).encode()
    config, layer = await _store(services, repository, b"{}"), await _store(services, repository, envelope)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": SIGNATURE,
        "config": config | {"mediaType": _EMPTY},
        "layers": [layer | {"mediaType": _ENVELOPE}],
        "subject": {"mediaType": OCI_MANIFEST, "digest": signing.digest, "size": 0},
    }
    manifest = parse(json.dumps(document).encode(), OCI_MANIFEST)
    await services.backing.put_manifest(repository.namespace, manifest.digest, manifest.media_type, manifest.body)
    services.images.add(repository, manifest, services.clock())
    services.events.pushed(repository, manifest, None)


async def _store(services: Services, repository: Repository, data: bytes) -> dict[str, object]:
    async def once() -> AsyncIterator[bytes]:
        yield data

    digest = digest_of(data)
    location, size = await services.backing.append(await services.backing.start(repository.namespace), once())
    await services.backing.commit(location, digest)
    services.layers.add(repository, Layer(digest, size, "application/octet-stream"))
    return {"digest": digest, "size": size}
