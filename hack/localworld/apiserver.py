"""The Kubernetes API by path, for tests and the demo: JSON in, JSON out.

Deliberately not the controller's own adapter: a test that looks at the cluster through the code it tests sees what
that code believes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import config

Resource = dict[str, Any]
SERVER_SIDE_APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
TIMEOUT_SECONDS = 30
FIRST_FAILURE = 300


class ApiError(Exception):
    """The API server said no.

    Attributes:
        status: The HTTP status.
        reason: Kubernetes' own word for it, for example `AlreadyExists`.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class ApiServer:
    """The identity of one kubeconfig, talking to its API server. Threads may share it; `close` it at the end."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = config.new_client_from_config(str(kubeconfig), persist_config=False)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: str) -> Resource:
        """Read one resource or a list, for example `/api/v1/namespaces`."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def create(self, path: str, resource: Resource) -> Resource:
        """Post a resource to its collection."""
        return self.request("POST", path, resource)

    def replace(self, path: str, resource: Resource) -> Resource:
        """Put a resource in the place of what is there; its resourceVersion must still be the current one."""
        return self.request("PUT", path, resource)

    def patch(self, path: str, change: Resource) -> Resource:
        """Merge a change into what is there."""
        return self.request("PATCH", path, change, MERGE_PATCH)

    def apply(self, path: str, resource: Resource, manager: str = "localworld") -> Resource:
        """Server-side apply, taking over fields that somebody else owns."""
        return self.request("PATCH", f"{path}?fieldManager={manager}&force=true", resource, SERVER_SIDE_APPLY)

    def delete(self, path: str, options: Mapping[str, Any] | None = None) -> Resource:
        """Ask for its deletion; returns before it is gone when finalizers or a namespace's content keep it."""
        return self.request("DELETE", path, dict(options or {}))

    def request(
        self, method: str, path: str, body: Resource | None = None, content_type: str = "application/json"
    ) -> Resource:
        """One call of the API.

        Raises:
            ApiError: The answer is not a success.
        """
        call = self._client.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self._client.call_api(*call, _request_timeout=TIMEOUT_SECONDS)
        content = response.read()
        try:
            answer: Resource = json.loads(content)
        except ValueError as error:  # of a group that is not served (yet) it says so in plain text
            raise ApiError(response.status, "", content.decode(errors="replace").strip()) from error
        if response.status >= FIRST_FAILURE:
            raise ApiError(response.status, answer.get("reason", ""), answer.get("message", ""))
        return answer
