"""Counting what registries are asked that are not ECR; ECR's requests are counted where their turns are given."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transship.aws.traffic import NOTICEABLE_SECONDS, Observer
from transship.errors import TransshipError
from transship.oci.reference import Registry
from transship.registry.auth import Credentials
from transship.registry.pace import Pace


class CountedPace:
    """Implements `registry.pace.Pace`: the turns of one registry, counted.

    Args:
        pace: gives the turns.
        registry: whose they are.
        observer: is told.
    """

    def __init__(self, pace: Pace, registry: Registry, observer: Observer) -> None:
        self._pace = pace
        self._registry = registry.host
        self._observer = observer

    def turn(self, method: str, kind: str) -> Callable[[int, float | None], None]:
        """See `Pace`."""
        asked_at = time.monotonic()
        end = self._pace.turn(method, kind)
        waited = time.monotonic() - asked_at
        if waited > NOTICEABLE_SECONDS:
            self._observer.registry_waited(self._registry, waited)

        def answered(status: int, retry_after: float | None) -> None:
            end(status, retry_after)
            self._observer.registry_answered(self._registry, method, status)

        return answered


class CountedCredentials:
    """Implements `registry.auth.Credentials`: each time that there are none to be had is counted.

    Args:
        credentials: of registries.
        observer: is told.
    """

    def __init__(self, credentials: Credentials, observer: Observer) -> None:
        self._credentials = credentials
        self._observer = observer

    def authorization(self, registry: Registry, scope: str) -> str | None:
        """See `Credentials`."""
        with self._counted(registry):
            return self._credentials.authorization(registry, scope)

    def renew(self, registry: Registry, scope: str, refused: str | None, challenge: str) -> None:
        """See `Credentials`."""
        with self._counted(registry):
            self._credentials.renew(registry, scope, refused, challenge)

    @contextmanager
    def _counted(self, registry: Registry) -> Iterator[None]:
        try:
            yield
        except TransshipError:
            self._observer.token_failed(registry.host)
            raise
