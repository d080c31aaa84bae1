"""Keeping the certificate that is served: from files that somebody else renews, or made by us and kept in a Secret.

Theory of operation of the Secret. All replicas do the same: read it, work out what it should hold now, write that if it
differs (whoever is slower sees that by the resourceVersion, and reads again), have the webhook configuration trust its
authorities, and only then serve what it holds. What is served is thus always trusted: a new authority is in the
configuration before anything that it has signed is served, and an old one stays there until it ends.
"""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from transship.admission import certificate
from transship.admission.certificate import Keyring, Lifetimes
from transship.admission.ports import CertificateStore
from transship.admission.repeating import Repeating
from transship.errors import NeedsHuman, Reason, RetryLater

_ATTEMPTS = 5
_log = structlog.get_logger(__name__)


class Certificates(Protocol):
    """Where the certificate comes from."""

    def look(self) -> ssl.SSLContext | None:
        """A context when there is another certificate than before, or None.

        Raises:
            NeedsHuman, RetryLater: there is none to be had.
        """


class Files:
    """A certificate that somebody else renews, for instance cert-manager.

    Args:
        chain: PEM file of the certificate, and of those between it and its authority.
        key: PEM file of its key.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._seen: tuple[bytes, bytes] | None = None

    def look(self) -> ssl.SSLContext | None:
        """See `Certificates`. A pair that does not fit, being half renewed, is refused and looked at again."""
        try:
            content = self._chain.read_bytes(), self._key.read_bytes()
            if content == self._seen:
                return None
            context = _context(self._chain, self._key)
        except OSError as error:  # ssl.SSLError is one
            raise NeedsHuman(
                Reason.INVALID_REQUEST,
                f"certificate {self._chain} and key {self._key} cannot be used ({error.strerror or error}); "
                "give PEM files that belong together",
            ) from error
        self._seen = content
        return context


class SelfManaged:
    """A certificate that we make, kept in a Secret that all replicas share.

    Args:
        store: the Secret and the webhook configuration.
        names: what the server is called by.
        clock: the time.
        lifetimes: how long certificates are good for.
    """

    def __init__(
        self, store: CertificateStore, names: Sequence[str], clock: Callable[[], datetime], lifetimes: Lifetimes
    ) -> None:
        self._store = store
        self._names = tuple(names)
        self._clock = clock
        self._lifetimes = lifetimes
        self._served: bytes | None = None

    def look(self) -> ssl.SSLContext | None:
        """See `Certificates`."""
        keyring = self._agree()
        if not self._store.trust(keyring.bundle):
            _log.warning("there is no webhook configuration, so nobody asks; apply manifests/admission")
        chain = certificate.pem(keyring.serving.certificate)
        if chain == self._served:
            return None
        context = _context_of(chain, keyring.serving.key_pem)
        self._served = chain
        return context

    def _agree(self) -> Keyring:
        """The keyring that all replicas have, made or renewed if that is due."""
        for _ in range(_ATTEMPTS):
            secret = self._store.secret()
            found = Keyring.parse(_decoded(secret)) if secret is not None else None
            now = self._clock()
            if found is None:
                wanted = certificate.make(self._names, now, self._lifetimes)
            else:
                wanted = certificate.renew(found, self._names, now, self._lifetimes)
            if wanted == found:
                return wanted
            if self._store.write_secret(_with(secret, wanted.to_data())) is not None:
                _log.info("certificate renewed", until=wanted.serving.certificate.not_valid_after_utc.isoformat())
                return wanted
        raise RetryLater(Reason.UNREACHABLE, "others keep writing the certificate's Secret at the same time")


class Keeper:
    """Looks after the certificate in a thread of its own.

    Args:
        certificates: where it comes from.
        interval: seconds between two looks.
    """

    def __init__(self, certificates: Certificates, interval: float) -> None:
        self._certificates = certificates
        self._context: ssl.SSLContext | None = None
        self._looking = Repeating("certificate", "certificate cannot be looked after", self._look, interval)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._looking.stop()

    @property
    def is_alive(self) -> bool:
        """The thread is there to look."""
        return self._looking.is_alive

    @property
    def has_certificate(self) -> bool:
        """Whether there is something to serve with."""
        return self._context is not None

    def context(self) -> ssl.SSLContext:
        """What to serve a new connection with.

        Raises:
            ConnectionError: there is no certificate yet.
        """
        if self._context is None:
            raise ConnectionError("there is no certificate yet")
        return self._context

    def _look(self) -> None:
        # What is served stays in force when this fails.
        self._context = self._certificates.look() or self._context


def _decoded(secret: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError, TypeError):
        return {}


def _with(secret: Mapping[str, Any] | None, data: Mapping[str, bytes]) -> dict[str, Any]:
    encoded = {name: base64.b64encode(content).decode() for name, content in data.items()}
    return {**(secret or {}), "data": encoded}


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key, password="")  # never ask a terminal for one
    return context


def _context_of(chain: bytes, key: bytes) -> ssl.SSLContext:
    """Python loads certificates from files alone: one that nobody else may read, for a moment."""
    descriptor, name = tempfile.mkstemp(prefix="transship-")  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + chain)
        return _context(path, path)
    finally:
        path.unlink()
