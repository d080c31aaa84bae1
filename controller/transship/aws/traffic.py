"""Every request to ECR, whichever API it takes: its turn by the account's quotas, and how it ended.

Requests of the ECR API are met by hooks of botocore, attempt for attempt; requests of the distribution API by a `Pace`
that the registry client calls. Both draw from the same buckets, because ECR's do (ecr.md §2).
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from transship.aws.hosts import EcrHost
from transship.aws.quotas import Place, Quotas, Turn
from transship.oci.reference import Registry
from transship.refusals import is_throttle

ACTIONS: Mapping[tuple[str, str], str] = {
    ("GET", "manifest"): "BatchGetImage",
    ("HEAD", "manifest"): "BatchGetImage",
    ("PUT", "manifest"): "PutImage",
    ("GET", "blob"): "GetDownloadUrlForLayer",
    ("HEAD", "blob"): "BatchCheckLayerAvailability",
    ("POST", "upload"): "InitiateLayerUpload",
    ("PATCH", "upload"): "UploadLayerPart",
    ("PUT", "upload"): "CompleteLayerUpload",
    ("GET", "tags"): "ListImages",
    ("GET", "referrers"): "ListImageReferrers",
}
"""Which API action a request of the distribution API counts as (ecr.md §2), by method and kind of path."""
NOTICEABLE_SECONDS = 0.001
"""What is shorter is no waiting, but the way to one's turn."""
_FREE = "Other"
_ACCOUNT, _REGISTRY, _TURN = "transship_account", "transship_registry", "transship_turn"


class Observer(Protocol):
    """Whoever counts."""

    def registry_waited(self, registry: str, seconds: float) -> None:
        """A request waited for its turn."""

    def registry_answered(self, registry: str, method: str, status: int) -> None:
        """A request ended, with an HTTP status; 429 for whatever says "too fast", 0 when no answer came."""

    def token_failed(self, registry: str) -> None:
        """A role could not be assumed, or a token not be had."""


class Unobserved:
    """Nobody counts."""

    def registry_waited(self, registry: str, seconds: float) -> None:
        """See `Observer`."""

    def registry_answered(self, registry: str, method: str, status: int) -> None:
        """See `Observer`."""

    def token_failed(self, registry: str) -> None:
        """See `Observer`."""


class Traffic:
    """All requests to ECR of the process. Thread-safe."""

    def __init__(self, quotas: Quotas, observer: Observer | None = None) -> None:
        self._quotas = quotas
        self.observer = observer or Unobserved()

    def begin(self, place: Place, registry: str) -> Turn:
        """Wait for the turn of a request to a registry.

        Raises:
            RetryLater: Throttled, when it is too far away.
        """
        turn = self._quotas.take(place)
        if turn.waited > NOTICEABLE_SECONDS:
            self.observer.registry_waited(registry, turn.waited)
        return turn

    def end(self, turn: Turn, asked: tuple[str, str], status: int, retry_after: float | None = None) -> None:
        """Say how a request ended that a registry was asked by a method."""
        if _is_throttled(status, retry_after):
            self._quotas.throttled(turn, retry_after)
            status = HTTPStatus.TOO_MANY_REQUESTS
        self.observer.registry_answered(*asked, status)

    def attach(self, client: Any, host: EcrHost, caller: str = "") -> None:
        """Meet every attempt of every call of a boto3 ECR client that was made for a registry.

        A call counts for the account it names, and one that names none for the caller's, which is empty while that is
        not known.
        """
        own = host.name_of(host.account)

        def remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
            named = params.get("registryId") or _account_in(params.get("resourceArn"))
            context[_ACCOUNT], context[_REGISTRY] = named or caller, host.name_of(named) if named else own

        def before(request: Any, operation_name: str, **_: Any) -> None:
            # Before signing: a signature is good for five minutes only, and a turn may be some way off.
            place = Place(request.context.get(_ACCOUNT, ""), host.region, operation_name)
            request.context[_TURN] = self.begin(place, request.context.get(_REGISTRY, own))

        def after(response_dict: Any, parsed_response: Any, context: dict[str, Any], **_: Any) -> None:
            turn = context.pop(_TURN, None)
            if turn is not None:
                asked = context.get(_REGISTRY, own), turn.place.action
                self.end(turn, asked, _status_of_api(response_dict, parsed_response), _retry_after(response_dict))

        client.meta.events.register("provide-client-params.ecr.*", remember)
        client.meta.events.register("before-sign.ecr.*", before)
        client.meta.events.register("response-received.ecr.*", after)


class EcrPace:
    """The turns of one registry's distribution API; has the shape of the registry client's port `Pace`."""

    def __init__(self, traffic: Traffic, registry: Registry) -> None:
        host = EcrHost.of(registry)
        if host is None:
            raise ValueError(f"{registry} is not an ECR registry")
        self._traffic = traffic
        self._registry = registry.host
        self._host = host

    def turn(self, method: str, kind: str) -> Callable[[int, float | None], None]:
        """Wait for a request's turn.

        What is returned is to be called with the answer's status (0 when none came) and Retry-After.

        Raises:
            RetryLater: Throttled, when it is too far away.
        """
        action = ACTIONS.get((method, kind), _FREE)
        turn = self._traffic.begin(Place(self._host.account, self._host.region, action), self._registry)

        def answered(status: int, retry_after: float | None) -> None:
            self._traffic.end(turn, (self._registry, method), status, retry_after)

        return answered


def _account_in(arn: str | None) -> str:
    return arn.split(":")[4] if arn else ""


def _is_throttled(status: int, retry_after: float | None) -> bool:
    asked_to_wait = status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None
    return status == HTTPStatus.TOO_MANY_REQUESTS or asked_to_wait


def _status_of_api(response: Mapping[str, Any] | None, parsed: Mapping[str, Any] | None) -> int:
    if response is None or parsed is None:
        return 0
    if is_throttle(str(parsed.get("Error", {}).get("Code", ""))):
        return HTTPStatus.TOO_MANY_REQUESTS
    return int(response["status_code"])


def _retry_after(response: Mapping[str, Any] | None) -> float | None:
    text = str((response or {}).get("headers", {}).get("Retry-After", ""))
    return float(text) if text.isascii() and text.isdigit() else None
