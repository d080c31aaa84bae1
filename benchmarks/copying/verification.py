"""Whether what should have arrived is at the destination, exactly; found out by a reader that nobody competes with.

It reads over the standard library's HTTP client, at a listener without TLS, distance or counting, after the clock has
stopped. It trusts no header: what it hashes is what it received.
"""

import hashlib
import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse

from copying.content import MANIFEST_TYPE, REPOSITORY, Blob, Content, Image

READ_BYTES = 1024 * 1024
READ_SECONDS = 120.0


def complaints(address: str, content: Content, *, read_blobs: bool = True) -> list[str]:
    """Say in sentences what is wrong at the destination; an empty list when everything is right.

    Args:
        address: `host:port` of the inspection listener.
        content: what should be there.
        read_blobs: read and hash every blob; otherwise only its presence and size are asked for, of a destination that
            hashed it when it came.
    """
    connection = HTTPConnection(address, timeout=READ_SECONDS)
    try:
        return _complaints(connection, content, read_blobs=read_blobs)
    finally:
        connection.close()


def _complaints(connection: HTTPConnection, content: Content, *, read_blobs: bool) -> list[str]:
    found = []
    tags = set(json.loads(_get(connection, "tags/list").read())["tags"] or [])
    expected = {image.tag for image in content.images}
    found += [f"tag {tag} is missing" for tag in sorted(expected - tags)]
    found += [f"tag {tag} is one too many" for tag in sorted(tags - expected)]
    for image in content.images:
        if image.tag in tags:
            found += _manifest(connection, image)
    for blob in content.blobs:
        complaint = _blob(connection, blob) if read_blobs else _presence(connection, blob)
        found += [complaint] if complaint else []
    return found


def _manifest(connection: HTTPConnection, image: Image) -> list[str]:
    response = _get(connection, f"manifests/{image.tag}")
    body = response.read()
    digest, kind = f"sha256:{hashlib.sha256(body).hexdigest()}", response.headers["Content-Type"]
    if response.status != HTTPStatus.OK:
        return [f"tag {image.tag} is answered with {response.status}"]
    if digest != image.digest:
        return [f"tag {image.tag} stands for {digest}, not for {image.digest}"]
    return [] if kind == MANIFEST_TYPE else [f"the manifest of {image.tag} has become {kind}"]


def _blob(connection: HTTPConnection, blob: Blob) -> str:
    response = _get(connection, f"blobs/{blob.digest}")
    seen, size = hashlib.sha256(), 0
    while part := response.read(READ_BYTES):
        seen.update(part)
        size += len(part)
    if response.status != HTTPStatus.OK:
        return f"blob {blob.digest} is missing"
    if seen.hexdigest() != blob.digest.removeprefix("sha256:"):
        return f"blob {blob.digest} has other content, {size} bytes of it"
    return ""


def _presence(connection: HTTPConnection, blob: Blob) -> str:
    response = _get(connection, f"blobs/{blob.digest}", method="HEAD")
    response.read()
    right = response.status == HTTPStatus.OK and int(response.headers["Content-Length"]) == blob.size
    return "" if right else f"blob {blob.digest} is missing or has another size"


def _get(connection: HTTPConnection, path: str, method: str = "GET") -> HTTPResponse:
    # Distribution gives OCI manifests to those only who say that they know them.
    connection.request(method, f"/v2/{REPOSITORY}/{path}", headers={"Accept": f"{MANIFEST_TYPE}, */*"})
    return connection.getresponse()
