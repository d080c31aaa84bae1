"""One registry, seen with one identity: authorised requests and nothing but clear errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from urllib3.exceptions import HTTPError

from transship.errors import Reason, TransshipError
from transship.oci.reference import Repository
from transship.registry.answer import Answer
from transship.registry.auth import Access, Credentials
from transship.registry.failures import Asked, Refusal, failure, retry_after, unreachable
from transship.registry.pace import Kind, Pace, Unpaced
from transship.registry.patience import Patience
from transship.registry.redirect import MAX_HOPS, REDIRECTS, next_url, origin
from transship.registry.transport import Transport, finish

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Request:
    """What to send; `path` is below `/v2/`, or a whole URL that the registry gave, and leads to a `kind` of thing."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes | memoryview] | None = None
    kind: Kind = Kind.MANIFEST

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again: a stream cannot, and bytes of a blob would be added to those sent before."""
        return not self.body or (isinstance(self.body, bytes) and self.kind is not Kind.UPLOAD)

    @property
    def mounts_from(self) -> str:
        """The path of the repository a blob is to be mounted from, which has to be readable; empty for none."""
        if self.method != "POST" or "from=" not in self.path:
            return ""
        return parse_qs(urlsplit(self.path).query).get("from", [""])[0]


class Exchange:
    """Sends requests about one repository to its registry. Thread-safe."""

    def __init__(
        self,
        transport: Transport,
        repository: Repository,
        credentials: Credentials,
        pace: Pace | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._transport = transport
        self._pace = pace or Unpaced()
        self._patience = patience or Patience()
        self._repository = repository
        self._credentials = credentials
        self._base = transport.hosts.base_url(repository.registry.host)

    def send(self, asked: Asked, request: Request) -> Answer:
        """Send a request and return whatever the registry answers; its body has to be read or closed.

        A refused Authorization is renewed and tried once more: on 401, and on 403 because that is how ECR answers an
        expired token (ecr.md §2, row 3). What can be repeated is, as `patience` says, while the registry is busy.

        Raises:
            RetryLater: Unreachable, Throttled when the registry wants to be left alone for long, or the credentials
                were renewed under a stream that cannot be sent again.
            NeedsHuman: the host may not be talked to, or there are no credentials.
        """
        url = self.url(request.path)
        authorization = self._authorization(asked, url, request)
        response = self._open(asked, url, request, authorization)
        if response.status not in _REFUSED or not self.is_ours(url):
            return response
        renewed = self._renew(asked, request, authorization, response)
        if renewed == authorization:
            return response
        if not request.is_repeatable:
            refusal = Refusal.read(response)
            if refusal.denial is not None:
                raise failure(asked, refusal)  # no other token would change that
            raise asked.retry(Reason.REGISTRY_ERROR, f"{asked.host} refused the credentials; they have been renewed")
        finish(response)
        return self._open(asked, url, request, renewed)

    def fetch(self, asked: Asked, request: Request) -> tuple[Answer, str]:
        """Send a request that reads and follow where it leads; returns the answer and the host that gave it.

        Raises:
            RetryLater, NeedsHuman: as `follow`.
        """
        response, url = self.follow(asked, request)
        return response, origin(url)[1]

    def follow(self, asked: Asked, request: Request) -> tuple[Answer, str]:
        """Send a request that reads and follow where it leads; returns the answer and the URL that gave it.

        Such a URL may be signed, and then it is a secret.

        Raises:
            RetryLater, NeedsHuman: as `send`, and for redirects that lead too far or where nothing may lead.
        """
        url = self.url(request.path)
        response = self.send(asked, request)
        hops = 0
        while response.status in REDIRECTS and hops < MAX_HOPS:
            url = next_url(asked, url, response)
            response = self._open(asked, url, request, self._authorization(asked, url, request))
            hops += 1
        if response.status not in REDIRECTS:
            self._check_encoding(asked, url, response)
            return response, url
        response.close()
        raise asked.retry(Reason.REGISTRY_ERROR, f"{asked.host} redirects {asked.what} more than {MAX_HOPS} times")

    def fetch_there(self, asked: Asked, url: str, request: Request) -> Answer:
        """Send a request that reads to where an earlier one led, without asking the registry again.

        Raises:
            RetryLater, NeedsHuman: as `send`.
        """
        response = self._open(asked, url, request, self._authorization(asked, url, request))
        self._check_encoding(asked, url, response)
        return response

    def expect(self, asked: Asked, request: Request, *wanted: int) -> Answer:
        """Send a request, and raise what any status but the wanted ones means.

        Raises:
            RetryLater, NeedsHuman: as `send`, and by `failures.failure`.
        """
        response = self.send(asked, request)
        if response.status not in wanted:
            raise failure(asked, Refusal.read(response))
        return response

    def url(self, path: str) -> str:
        """The URL of a path below `/v2/`; a whole URL stays itself."""
        return path if "://" in path else f"{self._base}/v2/{path}"

    def _open(self, asked: Asked, url: str, request: Request, authorization: str | None) -> Answer:
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            if not request.is_repeatable:
                return self._paced(url, request, headers)
            return self._patience.send(lambda: self._paced(url, request, headers))
        except HTTPError as error:
            raise unreachable(asked, origin(url)[1], error) from None  # its text holds the URL with its query
        except TransshipError as error:
            _place(asked, error)
            raise

    def _paced(self, url: str, request: Request, headers: Mapping[str, str]) -> Answer:
        """Wait for the registry's turn; a host it sends us on to has rates of its own, which nobody published."""
        pace = self._pace if self.is_ours(url) else Unpaced()
        answered = pace.turn(request.method, request.kind)
        try:
            response = self._transport.open(request.method, url, headers, request.body)
            wait = retry_after(response)
        except BaseException:
            answered(0, None)
            raise
        answered(response.status, wait)
        return response

    def _authorization(self, asked: Asked, url: str, request: Request) -> str | None:
        if not self.is_ours(url):
            return None
        try:
            return self._credentials.authorization(self._repository.registry, self._scope(request))
        except TransshipError as error:
            _place(asked, error)
            raise

    def _renew(self, asked: Asked, request: Request, refused: str | None, response: Answer) -> str | None:
        """What to try instead; what was refused, when there is nothing else."""
        challenge = ", ".join(response.headers.getlist("WWW-Authenticate"))
        registry, scope = self._repository.registry, self._scope(request)
        try:
            self._credentials.renew(registry, scope, refused, challenge)
            return self._credentials.authorization(registry, scope)
        except TransshipError as error:
            response.close()
            _place(asked, error)
            raise

    def _scope(self, request: Request) -> str:
        """What a token has to be good for: what we are about to do, and never what a challenge suggests."""
        scope = Access.of(request.method).to(self._repository)
        if not request.mounts_from:
            return scope
        return f"{scope} {Access.PULL.to(Repository(self._repository.registry, request.mounts_from))}"

    def is_ours(self, url: str) -> bool:
        """Whether a URL is one of the registry itself."""
        return origin(url) == origin(self._base)

    @staticmethod
    def _check_encoding(asked: Asked, url: str, response: Answer) -> None:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise asked.human(
                Reason.REFUSED_BY_REGISTRY,
                f"{origin(url)[1]} sent {asked.what} with a Content-Encoding nobody asked for; "
                "check for a proxy that rewrites answers",
            )


def _place(asked: Asked, error: TransshipError) -> None:
    error.side = error.side or asked.side
    error.step = error.step or asked.step
