"""How people name what they ask about: a request by its name, a workload or hook as kind/name."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transship.errors import NeedsHuman, Reason

if TYPE_CHECKING:
    from transship.promotion.request import PromotionRequest, RequestKey

RESOURCE = "promotionrequest.transship.dev"
"""What `-o name` puts before the name of a request, as kubectl does."""

_REQUESTS = frozenset({"preq", "promotionrequest", "promotionrequests", RESOURCE, "promotionrequests.transship.dev"})
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"), "Deployment"),
    **dict.fromkeys(("statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps"), "StatefulSet"),
    **dict.fromkeys(("daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps"), "DaemonSet"),
    **dict.fromkeys(("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch"), "CronJob"),
    **dict.fromkeys(("job", "jobs", "job.batch", "jobs.batch"), "Job"),
}

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_MAX_NAME = 253

For = Annotated[
    str | None,
    typer.Option("--for", metavar="KIND/NAME", help="the requests of a workload or hook, such as job/promote-images"),
]


def require_name(text: str, what: str) -> str:
    """A name as Kubernetes has them, which may stand in a path of its API.

    Raises:
        NeedsHuman: it cannot be one.
    """
    if _NAME.fullmatch(text) is None or len(text) > _MAX_NAME:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"{text[:80]!r} cannot be {what}: names have small letters, digits, hyphens and dots, and begin and end "
            "with a letter or digit",
        )
    return text


def request_named(text: str) -> str:
    """The name of a request, given as kubectl takes it: with its kind before it or without.

    Raises:
        NeedsHuman: it names something else.
    """
    kind, slash, name = text.rpartition("/")
    if not name or (slash and kind.lower() not in _REQUESTS):
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"{text[:80]!r} is not a PromotionRequest's name; for those of a workload or hook say --for {text[:80]}",
        )
    return require_name(name, "a PromotionRequest's name")


def owner_named(text: str) -> tuple[str, str]:
    """Kind and name of a workload or hook.

    Raises:
        NeedsHuman: its kind has no requests.
    """
    kind, _, name = text.partition("/")
    found = _KINDS.get(kind.lower())
    if found is None or not name:
        kinds = ", ".join(dict.fromkeys(each.lower() for each in _KINDS.values()))
        raise NeedsHuman(
            Reason.INVALID_REQUEST, f"{text[:80]!r} is not KIND/NAME; KIND is one of {kinds}: job/promote-images"
        )
    return found, name


def is_of(request: "PromotionRequest", owner: tuple[str, str]) -> bool:
    """Whether it was made for that workload or hook."""
    return request.owner is not None and (request.owner.kind, request.owner.name) == owner


def no_request(key: "RequestKey") -> NeedsHuman:
    """What is said of a name that leads to nothing."""
    return NeedsHuman(
        Reason.INVALID_REQUEST,
        f"there is no PromotionRequest {key.name} in namespace {key.namespace}; `transship status -A` lists all",
    )


def names_of(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """What `-o name` prints of requests."""
    return [f"{RESOURCE}/{each['metadata']['name']}" for each in resources]


def is_request(text: str) -> bool:
    """Whether a word names a request rather than an image: names have neither slashes, colons nor at signs."""
    return text.partition("/")[0].lower() in _REQUESTS or not any(each in text for each in "/:@")
