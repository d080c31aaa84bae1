"""An Argo CD Application: started, watched and read as its custom resource, as there is no UI and no API server."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from localworld.apiserver import ApiError, ApiServer, Resource
from localworld.errors import WorldError

NAMESPACE = "argocd"
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
IN_CLUSTER = "https://kubernetes.default.svc"
ENDED = frozenset({"Succeeded", "Failed", "Error"})
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Line:
    """What an operation says about one resource: the line that a person reads in Argo CD.

    Attributes:
        kind: Of the resource.
        name: Of the resource.
        status: What came of applying it; empty for a hook.
        hook_phase: Running, Succeeded, Failed, Error or Terminating; of a hook, and of what was waited for.
        message: The sentence.
        images: What Argo CD saw in it.
    """

    kind: str
    name: str
    status: str
    hook_phase: str
    message: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """A sync, as `status.operationState` of the Application tells it.

    Attributes:
        phase: Running, Terminating, Succeeded, Failed or Error.
        message: Of the whole.
        revision: The commit.
        lines: One for each resource that was dealt with.
        retries: How often it was tried again.
    """

    phase: str
    message: str
    revision: str
    lines: tuple[Line, ...]
    retries: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in ENDED

    def line(self, kind: str, name: str = "") -> Line:
        """The line of a resource.

        Raises:
            WorldError: There is none.
        """
        for each in self.lines:
            if each.kind == kind and name in {"", each.name}:
                return each
        raise WorldError(f"The operation says nothing about {kind} {name}: {self}")


class Application:
    """One Application of a running Argo CD, by its name."""

    def __init__(self, admin: ApiServer, name: str) -> None:
        self._admin = admin
        self.name = name

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"{APPLICATIONS}/{self.name}"

    def get(self) -> Resource:
        """The resource as it is now."""
        return self._admin.get(self.path)

    def patch(self, change: Resource) -> Resource:
        """Merge a change into it."""
        return self._admin.patch(self.path, change)

    def sync(
        self,
        revision: str = "",
        *,
        resources: Iterable[Resource] = (),
        strategy: str = "hook",
        retries: int = 0,
        **options: Any,
    ) -> None:
        """Start a sync, as the UI and `argocd app sync` do.

        Args:
            revision: A commit; that of the Application's source when empty.
            resources: Only these, each by group, kind and name: a selective sync.
            strategy: `hook`, or `apply`, which runs no hooks.
            retries: How often Argo CD tries again when it fails, half a second later.
            options: Further members of `operation.sync`, for example `prune=True`.
        """
        policy = self.get()["spec"].get("syncPolicy", {})
        sync = {
            "syncStrategy": {strategy: {}},
            "syncOptions": policy.get("syncOptions"),
            "revision": revision or None,
            "resources": list(resources) or None,
            **options,
        }
        retry = {"limit": retries, "backoff": {"duration": "500ms", "factor": 1, "maxDuration": "1s"}}
        operation = {
            "initiatedBy": {"username": "localworld"},
            "sync": {name: value for name, value in sync.items() if value is not None},
            **({"retry": retry} if retries else {}),
        }
        # Argo CD merges into the last operation's state: unless cleared, that one's result is taken for ours.
        self.patch({"operation": operation, "status": {"operationState": None}})

    def terminate(self) -> None:
        """End the operation that runs, as the button of the UI does."""
        self.patch({"status": {"operationState": {"phase": "Terminating"}}})

    def refresh(self, kind: str = "normal") -> None:
        """Have Argo CD compare it with its repository now: `normal`, or `hard`, which trusts no cache."""
        self.patch({"metadata": {"annotations": {"argocd.argoproj.io/refresh": kind}}})

    def delete(self, *, cascade: bool = False) -> None:
        """Delete it; with what it applied, if asked for."""
        finalizers = ["resources-finalizer.argocd.argoproj.io"] if cascade else None
        with suppress(ApiError):
            self.patch({"operation": None, "metadata": {"finalizers": finalizers}})
            self._admin.delete(self.path)

    @property
    def operation(self) -> Operation | None:
        """The operation that runs, or the last one; None before the first."""
        state = self.get().get("status", {}).get("operationState")
        return None if state is None else parse_operation(state)

    @property
    def sync_status(self) -> str:
        """Synced, OutOfSync or Unknown."""
        return str(self.get().get("status", {}).get("sync", {}).get("status", ""))

    @property
    def health(self) -> str:
        """Healthy, Progressing, Degraded, Suspended, Missing or Unknown."""
        return str(self.get().get("status", {}).get("health", {}).get("status", ""))

    @property
    def conditions(self) -> dict[str, str]:
        """What Argo CD complains about: messages by type."""
        conditions = self.get().get("status", {}).get("conditions") or []
        return {str(each["type"]): str(each["message"]) for each in conditions}

    def until(self, look: Callable[[Operation], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> Operation:
        """The operation, once it is as wanted.

        Raises:
            WorldError: It was not within that time; the message has what it was at last.
        """
        deadline = time.monotonic() + seconds
        while True:
            operation = self.operation
            if operation is not None and look(operation):
                return operation
            if time.monotonic() > deadline:
                raise WorldError(f"Application {self.name}: not within {seconds:.0f} s: {what}; at last: {operation}")
            time.sleep(POLL_SECONDS)

    def until_ended(self, revision: str = "", *, seconds: float = PATIENCE_SECONDS) -> Operation:
        """The operation, once it has ended (and was about a commit, when given)."""
        return self.until(
            lambda seen: seen.has_ended and revision in {"", seen.revision}, "the operation ends", seconds=seconds
        )

    def until_waiting(self, kind: str, name: str = "", *, seconds: float = PATIENCE_SECONDS) -> Operation:
        """The operation, once it waits for a resource."""

        def waits(operation: Operation) -> bool:
            return not operation.has_ended and any(
                each.kind == kind and name in {"", each.name} and each.hook_phase == "Running"
                for each in operation.lines
            )

        return self.until(waits, f"it waits for {kind} {name}", seconds=seconds)


def parse_operation(state: Mapping[str, Any]) -> Operation:
    """Read `status.operationState`."""
    result = state.get("syncResult") or {}
    return Operation(
        phase=state.get("phase", ""),
        message=state.get("message", ""),
        revision=result.get("revision") or state.get("operation", {}).get("sync", {}).get("revision", ""),
        lines=tuple(_line(each) for each in result.get("resources") or ()),
        retries=state.get("retryCount", 0),
    )


def _line(resource: Mapping[str, Any]) -> Line:
    return Line(
        kind=resource["kind"],
        name=resource["name"],
        status=resource.get("status", ""),
        hook_phase=resource.get("hookPhase", ""),
        message=resource.get("message", ""),
        images=tuple(resource.get("images") or ()),
    )
