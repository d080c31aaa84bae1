"""Raw calls to the API server: JSON in, JSON out.

The typed models of the client are left out on purpose: decoding them costs several times the CPU and memory of plain
JSON (docs/facts/kubernetes.md §4), and this project reads few fields.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import stamina
import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from transship.errors import NeedsHuman, Reason, RetryLater

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
_TIMEOUT_SECONDS = (5, 30)
_POOL_SIZE = 32
_OPERATORS_ADVICE = "check the operator's RBAC"
_PERSONS_ADVICE = "log in again, ask for that right, or name another --context"
_HOME_KUBECONFIG = "~/.kube/config"
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})
_FIRST_FAILURE = 300
_GOING = "NamespaceTerminating"


class NotFound(Exception):  # noqa: N818 - an answer, not a fault
    """The object does not exist, or cannot any more because its namespace is being deleted."""


class Conflict(Exception):  # noqa: N818 - an answer, not a fault
    """The object exists already, or is not what the writer thought it was."""


class Invalid(NeedsHuman):
    """The API server's validation refused the object; the message is its own."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.INVALID_REQUEST, message)


def connect(kubeconfig: Path | None) -> "Api":
    """Connect as the pod's ServiceAccount, or by the kubeconfig named or found.

    Raises:
        NeedsHuman: there is neither.
    """
    if kubeconfig is None and _is_in_cluster():
        return Api(_client(_load_pod))
    return Api(_client(partial(_load_file, str(kubeconfig) if kubeconfig else None, None)))


@dataclass(frozen=True, slots=True)
class Person:
    """The API server as somebody at a terminal reaches it.

    Attributes:
        namespace: of the context, where it names one.
        context: of the kubeconfig; empty in a pod that has none.
    """

    api: "Api"
    namespace: str
    context: str


def connect_as(
    kubeconfig: Path | None = None, context: str | None = None, user: str | None = None, groups: Collection[str] = ()
) -> Person:
    """Connect as kubectl does: by the kubeconfig named or found, or in a pod without one as its ServiceAccount.

    Args:
        kubeconfig: to read, instead of those in KUBECONFIG or the one in the home directory.
        context: to take, instead of the current one.
        user: whom to act as.
        groups: as a member of which.

    Raises:
        NeedsHuman: nothing can be connected to in this way.
    """
    if groups and not user:
        raise NeedsHuman(Reason.INVALID_REQUEST, "--as-group belongs to --as: name the user as well")
    headers = [("Impersonate-User", user)] if user else []
    headers += [("Impersonate-Group", group) for group in groups]
    files = str(kubeconfig or os.environ.get("KUBECONFIG") or _HOME_KUBECONFIG)
    if context is None and not _existing(files) and kubeconfig is None and _is_in_cluster():
        own = Path(config.incluster_config.SERVICE_TOKEN_FILENAME).with_name("namespace")
        return Person(Api(_client(_load_pod), headers, _PERSONS_ADVICE), own.read_text(encoding="utf-8").strip(), "")
    contents = [_read(path) for path in _existing(files)]
    chosen = context or _current_context(contents, files)
    contexts = {
        each["name"]: each["context"] for content in reversed(contents) for each in content.get("contexts") or []
    }
    if chosen not in contexts:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"the kubeconfig {files} has no context {chosen}; it has {', '.join(sorted(contexts)) or 'none'}",
        )
    api = Api(_client(partial(_load_file, files, chosen)), headers, _PERSONS_ADVICE)
    return Person(api, contexts[chosen].get("namespace") or "default", chosen)


def _existing(files: str) -> list[Path]:
    return [path for each in files.split(os.pathsep) if each and (path := Path(each).expanduser()).is_file()]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        sentence = f"the kubeconfig {path} cannot be read ({type(error).__name__}); name one that kubectl takes"
        raise NeedsHuman(Reason.INVALID_REQUEST, sentence) from error
    return content if isinstance(content, dict) else {}


def _current_context(contents: Iterable[Mapping[str, Any]], files: str) -> str:
    """The first that a file sets, as kubectl has it; the client's library would take the last."""
    found = next((str(each["current-context"]) for each in contents if each.get("current-context")), "")
    if not found:
        sentence = f"there is no kubeconfig with a current context in {files}: set KUBECONFIG, or name a --context"
        raise NeedsHuman(Reason.INVALID_REQUEST, sentence)
    return found


def _client(load: Callable[[client.Configuration], None]) -> client.ApiClient:
    configuration = client.Configuration()
    try:
        load(configuration)
    except config.ConfigException as error:
        raise NeedsHuman(
            Reason.UNREACHABLE, "no cluster to talk to: run in a pod, or set KUBECONFIG or TRANSSHIP_KUBECONFIG"
        ) from error
    except Exception as error:
        raise NeedsHuman(
            Reason.UNREACHABLE, f"the kubeconfig cannot be read ({type(error).__name__}); name one that kubectl takes"
        ) from error
    configuration.retries = False
    configuration.connection_pool_maxsize = _POOL_SIZE
    return client.ApiClient(configuration)


def _load_pod(configuration: client.Configuration) -> None:
    config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]


def _load_file(file: str | None, context: str | None, configuration: client.Configuration) -> None:
    config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=file, context=context, client_configuration=configuration
    )


def _is_in_cluster() -> bool:
    return Path(config.incluster_config.SERVICE_TOKEN_FILENAME).is_file()


class Api:
    """Makes calls and sorts their failures. Thread-safe.

    Args:
        api_client: knows address, authorities and credentials.
        headers: of every call, such as whom to act as.
        advice: what to do where rights are missing.
    """

    def __init__(
        self, api_client: client.ApiClient, headers: Iterable[tuple[str, str]] = (), advice: str = _OPERATORS_ADVICE
    ) -> None:
        self._client = api_client
        self._headers = tuple(headers)
        self._advice = advice

    @property
    def host(self) -> str:
        """Address of the API server."""
        return str(self._client.configuration.host)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read an object or a list.

        Raises:
            NotFound, RetryLater, NeedsHuman: see the module.
        """
        return self._call("GET", path, query=query)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; Conflict when it exists."""
        return self._call("POST", path, body)

    def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; Conflict when its resourceVersion is not the current one."""
        return self._call("PUT", path, body)

    def patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch; Conflict when one of its tests fails."""
        return self._call("PATCH", path, operations, content_type=JSON_PATCH)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Delete an object."""
        self._call("DELETE", path, body)

    def watch(self, path: str, version: str, seconds: float) -> Iterator[dict[str, Any]]:
        """The changes of a list after a version, as they come, for so many seconds.

        It may end sooner: list again then.

        Raises:
            RetryLater, NeedsHuman: see the module.
        """
        whole = max(1, ceil(seconds))
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(whole)}
        timeout = urllib3.Timeout(connect=_TIMEOUT_SECONDS[0], read=whole + _TIMEOUT_SECONDS[0])
        try:
            response = self._client.rest_client.pool_manager.request(
                "GET",
                f"{self.host}{path}?{urlencode(query)}",
                headers=self._all_headers("GET", path),
                timeout=timeout,
                retries=False,
                preload_content=False,
            )
            try:
                if response.status >= _FIRST_FAILURE:
                    raise _failure(response.status, _Said.read(response.read()), f"WATCH {path}", self._advice)
                yield from _lines(response.stream(None))
            finally:
                response.close()  # an unread answer is of no use to a next call
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryLater(
                Reason.UNREACHABLE, f"the API server does not answer ({type(error).__name__})", step=f"WATCH {path}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()

    @stamina.retry(on=RetryLater, attempts=4, timeout=20.0, wait_initial=0.2, wait_max=5.0)
    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        headers = self._all_headers(method, path, body, content_type)
        url = f"{self.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=_TIMEOUT_SECONDS
            )
            content = response.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RetryLater(
                Reason.UNREACHABLE, f"the API server does not answer ({type(error).__name__})", step=f"{method} {path}"
            ) from error
        if response.status >= _FIRST_FAILURE:
            raise _failure(response.status, _Said.read(content), f"{method} {path}", self._advice)
        answer: dict[str, Any] = json.loads(content)
        return answer

    def _all_headers(
        self, method: str, path: str, body: object = None, content_type: str = JSON
    ) -> urllib3.HTTPHeaderDict:
        headers = urllib3.HTTPHeaderDict([("Accept", JSON), ("Content-Type", content_type), *self._headers])
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        return headers


def _lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in whole if line.strip())


@dataclass(frozen=True, slots=True)
class _Said:
    """What a Status object says: its message, and the reasons of its causes (mostly of fields that are wrong)."""

    message: str = "without a reason"
    causes: frozenset[str] = frozenset()

    @classmethod
    def read(cls, content: bytes) -> "_Said":
        try:
            status = json.loads(content)
            causes = (status.get("details") or {}).get("causes") or []
            return cls(str(status["message"])[:500], frozenset(str(each.get("reason")) for each in causes))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def _failure(status: int, said: _Said, step: str, advice: str) -> Exception:
    message = said.message
    # A JSON patch whose test fails is refused like an invalid object, but no field is named: this is not the object
    # the writer thought it was.
    is_failed_test = step.startswith("PATCH ") and not said.causes
    answers: dict[int, Exception] = {
        404: NotFound(step),
        409: Conflict(message),
        400: Invalid(message),
        422: Conflict(message) if is_failed_test else Invalid(message),
    }
    if status in answers:
        return answers[status]
    if _GOING in said.causes:
        return NotFound(step)  # as good as gone: nothing is a matter of rights here
    if status in _TRANSIENT:
        return RetryLater(Reason.UNREACHABLE, f"the API server answered {status}", step=step)
    if status in _REFUSED:
        return NeedsHuman(Reason.DENIED, f"the API server refused ({message}); {advice}", step=step)
    return NeedsHuman(Reason.INTERNAL_ERROR, f"the API server answered {status} ({message})", step=step)
