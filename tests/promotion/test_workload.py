from datetime import UTC, datetime
from typing import Any

import pytest

from transship.promotion.workload import HOOK_MANAGER, ContainerImage, WorkloadKey, parse_time, parse_workload

API_VERSIONS = dict.fromkeys(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"], "apps/v1")
KINDS = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"]


def resource(kind: str, pod: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    template = {"spec": pod if pod is not None else {"containers": [{"name": "app", "image": "shop/app:v1"}]}}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {
        "apiVersion": API_VERSIONS.get(kind, "batch/v1"),
        "kind": kind,
        "metadata": {
            "name": "checkout",
            "namespace": "shop",
            "uid": "1234",
            "creationTimestamp": "2026-03-01T12:00:00Z",
            **metadata,
        },
        "spec": spec,
    }


def images(pod: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.name, each.image) for each in parse_workload(resource("Deployment", pod)).images]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_reduced_to_its_identity_and_the_images_of_its_pods(kind: str) -> None:
    found = parse_workload(resource(kind))
    assert found.key == WorkloadKey(kind, "shop", "checkout")
    assert str(found.key) == f"{kind} shop/checkout"
    assert found.api_version == API_VERSIONS.get(kind, "batch/v1")
    assert found.uid == "1234"
    assert found.images == (ContainerImage("app", "shop/app:v1"),)
    assert found.created_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (found.needs_images, found.is_hook, found.origin.application) == (True, False, "")


@pytest.mark.parametrize("kind", ["Rollout", "Service"])
def test_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(KeyError):
        parse_workload(resource(kind))


def test_init_containers_containers_and_image_volumes_are_found_in_this_order() -> None:
    pod = {
        "containers": [{"name": "app", "image": "app:v1"}, {"name": "sidecar", "image": "sidecar:v2"}],
        "initContainers": [{"name": "migrate", "image": "migrate:v3"}],
        "volumes": [{"name": "model", "image": {"reference": "model:v4", "pullPolicy": "Always"}}],
    }
    assert images(pod) == [
        ("migrate", "migrate:v3"),
        ("app", "app:v1"),
        ("sidecar", "sidecar:v2"),
        ("volume-model", "model:v4"),
    ]


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"containers": [{"name": "app"}]},
        {"containers": [{"name": "app", "image": ""}]},
        {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "x"}}]},
        {"volumes": [{"name": "model", "image": {"pullPolicy": "Always"}}]},
        {"volumes": [{"name": "model", "image": {"reference": ""}}]},
    ],
    ids=[
        "a pod without anything",
        "a container without an image",
        "a container with an empty image",
        "volumes that are no images",
        "an image volume without a reference",
        "an image volume with an empty reference",
    ],
)
def test_what_names_no_image_counts_for_nothing(pod: dict[str, Any]) -> None:
    assert images(pod) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_without_a_template_has_no_images(kind: str) -> None:
    assert parse_workload(resource(kind) | {"spec": {}}).images == ()


def test_an_image_that_does_not_parse_is_passed_on_as_written() -> None:
    assert images({"containers": [{"name": "app", "image": "UPPER CASE"}]}) == [("app", "UPPER CASE")]


def test_a_container_called_like_our_name_for_a_volume_keeps_its_name() -> None:
    pod = {
        "containers": [{"name": "volume-model", "image": "app:v1"}],
        "volumes": [{"name": "model", "image": {"reference": "model:v1"}}],
    }
    assert images(pod) == [("volume-model", "app:v1"), ("volume-model-2", "model:v1")]


def test_names_stay_unique_and_short_enough_for_the_request_however_long_the_volumes_names_are() -> None:
    # 56 equal characters fill what "volume-" leaves of 63.
    volumes = [{"name": "m" * 56 + f"-{end}", "image": {"reference": f"model:{end}"}} for end in "abcd"]
    found = images({"volumes": volumes})
    names = [name for name, _ in found]
    assert [image for _, image in found] == ["model:a", "model:b", "model:c", "model:d"]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 and name[-1].isalnum() for name in names)


def test_a_name_is_not_cut_at_a_dash() -> None:
    (found,) = images({"volumes": [{"name": "m" * 55 + "-tail", "image": {"reference": "model:v1"}}]})
    assert found[0] == "volume-" + "m" * 55


@pytest.mark.parametrize(
    ("conditions", "needs_images"),
    [
        (None, True),
        ([], True),
        ([{"type": "Complete", "status": "True"}], False),
        ([{"type": "Failed", "status": "True"}], False),
        ([{"type": "Complete", "status": "False"}], True),
        ([{"type": "Suspended", "status": "True"}], True),
        ([{"type": "Suspended", "status": "False"}, {"type": "Complete", "status": "True"}], False),
    ],
    ids=[
        "a job without conditions",
        "a job with an empty list of conditions",
        "a completed job",
        "a failed job",
        "a job that is explicitly not complete",
        "a suspended job",
        "a job that was suspended and completed",
    ],
)
def test_only_a_finished_job_needs_no_images(conditions: Any, *, needs_images: bool) -> None:
    job = resource("Job") | {"status": {"conditions": conditions}}
    assert parse_workload(job).needs_images is needs_images


@pytest.mark.parametrize(
    ("owner", "needs_images"),
    [
        ({"kind": "CronJob", "controller": True}, False),
        ({"kind": "CronJob", "controller": False}, True),
        ({"kind": "CronJob"}, True),
        ({"kind": "Workflow", "controller": True}, True),
    ],
    ids=[
        "a child of a CronJob",
        "an object that a CronJob owns without controlling it",
        "an object that a CronJob owns without saying so",
        "a child of something that is not watched",
    ],
)
def test_only_a_child_whose_parent_is_watched_needs_no_images_of_its_own(
    owner: dict[str, Any], *, needs_images: bool
) -> None:
    assert parse_workload(resource("Job", ownerReferences=[owner])).needs_images is needs_images


@pytest.mark.parametrize("manager", [None, "", "kueue.x-k8s.io/multikueue", HOOK_MANAGER + "/x"])
def test_a_job_is_a_hook_only_by_our_name(manager: str | None) -> None:
    ours, other = resource("Job"), resource("Job")
    ours["spec"]["managedBy"], other["spec"]["managedBy"] = HOOK_MANAGER, manager
    assert parse_workload(ours).is_hook
    assert not parse_workload(other).is_hook


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Job"])
def test_no_other_kind_is_a_hook(kind: str) -> None:
    workload = resource(kind)
    workload["spec"]["managedBy"] = HOOK_MANAGER
    assert not parse_workload(workload).is_hook


def test_what_is_being_deleted_needs_no_images_but_a_hook_that_argo_cd_may_wait_for_does() -> None:
    going = {"deletionTimestamp": "2026-03-01T13:00:00Z"}
    hook = resource("Job", **going)
    hook["spec"]["managedBy"] = HOOK_MANAGER

    assert not parse_workload(resource("Deployment", **going)).needs_images
    assert not parse_workload(resource("Job", **going)).needs_images
    assert parse_workload(hook).needs_images


def test_a_hook_needs_its_images_whoever_made_it() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": True}
    hook = resource("Job", ownerReferences=[owner])
    hook["spec"]["managedBy"] = HOOK_MANAGER

    assert parse_workload(hook).needs_images


def test_a_kubernetes_time_has_a_zone() -> None:
    assert parse_time("2026-03-01T12:00:00Z") == datetime(2026, 3, 1, 12, tzinfo=UTC)
