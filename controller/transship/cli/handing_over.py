"""Handing a promotion to the operator of a cluster: a PromotionRequest is made or asked for again, and followed.

Its name is computed from the overlay and its images, so that a pipeline that runs again finds the same request.
"""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transship.cli import configuration
from transship.cli.given import STANDARD_INPUT
from transship.cli.inputs import Input
from transship.cli.kube import Connection
from transship.cli.output import Output
from transship.cli.planning import NOT_IN_NAMES, WantedImage, containers, split, wanted_images
from transship.cli.progress import Watcher
from transship.cli.promoting import Ended, Told
from transship.cli.waiting import verdict
from transship.cluster.following import Requests
from transship.errors import NeedsHuman, Reason
from transship.promotion.argocd import REVISION
from transship.promotion.duration import parse_duration
from transship.promotion.history import ASKED_BY, FIRST_ASKED_BY, OVERLAY
from transship.promotion.request import (
    API_VERSION,
    KIND,
    PromotionRequest,
    RequestKey,
    parse_request,
    request_name,
    require_images,
)
from transship.promotion.status import ImageStatus
from transship.promotion.workload import ContainerImage, WorkloadKey

_ACTORS = ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BITBUCKET_STEP_TRIGGERER_UUID")
_GIT_SECONDS = 5.0
_MAX_TEXT = 256
MAX_IMAGES = 64
"""One request may name so many (manifests/crd)."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How one request went.

    Attributes:
        is_ready: every image of it is proven.
        reason: why it has stalled; empty while it goes on.
    """

    key: RequestKey
    is_ready: bool
    reason: str
    ended: tuple[Ended, ...]


def hand_over(given: Input, connection: Connection, timeout: str, watch: Watcher, out: Output) -> list[HandedOver]:
    """Have the operator promote the images of an overlay, and follow it until it has ended or the time is over.

    Raises:
        PolicyError: the cluster has no policy that can be used.
        NeedsHuman, RetryLater: of the cluster.
    """
    found = configuration.read_cluster(connection.cluster)
    deadline = time.monotonic() + parse_duration(timeout)
    handed: list[HandedOver] = []
    wanted = wanted_images(given.images, connection.namespace)
    for namespace in dict.fromkeys(each.namespace for each in wanted):
        covered, others = split([each for each in wanted if each.namespace == namespace], found)
        for start in range(0, len(covered), MAX_IMAGES):
            part = covered[start : start + MAX_IMAGES]
            request = _ask(_resource(given.name, namespace, part, timeout), connection, out)
            out.say(f"PromotionRequest {request.key}")
            handed.append(_follow(request, part, connection, deadline, Told(watch)))
        left = tuple(Ended(each.wanted, None, each) for each in others)
        if left:
            handed.append(HandedOver(RequestKey(namespace, ""), is_ready=True, reason="", ended=left))
    return handed


def _resource(name: str, namespace: str, wanted: Sequence[WantedImage], timeout: str) -> dict[str, Any]:
    images = containers(wanted)
    folder = "stream" if name == STANDARD_INPUT else Path(name).resolve().stem
    owner = WorkloadKey("Overlay", namespace, NOT_IN_NAMES.sub("-", folder.lower()).strip("-") or "overlay")
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": request_name(owner, images),
            "namespace": namespace,
            "annotations": _origin(name),
        },
        "spec": {
            "containers": [{"name": each.name, "image": each.image} for each in images],
            "timeout": timeout,
        },
    }


def _origin(name: str) -> dict[str, str]:
    """Who asks, with which overlay, and from which revision, as far as that can be seen."""
    found = {ASKED_BY: _actor()}
    if name != STANDARD_INPUT:
        path = Path(name)
        found |= {OVERLAY: name, REVISION: _revision(path if path.is_dir() else path.parent)}
    return {annotation: text[:_MAX_TEXT] for annotation, text in found.items() if text}


def _actor() -> str:
    actor = next((os.environ[each] for each in _ACTORS if os.environ.get(each)), "")
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run as a number that has no name
        return ""


def _revision(overlay: Path) -> str:
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a program of PATH, which reads
            [program, "-C", str(overlay), "rev-parse", "--verify", "--quiet", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _ask(resource: dict[str, Any], connection: Connection, out: Output) -> PromotionRequest:
    """Make the request; one that is there and has ended is asked for again, as what it says may be true no more.

    One that goes on is followed. Whoever asks last is written on it in either case.
    """
    metadata = resource["metadata"]
    key = RequestKey(metadata["namespace"], metadata["name"])
    made = connection.cluster.create_request(resource)
    if made is not None:
        return parse_request(made)
    there = connection.cluster.request(key)
    if there is None:
        raise NeedsHuman(
            Reason.INVALID_REQUEST, f"namespace {key.namespace} does not exist; name another one with --namespace"
        )
    request = parse_request(there)
    require_images(request, [ContainerImage(each["name"], each["image"]) for each in resource["spec"]["containers"]])
    asker = _asker(metadata["annotations"], there["metadata"].get("annotations") or {})
    if verdict(request) is None:
        _join(there, asker, connection, out)
        return request
    again = connection.cluster.ask_again(there, asker, _other(resource, there))
    return parse_request(again) if again is not None else request


def _asker(now: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """The annotations that say who asks now; whoever asked first is kept, where that was somebody else."""
    told = {each: now.get(each, "") for each in (ASKED_BY, OVERLAY, REVISION)}
    first = before.get(ASKED_BY, "")
    if first and first != told[ASKED_BY] and FIRST_ASKED_BY not in before:
        told[FIRST_ASKED_BY] = first
    return {name: text for name, text in told.items() if text != before.get(name, "")}


def _join(there: dict[str, Any], asker: Mapping[str, str], connection: Connection, out: Output) -> None:
    """Write who asks for what others have asked for already; to follow it nobody needs the right to."""
    try:
        if asker:
            connection.cluster.ask_again(there, asker)
    except NeedsHuman as error:
        if error.reason is not Reason.DENIED:
            raise
        out.say(f"transship: PromotionRequest {there['metadata']['name']} keeps who asked for it before: {error}")


def _other(resource: dict[str, Any], there: dict[str, Any]) -> str:
    """The timeout, spelt in another way than it is: a new generation is what makes the operator look again."""
    seconds = int(parse_duration(resource["spec"]["timeout"]))
    spellings = [f"{seconds}s", f"0h{seconds}s"]
    return next(each for each in spellings if each != there["spec"].get("timeout"))


def _follow(
    request: PromotionRequest, wanted: Sequence[WantedImage], connection: Connection, deadline: float, told: Told
) -> HandedOver:
    key, ended = request.key, verdict(request)
    changes = Requests(connection.api).follow(key.namespace, lambda: deadline - time.monotonic())
    while ended is None:
        change = next((each for each in changes if each.key == key), None)
        if change is None:
            break
        if change.is_gone:
            raise NeedsHuman(Reason.INVALID_REQUEST, f"PromotionRequest {key} was deleted meanwhile")
        seen = parse_request(change.resource)
        if seen.generation < request.generation:
            continue  # from before it was asked for again
        if seen.status.observed_generation == seen.generation:
            told.publish(seen.status)
        request, ended = seen, verdict(seen)
    is_ready = ended is not None and ended.is_ready
    return HandedOver(
        key, is_ready, ended.reason if ended is not None and not is_ready else "", _images(request, wanted)
    )


def _images(request: PromotionRequest, wanted: Sequence[WantedImage]) -> tuple[Ended, ...]:
    by_name = {each.name: each for each in request.status.images}
    by_image = {each.image: by_name[each.name] for each in request.containers if each.name in by_name}
    is_seen = request.status.observed_generation == request.generation
    left = "still going on" if is_seen else "no operator has looked at it; see whether one runs in the cluster"
    return tuple(
        Ended(each, by_image.get(each.image, ImageStatus(each.image, reason=Reason.PENDING, message=left)))
        for each in wanted
    )
