"""The adapter against a real API server: what it writes, and what each refusal becomes."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localworld.cluster import Cluster as ControlPlane
from transship.cluster import Api, connect
from transship.cluster.api import Conflict, Invalid, NotFound
from transship.errors import NeedsHuman, Reason, RetryLater

Resource = dict[str, Any]


@pytest.fixture
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """The adapter, as an administrator."""
    made = connect(control_plane.kubeconfig)
    yield made
    made.close()


def _config_map(name: str = "mine") -> Resource:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


def test_an_object_is_created_read_replaced_patched_and_deleted(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    created = api.create(path, _config_map())
    replaced = api.replace(f"{path}/mine", created | {"data": {"b": "2"}})
    patched = api.patch(f"{path}/mine", [{"op": "add", "path": "/data/c", "value": "3"}])

    assert replaced["data"] == {"b": "2"}
    assert patched["data"] == {"b": "2", "c": "3"}
    assert api.get(f"{path}/mine")["data"] == {"b": "2", "c": "3"}
    api.delete(f"{path}/mine")
    with pytest.raises(NotFound):
        api.get(f"{path}/mine")


def test_a_list_is_narrowed_by_its_query(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for name in ("one", "two"):
        api.create(path, _config_map(name))

    items = api.get(path, {"fieldSelector": "metadata.name=two"})["items"]

    assert [each["metadata"]["name"] for each in items] == ["two"]


def test_what_exists_already_is_a_conflict(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, _config_map())

    with pytest.raises(Conflict, match="already exists"):
        api.create(path, _config_map())


def test_an_outdated_resource_version_is_a_conflict(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    created = api.create(path, _config_map())
    api.replace(f"{path}/mine", created | {"data": {}})

    with pytest.raises(Conflict, match="modified"):
        api.replace(f"{path}/mine", created | {"data": {"late": "yes"}})


def test_a_patch_whose_test_fails_is_a_conflict_and_changes_nothing(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, _config_map())

    with pytest.raises(Conflict):
        api.patch(
            f"{path}/mine",
            [
                {"op": "test", "path": "/metadata/uid", "value": "another"},
                {"op": "add", "path": "/data/late", "value": "yes"},
            ],
        )

    assert api.get(f"{path}/mine")["data"] == {"a": "1"}


def test_a_delete_with_another_uid_is_a_conflict_and_deletes_nothing(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, _config_map())

    with pytest.raises(Conflict):
        api.delete(f"{path}/mine", {"preconditions": {"uid": "another"}})

    assert api.get(f"{path}/mine")


def test_an_object_that_validation_refuses_is_invalid_in_the_servers_own_words(api: Api, namespace: str) -> None:
    with pytest.raises(Invalid, match=r"metadata\.name.*a lowercase RFC 1123 subdomain"):
        api.create(f"/api/v1/namespaces/{namespace}/configmaps", _config_map("Not_A_Name"))


def test_a_patch_that_validation_refuses_is_invalid_and_not_a_conflict(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(path, _config_map())

    with pytest.raises(Invalid, match="a valid config key"):
        api.patch(f"{path}/mine", [{"op": "add", "path": "/data/not a key", "value": ""}])


def test_a_denied_call_says_who_may_not_do_what(control_plane: ControlPlane, namespace: str) -> None:
    stranger = connect(control_plane.issue_kubeconfig("stranger", "somebody", ("system:authenticated",)))

    with pytest.raises(NeedsHuman) as caught:
        stranger.get(f"/api/v1/namespaces/{namespace}/configmaps")

    stranger.close()
    assert caught.value.reason is Reason.DENIED
    assert 'User "somebody" cannot list resource "configmaps"' in caught.value.message
    assert "check the operator's RBAC" in caught.value.message


def _without_server(tmp_path: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def test_an_api_server_that_does_not_listen_is_tried_again_and_then_means_later(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        api = connect(_without_server(tmp_path, unused.getsockname()[1]))
        started = time.monotonic()

        with pytest.raises(RetryLater) as caught:
            api.get("/api/v1/namespaces")

    api.close()
    assert caught.value.reason is Reason.UNREACHABLE
    assert "the API server does not answer" in caught.value.message
    assert "secret-token" not in str(caught.value)
    assert time.monotonic() - started < 30


def test_without_any_cluster_somebody_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(NeedsHuman, match="KUBECONFIG"):
        connect(tmp_path / "none")


def test_a_connection_that_was_closed_meanwhile_is_made_again(api: Api) -> None:
    assert api.get("/version")["major"] == "1"
    for pool in list(api._client.rest_client.pool_manager.pools._container.values()):
        connection: Any = pool._get_conn()
        if connection.sock:
            connection.sock.shutdown(socket.SHUT_RDWR)
        pool._put_conn(connection)

    assert api.get("/version")["major"] == "1"
