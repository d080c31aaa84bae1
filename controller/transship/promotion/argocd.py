"""What Argo CD writes on the objects it applies, and what people write there for this operator.

Argo CD tells of itself in annotations and a finalizer only (docs/facts/kubernetes.md): the application by the tracking
id, the revision nowhere but in names it makes from generateName.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TRACKING_ANNOTATION = "argocd.argoproj.io/tracking-id"
HOOK_ANNOTATION = "argocd.argoproj.io/hook"
HOOK_FINALIZER = "argocd.argoproj.io/hook-finalizer"
OPTION_PREFIX = "transship.dev/"
TIMEOUT, POLICY, REVISION, MARK = (f"{OPTION_PREFIX}{each}" for each in ("timeout", "policy", "revision", "hook"))
_PRE_SYNC = "PreSync"
# <generateName><first seven of the revision>-presync-<seconds>, as Argo CD names a hook without a name.
_GENERATED = re.compile(r"-([0-9a-f]{7})-presync-[0-9]{9,11}\Z")
_MAX_REVISION = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the author of a hook Job asks for, by annotations. Not checked yet.

    Attributes:
        timeout: how long to try; empty for the default.
        policy: the only PromotionPolicy to go by; empty for whichever covers the images.
    """

    timeout: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object comes from, as far as it tells.

    Attributes:
        application: the Argo CD Application it belongs to; empty if none.
        revision: of the application's source; empty when nothing tells it.
        is_hook: it is a PreSync hook.
        is_let_go: it is a hook that Argo CD has applied and does not wait for any more.
        is_meant_for_us: somebody has written one of our annotations on it.
        options: what its author asks for.
    """

    application: str = ""
    revision: str = ""
    is_hook: bool = False
    is_let_go: bool = False
    is_meant_for_us: bool = False
    options: Options = Options()


def parse_origin(resource: Mapping[str, Any]) -> Origin:
    """Read what an object, as the API server sends it, says of where it comes from."""
    metadata = resource["metadata"]
    annotations = metadata.get("annotations") or {}
    application = _application(resource, annotations.get(TRACKING_ANNOTATION, ""))
    is_hook = _PRE_SYNC in (each.strip() for each in annotations.get(HOOK_ANNOTATION, "").split(","))
    is_held = HOOK_FINALIZER in (metadata.get("finalizers") or [])
    return Origin(
        application=application,
        revision=_revision(metadata["name"], annotations, is_hook=is_hook),
        is_hook=is_hook,
        is_let_go=is_hook and bool(application) and not is_held and "deletionTimestamp" not in metadata,
        is_meant_for_us=any(name.startswith(OPTION_PREFIX) for name in annotations),
        options=Options(annotations.get(TIMEOUT, ""), annotations.get(POLICY, "")),
    )


def _application(resource: Mapping[str, Any], tracking_id: str) -> str:
    """The application of `application:group/kind:namespace/name`; empty when that is another object.

    Argo CD does not take an object for its own either whose id was copied from another. A hook made from generateName
    has no name in its id.
    """
    application, _, place = tracking_id.partition(":")
    metadata, (group, _, _) = resource["metadata"], resource.get("apiVersion", "").rpartition("/")
    expected = f"{group}/{resource.get('kind', '')}:{metadata.get('namespace', '')}/"
    return application if place in {expected, f"{expected}{metadata['name']}"} else ""


def _revision(name: str, annotations: Mapping[str, str], *, is_hook: bool) -> str:
    generated = _GENERATED.search(name) if is_hook else None
    return annotations.get(REVISION, generated[1] if generated else "")[:_MAX_REVISION]
