"""The bytes: a client of the distribution process behind the twin.

Distribution computes and checks every digest by itself, so a mistake of the twin about bytes cannot go unnoticed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import ClientResponse, ClientSession, ClientTimeout, UnixConnector
from yarl import URL

#: Size of the pieces in which blob bodies pass through.
CHUNK = 256 * 1024
_ORIGIN = "http://distribution"


class DigestMismatchError(Exception):
    """The bytes stored do not have the digest that was claimed."""


class BackingError(Exception):
    """The distribution process answered something unexpected: a defect of the twin, or a full disk."""


class Backing:
    """One HTTP session to the distribution process, over its unix socket."""

    def __init__(self, socket: str) -> None:
        self._session = ClientSession(
            connector=UnixConnector(socket, limit=0),
            timeout=ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def is_up(self) -> bool:
        """Tell whether the process answers."""
        try:
            async with self._session.get(f"{_ORIGIN}/v2/") as response:
                return response.status == HTTPStatus.OK
        except OSError:
            return False

    async def start(self, namespace: str) -> str:
        """Start an upload; gives the location to append to."""
        async with self._session.post(f"{_ORIGIN}/v2/{namespace}/blobs/uploads/") as response:
            await _expect(response, HTTPStatus.ACCEPTED)
            return response.headers["Location"]

    async def append(self, location: str, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Append a part; gives the next location and the part's length."""
        length = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal length
            async for chunk in chunks:
                length += len(chunk)
                yield chunk

        headers = {"Content-Type": "application/octet-stream"}
        async with self._session.patch(_url(location), data=counted(), headers=headers) as response:
            await _expect(response, HTTPStatus.ACCEPTED)
            return response.headers["Location"], length

    async def commit(self, location: str, digest: str) -> None:
        """Finish an upload.

        Raises:
            DigestMismatchError: when the bytes do not have the digest.
        """
        url = _url(location)
        async with self._session.put(url.update_query(digest=digest)) as response:
            if response.status == HTTPStatus.BAD_REQUEST:
                raise DigestMismatchError
            await _expect(response, HTTPStatus.CREATED)

    async def mount(self, namespace: str, digest: str, source: str) -> None:
        """Make a blob of one namespace available in another."""
        url = URL(f"{_ORIGIN}/v2/{namespace}/blobs/uploads/").with_query({"mount": digest, "from": source})
        async with self._session.post(url) as response:
            await _expect(response, HTTPStatus.CREATED)

    async def put_manifest(self, namespace: str, digest: str, media_type: str, body: bytes) -> None:
        """Store a manifest by digest."""
        url = f"{_ORIGIN}/v2/{namespace}/manifests/{digest}"
        async with self._session.put(url, data=body, headers={"Content-Type": media_type}) as response:
            await _expect(response, HTTPStatus.CREATED)

    async def read_manifest(self, namespace: str, digest: str, media_type: str) -> bytes:
        """Read a manifest's bytes."""
        url = f"{_ORIGIN}/v2/{namespace}/manifests/{digest}"
        async with self._session.get(url, headers={"Accept": media_type}) as response:
            await _expect(response, HTTPStatus.OK)
            return await response.read()

    @asynccontextmanager
    async def blob(self, namespace: str, digest: str, byte_range: str | None) -> AsyncIterator[ClientResponse]:
        """Open a blob for streaming; the Range header is passed on."""
        headers = {"Range": byte_range} if byte_range else {}
        async with self._session.get(f"{_ORIGIN}/v2/{namespace}/blobs/{digest}", headers=headers) as response:
            yield response


def _url(location: str) -> URL:
    path, _, query = location.partition("?")
    base = path if path.startswith("http") else _ORIGIN + path
    return URL(base).with_query(parse_qsl(query))


async def _expect(response: ClientResponse, status: HTTPStatus) -> None:
    if response.status != status:
        text: Any = (await response.read())[:500]
        raise BackingError(
            f"distribution answered {response.status} to {response.method} {response.url.path}: {text!r}"
        )
