"""Blobs of one repository (distribution-spec 1.1, "Pulling blobs" and "Pushing blobs").

Downloads follow the registry to where the bytes are and continue by Range when they break off. Uploads are POST, one
streamed PATCH and a closing PUT: what Docker does and ECR is known to take (ecr.md §2, rows 9 to 12); the registry's
own Range header is not looked at, because ECR's is wrong (row 10).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from urllib.parse import quote, urlsplit, urlunsplit

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from transship.errors import Reason, Side, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Repository
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure, unreachable
from transship.registry.pace import Kind
from transship.registry.redirect import REDIRECTS, origin, upload_url
from transship.registry.transport import finish

CHUNK_BYTES = 256 * 1024
"""How much of a blob is held at a time."""
MAX_RESUMES = 3
"""How often one download may continue before the whole is tried again later."""

_EMPTY = {"Content-Length": "0"}
_BEGUN = (HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
_SENT = (HTTPStatus.ACCEPTED, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
_CLOSED = (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED)


class Blobs:
    """Reads and writes blobs. Thread-safe."""

    def __init__(self, exchange: Exchange, repository: Repository, side: Side) -> None:
        self._exchange = exchange
        self._repository = repository
        self._side = side

    @contextmanager
    def open(self, blob: Descriptor) -> Iterator[Iterator[bytes]]:
        """See `oci.store.Fetcher`."""
        download = _Download(self._exchange, self._asked("read blob", blob), self._path(blob), blob.size)
        try:
            download.begin()
            yield download.chunks()
        finally:
            download.close()

    def missing(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """See `oci.store.Inventory`."""
        return frozenset(blob.digest for blob in blobs if not self._exists(blob))

    def push(self, blob: Descriptor, chunks: Iterator[bytes]) -> None:
        """See `oci.store.Pusher`."""
        asked = self._asked("push blob", blob)
        upload = self._begin(asked)
        try:
            if blob.size:
                upload = self._stream(asked, upload, blob, chunks)
            else:
                _exhaust(asked, chunks)
            self._commit(asked, upload, blob)
        except BaseException:
            self._abandon(asked, upload)
            raise

    def _exists(self, blob: Descriptor) -> bool:
        asked = self._asked("look up", blob)
        response = self._exchange.send(asked, Request("HEAD", self._path(blob), kind=Kind.BLOB))
        finish(response)
        if response.status == HTTPStatus.NOT_FOUND:
            return False
        # Whoever sends the reader on to the bytes has them; a presigned URL need not be good for HEAD.
        if response.status == HTTPStatus.OK or response.status in REDIRECTS:
            return True
        raise failure(asked, Refusal(response.status))

    def _begin(self, asked: Asked) -> str:
        path = f"{self._repository.path}/blobs/uploads/"
        response = self._exchange.expect(
            asked, Request("POST", path, {"Content-Length": "0"}, kind=Kind.UPLOAD), *_BEGUN
        )
        finish(response)
        return upload_url(asked, self._exchange.url(path), response)

    def _stream(self, asked: Asked, upload: str, blob: Descriptor, chunks: Iterator[bytes]) -> str:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        response = self._exchange.expect(asked, Request("PATCH", upload, headers, chunks, Kind.UPLOAD), *_SENT)
        finish(response)
        return upload_url(asked, upload, response) if "Location" in response.headers else upload

    def _commit(self, asked: Asked, upload: str, blob: Descriptor) -> None:
        parts = urlsplit(upload)
        query = f"{parts.query}&" if parts.query else ""
        closing = urlunsplit(parts._replace(query=f"{query}digest={quote(str(blob.digest), safe='')}"))
        finish(self._exchange.expect(asked, Request("PUT", closing, _EMPTY, kind=Kind.UPLOAD), *_CLOSED))

    def _abandon(self, asked: Asked, upload: str) -> None:
        # Best effort: an upload nobody closes is invisible and the registry drops it some day.
        with suppress(TransshipError):
            finish(self._exchange.send(asked, Request("DELETE", upload, kind=Kind.UPLOAD)))

    def _path(self, blob: Descriptor) -> str:
        return f"{self._repository.path}/blobs/{blob.digest}"

    def _asked(self, step: str, blob: Descriptor) -> Asked:
        return Asked(self._side, step, self._repository, f"blob {blob.digest}")


def _exhaust(asked: Asked, chunks: Iterator[bytes]) -> None:
    """An empty blob has no bytes to send, but its stream may still have something to say."""
    if any(chunks):
        raise asked.retry(Reason.CONTENT_MISMATCH, f"{asked.what} was to be empty")


class _Download:
    """One blob on its way here; continues at the byte it reached."""

    def __init__(self, exchange: Exchange, asked: Asked, path: str, size: int) -> None:
        self._exchange = exchange
        self._asked = asked
        self._path = path
        self._size = size
        self._received = 0
        self._host = asked.host
        self._response: BaseHTTPResponse | None = None

    def begin(self) -> BaseHTTPResponse:
        """Ask for the bytes from where we are; the registry gives a fresh location every time."""
        headers = {"Range": f"bytes={self._received}-"} if self._received else {}
        response, self._host = self._exchange.fetch(self._asked, Request("GET", self._path, headers, kind=Kind.BLOB))
        if response.status != (HTTPStatus.PARTIAL_CONTENT if self._received else HTTPStatus.OK):
            raise self._refused(response)
        if self._received and not response.headers.get("Content-Range", "").startswith(f"bytes {self._received}-"):
            response.close()
            raise self._asked.retry(Reason.REGISTRY_ERROR, f"{self._host} did not continue {self._asked.what} there")
        self._response = response
        return response

    def chunks(self) -> Iterator[bytes]:
        for resumes in range(MAX_RESUMES + 1):
            response = self._response or self.begin()
            try:
                while chunk := response.read(CHUNK_BYTES, decode_content=False):
                    self._received += len(chunk)
                    yield chunk
            except HTTPError as error:
                self.close()
                if resumes == MAX_RESUMES or not 0 < self._received < self._size:
                    raise unreachable(self._asked, self._host, error) from None
            else:
                return

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _refused(self, response: BaseHTTPResponse) -> TransshipError:
        refusal = Refusal.read(response)
        if self._host != origin(self._exchange.url(self._path))[1]:
            # Not the registry's word: a presigned URL that is too old, or a blob host in trouble. Ask again later.
            busy = refusal.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
            return self._asked.retry(
                Reason.THROTTLED if busy else Reason.REGISTRY_ERROR,
                f"{self._host} answered HTTP {refusal.status} for {self._asked.what}",
                refusal.after,
            )
        if refusal.status == HTTPStatus.NOT_FOUND:
            return self._asked.human(
                Reason.SOURCE_MISSING,
                f"{self._asked.repository} does not hold {self._asked.what}; push the whole image there again",
            )
        if refusal.status in {HTTPStatus.OK, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
            return self._asked.retry(Reason.REGISTRY_ERROR, f"{self._host} cannot continue {self._asked.what}")
        return failure(self._asked, refusal)
