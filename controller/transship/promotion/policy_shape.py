"""The shape of a PromotionPolicy, for those that no API server has checked: which fields there are, of which type.

A field that is misspelt would allow what it should deny, and text in the place of a list would be read letter by
letter. The definition in manifests/crd says the same; a test holds them against each other.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

TEXT, FLAG, TEXTS, LABELS = "text", "true or false", "a list of texts", "names with texts"

_ENDPOINT: Mapping[str, Any] = {"registry": TEXT, "repositoryPrefix": TEXT, "roleArn": TEXT, "externalId": TEXT}
SPEC: Mapping[str, Any] = {
    "source": _ENDPOINT,
    "destination": _ENDPOINT,
    "namespaces": {"names": TEXTS, "matchLabels": LABELS},
    "repositories": TEXTS,
    "tags": {"deny": TEXTS},
    "tagConflict": ("Refuse", "Overwrite"),
    "referrers": ("Require", "BestEffort", "Ignore"),
    "sourceGrace": TEXT,
    "watch": {"workloads": FLAG, "recreateWaitingPods": FLAG},
    "admission": {"maxHold": TEXT},
    "destinationRepository": {
        "create": FLAG,
        "drift": ("Report", "Mend"),
        "imageTagMutability": ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"),
        "exclusions": TEXTS,
        "scanOnPush": FLAG,
        "encryption": {"type": ("AES256", "KMS", "KMS_DSSE"), "kmsKey": TEXT},
        "lifecyclePolicy": TEXT,
        "policy": TEXT,
        "tags": LABELS,
    },
    "sourceAccess": {
        "managePolicy": FLAG,
        "scope": ("Promoted", "Matching"),
        "principalArns": TEXTS,
        "organizationId": TEXT,
        "describe": FLAG,
        "roleArn": TEXT,
        "externalId": TEXT,
    },
}
"""Fields by what they hold: one of the words above, the words one of which is taken, or fields again."""
RESOURCE: Mapping[str, Any] = {"apiVersion": ("transship.dev/v1alpha1",), "kind": ("PromotionPolicy",), "spec": SPEC}
_REQUIRED = ("source", "destination", "namespaces", "repositories")
_OF_OTHERS = frozenset({"metadata", "status"})


def violations(resource: Mapping[str, Any]) -> list[str]:
    """Everything in which a PromotionPolicy has another shape, a sentence each."""
    ours = {name: content for name, content in resource.items() if name not in _OF_OTHERS}
    found = list(_fields(ours, RESOURCE, ""))
    metadata, spec = resource.get("metadata"), resource.get("spec")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        found.append("metadata.name is missing; give the policy a name")
    if not isinstance(spec, dict):
        return found or ["spec is missing"]
    found += [f"spec.{name} is missing" for name in _REQUIRED if name not in spec]
    sides = ((side, spec.get(side)) for side in ("source", "destination"))
    return found + [
        f"spec.{side}.registry is missing" for side, each in sides if isinstance(each, dict) and "registry" not in each
    ]


def _fields(content: Any, shape: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"{path} has to hold fields: {', '.join(shape)}"
        return
    for name, each in content.items():
        where = f"{path}.{name}" if path else str(name)
        if name in shape:
            yield from _value(each, shape[name], where)
            continue
        near = get_close_matches(str(name), shape, 1)
        yield f"{where} is no field; {f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(shape)}"


def _value(content: Any, shape: Any, path: str) -> Iterator[str]:
    match shape:
        case Mapping():
            yield from _fields(content, shape, path)
        case tuple():
            if content not in shape:
                yield f"{path} is {_short(content)}, and has to be {' or '.join(shape)}"
        case _:
            if not _fits(content, shape):
                yield f"{path} is {_short(content)}, and has to be {shape}"


def _fits(content: Any, shape: str) -> bool:
    if shape == TEXTS:
        return isinstance(content, list) and all(isinstance(each, str) for each in content)
    if shape == LABELS:
        return isinstance(content, dict) and all(isinstance(each, str) for pair in content.items() for each in pair)
    return isinstance(content, bool) if shape == FLAG else isinstance(content, str)


def _short(content: Any) -> str:
    return repr(content)[:60]
