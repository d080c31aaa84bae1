"""AdmissionReviews (admission.k8s.io/v1): what comes from the API server, and what it is answered.

Every pod is allowed. The answer differs only in whether the pod gets a gate, and in what there is to warn of. Dry runs
are answered like all others, since answering has no side effect.
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from transship.admission.looking import Looking
from transship.admission.ports import Metrics
from transship.admission.rules import RuleBook
from transship.errors import TransshipError
from transship.promotion.admission import NEVER, gate_patch, judge, may_wait
from transship.promotion.workload import ContainerImage, pod_images

BUDGET_SECONDS = 0.9
"""Of the second a review may take; the rest is for the network and the API server."""
_API_VERSION, _KIND = "admission.k8s.io/v1", "AdmissionReview"
_MAX_WARNINGS, _MAX_WARNING = 5, 250
_MAX_UID, _MAX_NAME = 128, 253
_log = structlog.get_logger(__name__)


class Malformed(ValueError):  # noqa: N818 - what a body is
    """This is no review; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Review:
    """What is asked about a pod.

    Attributes:
        uid: of the review; the answer names it.
        namespace: where the pod is to be.
        name: of the pod, or the beginning of it, as far as it is known.
        images: what the pod will pull; none when it cannot wait, or the review is about something else.
        gate: the patch that makes it wait.
    """

    uid: str
    namespace: str
    name: str = ""
    images: tuple[ContainerImage, ...] = ()
    gate: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def parse(cls, body: bytes) -> "Review":
        """Read the body of a request.

        Raises:
            Malformed: it is no AdmissionReview of version v1.
        """
        try:
            review = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Malformed("the body is not JSON") from error
        if not isinstance(review, dict) or (review.get("apiVersion"), review.get("kind")) != (_API_VERSION, _KIND):
            raise Malformed(f"the body is not an {_KIND} of {_API_VERSION}")
        request = review.get("request")
        if not isinstance(request, dict):
            raise Malformed("the review has no request")
        uid, namespace = request.get("uid"), request.get("namespace", "")
        if not isinstance(uid, str) or not uid or len(uid) > _MAX_UID or not isinstance(namespace, str):
            raise Malformed("the request has no uid, or a namespace that is none")
        if not _is_new_pod(request):
            return cls(uid, namespace)
        try:
            pod = request["object"]
            name = str(pod["metadata"].get("name") or pod["metadata"].get("generateName") or "")[:_MAX_NAME]
            return cls(uid, namespace, name, _images(pod), gate_patch(pod))
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed("the pod is not of the shape the API server gives it") from error


def _images(pod: Mapping[str, Any]) -> tuple[ContainerImage, ...]:
    images = pod_images(pod["spec"]) if may_wait(pod) else ()
    if not all(isinstance(text, str) for each in images for text in (each.name, each.image)):
        raise TypeError(images)
    return images


def _is_new_pod(request: Mapping[str, Any]) -> bool:
    kind = request.get("kind")
    is_pod = isinstance(kind, dict) and (kind.get("group", ""), kind.get("kind")) == ("", "Pod")
    return is_pod and request.get("operation") == "CREATE" and not request.get("subResource")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a review is answered.

    Attributes:
        patch: JSON patch of the pod; empty to leave it alone.
        warnings: shown to whoever creates the pod.
        result: in a few words, for the metrics.
    """

    result: str
    patch: Sequence[Mapping[str, Any]] = ()
    warnings: tuple[str, ...] = ()

    def to_resource(self, uid: str) -> dict[str, Any]:
        """The AdmissionReview that says so."""
        response: dict[str, Any] = {"uid": uid, "allowed": True}
        if self.patch:
            content = base64.b64encode(json.dumps(list(self.patch)).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": content}
        if self.warnings:
            shown = [f"transship: {each}"[:_MAX_WARNING] for each in self.warnings[:_MAX_WARNINGS]]
            # A warning is sent in an HTTP header: no control characters.
            response["warnings"] = ["".join(c if c.isprintable() else " " for c in each) for each in shown]
        return {"apiVersion": _API_VERSION, "kind": _KIND, "response": response}


class Reviewer:
    """Answers reviews. Thread-safe, and never takes much longer than its budget.

    Args:
        book: policies and namespaces.
        looking: asks destinations.
        own_namespace: whose pods never wait: the operator must be able to start.
        metrics: counts.
    """

    def __init__(self, book: RuleBook, looking: Looking, own_namespace: str, metrics: Metrics) -> None:
        self._book = book
        self._looking = looking
        self._never = NEVER | {own_namespace}
        self._metrics = metrics

    def answer(self, review: Review) -> Answer:
        """What a review is answered; whatever goes wrong, the pod is allowed as it is."""
        try:
            found = self._judge(review)
        except TransshipError as error:
            found = _open(review, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, the pod must not suffer for it
            _log.exception("review failed", namespace=review.namespace, pod=review.name)
            found = _open(review, type(error).__name__)
        self._metrics.reviewed(found.result)
        return found

    def _judge(self, review: Review) -> Answer:
        until = time.monotonic() + BUDGET_SECONDS
        if review.namespace in self._never or not review.images:
            return Answer("not ours")
        picture = self._book.picture
        if picture is None:
            return _open(review, "the policies are not known yet")
        namespace = picture.namespaces.get(review.namespace) or self._looking.within(
            BUDGET_SECONDS, lambda: self._book.find_namespace(review.namespace)
        )
        if namespace is None:
            return Answer("not ours")
        verdict = judge(review.images, picture.policies, namespace)
        if not verdict.wishes:
            return Answer("refused" if verdict.refusals else "not covered", warnings=verdict.refusals)
        missing = self._looking.missing((each.route for each in verdict.wishes), until - time.monotonic())
        if not missing:
            return Answer("present", warnings=verdict.refusals)
        _log.info(
            "pod gated",
            namespace=review.namespace,
            pod=review.name,
            images=[str(each.destination) for each in missing[:10]],
        )
        return Answer("gated", review.gate, verdict.refusals)


def _open(review: Review, why: str) -> Answer:
    _log.warning("pod is not held", namespace=review.namespace, pod=review.name, note=why)
    return Answer(
        "failed open", warnings=(f"whether its images are there is not known, so the pod is not held: {why}",)
    )
