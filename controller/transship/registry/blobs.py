"""Blobs of one repository (distribution-spec 1.1, "Pulling blobs" and "Pushing blobs").

Downloads follow the registry to where the bytes are. Uploads are POST, one streamed PATCH and a closing PUT: what
Docker does and ECR is known to take (ecr.md §2, rows 9 to 12); the registry's own Range header is not looked at,
because ECR's is wrong (row 10). A blob of one chunk goes with the closing PUT.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import chain
from urllib.parse import quote, urlsplit, urlunsplit

from urllib3.exceptions import HTTPError

from transship.errors import Reason, Side, TransshipError
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.reference import Repository
from transship.oci.store import Chunk
from transship.registry.answer import Answer
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure, unreachable
from transship.registry.pace import Kind
from transship.registry.redirect import REDIRECTS, origin, upload_url
from transship.registry.transport import finish

_EMPTY = {"Content-Length": "0"}
_GIVEN = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_BEGUN = (HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
_SENT = (HTTPStatus.ACCEPTED, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
_CLOSED = (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.ACCEPTED)


class Blobs:
    """Reads and writes blobs. Thread-safe."""

    def __init__(self, exchange: Exchange, repository: Repository, side: Side) -> None:
        self._exchange = exchange
        self._repository = repository
        self._side = side

    def read(self, blob: Descriptor) -> "Reader":
        """See `oci.store.Fetcher`."""
        return Reader(self._exchange, self._asked("read blob", blob), self._path(blob))

    def missing(self, blobs: Iterable[Descriptor]) -> frozenset[Digest]:
        """See `oci.store.Inventory`."""
        return frozenset(blob.digest for blob in blobs if not self._exists(blob))

    def push(self, blob: Descriptor, chunks: Iterator[Chunk], mount: Repository | None) -> bool:
        """See `oci.store.Pusher`.

        A blob that comes in one chunk goes with the closing PUT, which saves a request; it has been checked by then,
        as a stream's last chunk always has.
        """
        asked = self._asked("push blob", blob)
        upload = self._begin(asked, blob, mount)
        if upload is None:
            return True
        try:
            first = next(chunks, b"")
            if len(first) == blob.size:
                _exhaust(asked, chunks)
                self._commit(asked, upload, blob, bytes(first))
            else:
                upload = self._stream(asked, upload, blob, chain([first], chunks))
                self._commit(asked, upload, blob, b"")
        except BaseException:
            self._abandon(asked, upload)
            raise
        return False

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

    def _begin(self, asked: Asked, blob: Descriptor, mount: Repository | None) -> str | None:
        """Where to send the blob to; None when the registry has mounted it."""
        path = f"{self._repository.path}/blobs/uploads/"
        if mount is not None:
            query = f"?mount={quote(str(blob.digest), safe='')}&from={quote(mount.path, safe='')}"
            response = self._exchange.send(asked, Request("POST", path + query, _EMPTY, kind=Kind.UPLOAD))
            finish(response)
            if response.status == HTTPStatus.CREATED:
                return None
            if response.status == HTTPStatus.ACCEPTED:
                return upload_url(asked, self._exchange.url(path), response)
            # Some registries refuse what they cannot mount instead of beginning an upload: then we begin one.
        response = self._exchange.expect(asked, Request("POST", path, _EMPTY, kind=Kind.UPLOAD), *_BEGUN)
        finish(response)
        return upload_url(asked, self._exchange.url(path), response)

    def _stream(self, asked: Asked, upload: str, blob: Descriptor, chunks: Iterator[Chunk]) -> str:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        response = self._exchange.expect(asked, Request("PATCH", upload, headers, chunks, Kind.UPLOAD), *_SENT)
        finish(response)
        return upload_url(asked, upload, response) if "Location" in response.headers else upload

    def _commit(self, asked: Asked, upload: str, blob: Descriptor, rest: bytes) -> None:
        parts = urlsplit(upload)
        query = f"{parts.query}&" if parts.query else ""
        closing = urlunsplit(parts._replace(query=f"{query}digest={quote(str(blob.digest), safe='')}"))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(rest))}
        finish(self._exchange.expect(asked, Request("PUT", closing, headers, rest, Kind.UPLOAD), *_CLOSED))

    def _abandon(self, asked: Asked, upload: str) -> None:
        # Best effort: an upload nobody closes is invisible and the registry drops it some day.
        with suppress(TransshipError):
            finish(self._exchange.send(asked, Request("DELETE", upload, kind=Kind.UPLOAD)))

    def _path(self, blob: Descriptor) -> str:
        return f"{self._repository.path}/blobs/{blob.digest}"

    def _asked(self, step: str, blob: Descriptor) -> Asked:
        return Asked(self._side, step, self._repository, f"blob {blob.digest}")


def _exhaust(asked: Asked, chunks: Iterator[Chunk]) -> None:
    """A stream whose bytes have all come may still have something to say."""
    if any(chunks):
        raise asked.retry(Reason.CONTENT_MISMATCH, f"{asked.what} has more bytes than it was to have")


class Reader:
    """Implements `oci.store.BlobReader`: ranges of one blob, from wherever the registry keeps it."""

    def __init__(self, exchange: Exchange, asked: Asked, path: str) -> None:
        self._exchange = exchange
        self._asked = asked
        self._path = path
        self.takes_ranges = True
        self._there: str | None = None
        """Where the registry sent us for the bytes; signed, and so never shown."""

    @contextmanager
    def open(self, start: int = 0, stop: int | None = None) -> Iterator["_Stream"]:
        """See `oci.store.BlobReader`."""
        is_part = start > 0 or stop is not None
        headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if is_part else {}
        request = Request("GET", self._path, headers, kind=Kind.BLOB)
        response, url = self._ask(request)
        host = origin(url)[1]
        try:
            self._check(response, host, start, is_part=is_part)
            yield _Stream(self._asked, host, response)
        finally:
            response.close()

    def _ask(self, request: Request) -> tuple[Answer, str]:
        """Ask where the bytes were the last time, and the registry when they are not given there any more."""
        if self._there is not None:
            there = self._there
            response = self._exchange.fetch_there(self._asked, there, request)
            if response.status in _GIVEN:
                return response, there
            finish(response)
            self._there = None
        response, url = self._exchange.follow(self._asked, request)
        if response.status in _GIVEN and not self._exchange.is_ours(url):
            self._there = url
        return response, url

    def _check(self, response: Answer, host: str, start: int, *, is_part: bool) -> None:
        if response.status == HTTPStatus.OK and start == 0:
            self.takes_ranges = not is_part
            return
        if response.status == HTTPStatus.OK:
            self.takes_ranges = False  # it cannot be continued: whoever reads begins again
        if response.status != HTTPStatus.PARTIAL_CONTENT or not is_part:
            raise self._refused(response, host)
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise self._asked.retry(Reason.REGISTRY_ERROR, f"{host} did not continue {self._asked.what} there")

    def _refused(self, response: Answer, host: str) -> TransshipError:
        refusal = Refusal.read(response)
        if host != origin(self._exchange.url(self._path))[1]:
            # Not the registry's word: a presigned URL that is too old, or a blob host in trouble. Ask again later.
            busy = refusal.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
            return self._asked.retry(
                Reason.THROTTLED if busy else Reason.REGISTRY_ERROR,
                f"{host} answered HTTP {refusal.status} for {self._asked.what}",
                refusal.after,
            )
        if refusal.status == HTTPStatus.NOT_FOUND:
            return self._asked.human(
                Reason.SOURCE_MISSING,
                f"{self._asked.repository} does not hold {self._asked.what}; push the whole image there again",
            )
        if refusal.status in {HTTPStatus.OK, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
            return self._asked.retry(Reason.REGISTRY_ERROR, f"{host} cannot continue {self._asked.what}")
        return failure(self._asked, refusal)


class _Stream:
    """Implements `oci.store.Stream`."""

    def __init__(self, asked: Asked, host: str, response: Answer) -> None:
        self._asked = asked
        self._host = host
        self._response = response

    def readinto(self, room: memoryview) -> int:
        """See `oci.store.Stream`."""
        try:
            return self._response.readinto(room)
        except HTTPError as error:
            raise unreachable(self._asked, self._host, error) from None
