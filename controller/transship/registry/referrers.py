"""What is attached to a manifest (distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema").

Registries with the Referrers API keep the list themselves. For the others every client that pushes a manifest with a
subject also writes the list, an index under a tag of the subject: read, merged and written without a way to lock it,
so it is read again afterwards.
"""

import random
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from weakref import WeakKeyDictionary

from transship.errors import NeedsHuman, Reason, RetryLater, Side
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.manifest import OCI_INDEX, InvalidManifest, Manifest
from transship.oci.reference import Registry, Repository, Tag
from transship.oci.referrers import MAX_REFERRERS
from transship.oci.referrers_tag import fallback_tag, listing, without
from transship.registry.answer import Answer
from transship.registry.exchange import Exchange, Request
from transship.registry.failures import Asked, Refusal, failure
from transship.registry.manifests import Manifests, media_type_of, read_content
from transship.registry.pace import Kind
from transship.registry.redirect import REDIRECTS, next_query
from transship.registry.transport import Transport, finish

FORGET_AFTER = 600.0
"""Seconds after which a registry without the API is asked again whether it has it now."""
MAX_PAGES = 50
MAX_ATTEMPTS = 5
"""How often a list that others write at the same time is written again."""

_ACCEPT = {"Accept": OCI_INDEX}
_NO_API = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


class Knowledge:
    """What a process knows of the registries it has asked for referrers. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._without_api: dict[Registry, float] = {}
        self._locks = tuple(threading.Lock() for _ in range(64))

    @classmethod
    def of(cls, transport: Transport) -> "Knowledge":
        """What is known by everybody who uses a transport."""
        with _MAKING:
            return _KNOWLEDGE.setdefault(transport, cls())

    def may_have_api(self, registry: Registry) -> bool:
        """Whether it is worth asking."""
        return self._without_api.get(registry, 0.0) <= self._clock()

    def has_no_api(self, registry: Registry) -> None:
        """A registry was asked, and knows nothing of the API."""
        self._without_api[registry] = self._clock() + FORGET_AFTER

    def lock(self, repository: Repository, tag: Tag) -> threading.Lock:
        """To be held while a list is read and written; a few lists share one."""
        return self._locks[hash((repository, tag)) % len(self._locks)]


_KNOWLEDGE: WeakKeyDictionary[Transport, Knowledge] = WeakKeyDictionary()
_MAKING = threading.Lock()


class Referrers:
    """Lists the referrers of manifests, and keeps the lists that the registry does not keep. Thread-safe."""

    def __init__(
        self, exchange: Exchange, repository: Repository, side: Side, manifests: Manifests, knowledge: Knowledge
    ) -> None:
        self._exchange = exchange
        self._repository = repository
        self._side = side
        self._manifests = manifests
        self._knowledge = knowledge

    def all(self, subject: Digest) -> tuple[Descriptor, ...]:
        """See `oci.store.Referrals`."""
        listed = self._by_api(subject)
        if listed is None:
            index = self._manifests.read(fallback_tag(subject))
            listed = index.children if index is not None else ()
        return tuple({each.digest: each for each in listed}.values())

    def add(self, referrer: Manifest, subject: Digest) -> None:
        """See to it that a manifest, which was pushed, is listed.

        Raises:
            NeedsHuman: something else is under the list's tag, or the tag may not move.
            RetryLater: others keep writing the list, or the registry cannot do it now.
        """
        if self._by_api(subject) is not None:
            return
        asked, tag = self._asked("list referrer", subject), fallback_tag(subject)
        with self._knowledge.lock(self._repository, tag):
            for attempt in range(MAX_ATTEMPTS):
                longer = self._longer(asked, referrer, tag)
                if longer is None:
                    return
                time.sleep(random.uniform(0, 0.1 * attempt))
                self._write(asked, longer, tag)
            if self._longer(asked, referrer, tag) is None:
                return
        raise asked.retry(
            Reason.REGISTRY_ERROR, f"others keep writing the tag {tag} of {self._repository}, which lists referrers"
        )

    def _longer(self, asked: Asked, referrer: Manifest, tag: Tag) -> Manifest | None:
        """The list with the referrer on it; None when it is there already."""
        try:
            return listing(self._manifests.read(tag), referrer)
        except ValueError as error:
            raise asked.human(
                Reason.UNSUPPORTED_CONTENT,
                f"the tag {tag} of {self._repository} has to list the referrers of {asked.what} and cannot: {error}",
            ) from error

    def _write(self, asked: Asked, index: Manifest, tag: Tag) -> None:
        try:
            self._manifests.push(index, tag)
        except RetryLater as error:
            if error.reason is not Reason.REGISTRY_ERROR:
                raise
            # Entries of others may be left from manifests that are gone, which not every registry takes.
            gone = self._manifests.missing(each.digest for each in index.children)
            if not gone:
                raise
            self._manifests.push(without(index, gone), tag)
        except NeedsHuman as error:
            if error.reason is not Reason.TAG_CONFLICT:
                raise
            raise asked.human(
                Reason.TAG_CONFLICT,
                f"the tag {tag} of {self._repository} lists referrers and is immutable; let tags sha256-* move there",
            ) from error

    def _by_api(self, subject: Digest) -> tuple[Descriptor, ...] | None:
        """What the registry lists; None when it keeps no lists."""
        if not self._knowledge.may_have_api(self._repository.registry):
            return None
        asked, path = self._asked("list referrers", subject), f"{self._repository.path}/referrers/{subject}"
        found: list[Descriptor] = []
        query = ""
        for _ in range(MAX_PAGES):
            response = self._exchange.send(asked, Request("GET", path + query, _ACCEPT, kind=Kind.REFERRERS))
            page = self._page(asked, response)
            if page is None:
                return None
            found += page
            query = next_query(asked, response)
            if not query or len(found) > MAX_REFERRERS:
                return tuple(found)
        raise asked.retry(Reason.REGISTRY_ERROR, f"{asked.host} does not end its list of referrers of {subject}")

    def _page(self, asked: Asked, response: Answer) -> tuple[Descriptor, ...] | None:
        if response.status == HTTPStatus.OK and media_type_of(response) == OCI_INDEX:
            return _entries(asked, read_content(asked, asked.host, response))
        if response.status in REDIRECTS or response.status == HTTPStatus.OK:
            # A page for people, of a registry that does not know the path.
            finish(response)
            self._knowledge.has_no_api(self._repository.registry)
            return None
        refusal = Refusal.read(response)
        if refusal.code == "NAME_UNKNOWN":
            return ()
        if refusal.status in _NO_API:
            self._knowledge.has_no_api(self._repository.registry)
        elif refusal.status != HTTPStatus.BAD_REQUEST:  # to which it may have the API, and not for this subject
            raise failure(asked, refusal)
        return None

    def _asked(self, step: str, subject: Digest) -> Asked:
        return Asked(self._side, step, self._repository, str(subject))


def _entries(asked: Asked, content: bytes) -> tuple[Descriptor, ...]:
    try:
        return Manifest.parse(content, OCI_INDEX, Digest.of(content)).children
    except InvalidManifest as error:
        raise asked.human(
            Reason.UNSUPPORTED_CONTENT, f"{asked.host} sent no list of the referrers of {asked.what}: {error}"
        ) from error
