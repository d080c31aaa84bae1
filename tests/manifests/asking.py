"""Questions to the API server."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from localworld.cluster import Cluster

OPERATOR = "system:serviceaccount:transship-system:transship"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:transship-system", "system:authenticated")
PATIENCE_SECONDS = 30.0


def may(control_plane: Cluster, who: Mapping[str, Any], namespace: str, right: tuple[str, str, str]) -> bool:
    """Whether somebody has a right: verb, API group, resource (or resource/subresource)."""
    verb, group, resource = right
    name, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": subresource}
    answer = control_plane.admin.create(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {**who, "resourceAttributes": attributes}}
    )
    return bool(answer["status"]["allowed"])


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Ask again until it is so: discovery, OpenAPI and RBAC follow a write a moment later, and no condition tells."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.05)
