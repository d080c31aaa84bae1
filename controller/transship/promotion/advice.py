"""What a reason means, and what to do about it: what people are told who ask why a request does not go on.

`make reference` writes docs/reasons.md from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from transship.errors import Reason


class Next(StrEnum):
    """What happens next to a request with a reason."""

    STATE = "It is a state of the request."
    STALLS = "It stalls the request, until somebody has changed something."
    TOLD = "It is told, and stalls nothing."
    KEPT = "It says how something stands that a policy wants, and stalls nothing."
    RETRIED = "It is tried again, later and later."


@dataclass(frozen=True, slots=True)
class Advice:
    """About one reason: what it means, what to do, and what happens next."""

    meaning: str
    remedy: str
    next: Next


ADVICE: Mapping[Reason, Advice] = {
    Reason.PENDING: Advice(
        "It waits for its turn.",
        "Nothing. If it stays, see whether the operator runs and is ready.",
        Next.STATE,
    ),
    Reason.PROMOTING: Advice(
        "It is being checked or copied, or another request is copying the same content.",
        "Nothing.",
        Next.STATE,
    ),
    Reason.PROMOTED: Advice(
        "Every image was proven to be at the destination.",
        "Nothing.",
        Next.STATE,
    ),
    Reason.SUSPENDED: Advice(
        "spec.suspend is true.",
        "Set it to false to go on.",
        Next.STATE,
    ),
    Reason.TIMEOUT: Advice(
        "It was not done within spec.timeout; the message says what it was waiting for.",
        "Remove that cause, or give it more time.",
        Next.STALLS,
    ),
    Reason.INVALID_IMAGE: Advice(
        "The string is not an image reference.",
        "Write registry/repository:tag.",
        Next.STALLS,
    ),
    Reason.INVALID_REQUEST: Advice(
        "The request cannot be worked on as it is.",
        "Do what the message says.",
        Next.STALLS,
    ),
    Reason.NOT_COVERED: Advice(
        "No valid policy lets this namespace promote this repository.",
        "Ask an administrator; see also whether the policy meant for it is Ready.",
        Next.STALLS,
    ),
    Reason.POLICY_AMBIGUOUS: Advice(
        "Two policies cover the image; both are named.",
        "Narrow the repositories or namespaces of one.",
        Next.STALLS,
    ),
    Reason.POLICY_INVALID: Advice(
        "The policy gives no valid source repository.",
        "Correct the policy's prefixes.",
        Next.STALLS,
    ),
    Reason.TAG_DENIED: Advice(
        "The policy denies the tag.",
        "Name another tag.",
        Next.STALLS,
    ),
    Reason.TAG_CONFLICT: Advice(
        "The destination tag points at another digest, or another request is promoting another digest to it.",
        "Use a new tag; or remove the destination's, or let the policy overwrite.",
        Next.STALLS,
    ),
    Reason.SOURCE_MISSING: Advice(
        "The source does not have the image.",
        "Push it there, or name a tag that exists.",
        Next.STALLS,
    ),
    Reason.SOURCE_ARCHIVED: Advice(
        "The source keeps the image in ECR's archive class, where nothing can pull it.",
        "Restore it (aws ecr update-image-storage-class), or push it again.",
        Next.STALLS,
    ),
    Reason.DENIED: Advice(
        "A registry or AWS refused; the message names the principal and the action where they are known.",
        "Grant it: to the role, in the repository's policy, or in the role's trust policy.",
        Next.STALLS,
    ),
    Reason.REPOSITORY_MISSING: Advice(
        "The destination repository does not exist and the policy does not create it.",
        "Create it, or set destinationRepository.create.",
        Next.STALLS,
    ),
    Reason.UNSUPPORTED_CONTENT: Advice(
        "The image holds something that cannot be copied exactly.",
        "The message names it; build the image without it.",
        Next.STALLS,
    ),
    Reason.REFUSED_BY_REGISTRY: Advice(
        "The registry took the request for wrong, and would again.",
        "Do what the message says.",
        Next.STALLS,
    ),
    Reason.HOST_NOT_ALLOWED: Advice(
        "A registry's name, or a redirect of it, leads to this machine, to instance metadata or away from TLS.",
        "Name the registry by its host name; if nobody did this on purpose, look at who answers for it.",
        Next.STALLS,
    ),
    Reason.UNCOVERED: Advice(
        "A workload of the application runs an image that its hook does not name. Said on the workload, and "
        "as a condition of the hook's newest request; nothing is stalled by it.",
        "Add the container to the hook.",
        Next.TOLD,
    ),
    Reason.GATE_NOT_ENFORCED: Advice(
        "Argo CD went on before the request was Ready. Said on the request; nothing is stalled by it.",
        "Give Argo CD the health check of manifests/argocd, or see which sync skipped the request.",
        Next.TOLD,
    ),
    Reason.MANAGED_BY_MISSING: Advice(
        "A hook Job carries annotations for Transship but no spec.managedBy. Said on the Job.",
        "Write spec.managedBy: transship.dev/promotion; Kubernetes keeps it from 1.32 on.",
        Next.TOLD,
    ),
    Reason.POD_RECREATED: Advice(
        "A pod waited for an image that has just been promoted, and was evicted so that it is made anew.",
        "Nothing.",
        Next.TOLD,
    ),
    Reason.VALID: Advice(
        "The policy can be gone by. Said in its condition Ready.",
        "Nothing.",
        Next.KEPT,
    ),
    Reason.KNOWN: Advice(
        "Of each side of the policy it is known as whom the operator goes there. Said in its condition Identities.",
        "Nothing; status.identities has them.",
        Next.KEPT,
    ),
    Reason.NOT_NEEDED: Advice(
        "Whoever reads the source is in its account, so that source repositories need no statement. Said in the "
        "policy's condition SourceAccess.",
        "Nothing; sourceAccess.managePolicy may as well be false.",
        Next.KEPT,
    ),
    Reason.IN_PLACE: Advice(
        "Every source repository that was looked at has the statement that lets the operator read it. Said in the "
        "policy's condition SourceAccess.",
        "Nothing.",
        Next.KEPT,
    ),
    Reason.AS_WANTED: Advice(
        "Every destination repository that was looked at has the settings of destinationRepository. Said in the "
        "policy's condition DestinationRepositories.",
        "Nothing.",
        Next.KEPT,
    ),
    Reason.DRIFT: Advice(
        "A destination repository has other settings than destinationRepository; the message names what is there and "
        "what was wanted. Said in the policy's condition DestinationRepositories.",
        "Change the repository, or the policy, or have the operator do it with destinationRepository.drift: Mend.",
        Next.KEPT,
    ),
    Reason.SOURCE_NOT_YET_THERE: Advice(
        "The source does not have the image, and the policy's sourceGrace is not over.",
        "Nothing; a build may still be pushing it.",
        Next.RETRIED,
    ),
    Reason.SOURCE_ACCESS_PENDING: Advice(
        "The source repository's policy was just changed, and AWS does not act upon it yet.",
        "Nothing at first; if it stays, see who else writes that policy, and whether the reader's own IAM "
        "policy allows pulling.",
        Next.RETRIED,
    ),
    Reason.THROTTLED: Advice(
        "A registry asked for patience.",
        "Nothing; if it is often so, ask AWS for a higher quota.",
        Next.RETRIED,
    ),
    Reason.UNREACHABLE: Advice(
        "A registry or AWS does not answer.",
        "Nothing at first; then look at network, DNS and proxies.",
        Next.RETRIED,
    ),
    Reason.REGISTRY_ERROR: Advice(
        "A registry failed inside.",
        "Nothing at first; then look at its health.",
        Next.RETRIED,
    ),
    Reason.CONTENT_MISMATCH: Advice(
        "Bytes arrived that are not those of their digest. They were not kept.",
        "Nothing at first; if it stays, the source holds damaged content.",
        Next.RETRIED,
    ),
    Reason.NOT_PROVEN: Advice(
        "After the copy, the destination did not show what was written.",
        "Nothing at first; then see who else writes to the repository.",
        Next.RETRIED,
    ),
    Reason.INTERNAL_ERROR: Advice(
        "A mistake of the operator.",
        "Report it with the lines of its log.",
        Next.RETRIED,
    ),
}
