from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.kustomization.found import FoundImage, images
from transship.kustomization.render import Rendered, Renderer, Resource, ResourceId, read_stream

EVERY_SHAPE = {
    ("StatefulSet db", "restore"): "shop/restore:v1",
    ("StatefulSet db", "db"): "shop/db:v1",
    ("StatefulSet db", "volume-model"): "shop/model:v1",
    ("DaemonSet agent", "agent"): "shop/agent:v1",
    ("ReplicaSet old", "old"): "shop/old:v1",
    ("CronJob nightly", "nightly"): "shop/nightly:v1",
    ("Pod once", "once"): "shop/once:v1",
    ("Pod once", "debug"): "shop/debug:v1",
    ("Job promote-images", "db"): "shop/db:v1",
    ("PromotionRequest ahead", "next"): "shop/next:v1",
    ("Rollout front", "front"): "shop/front:v1",
    ("Rollout back", "back"): "shop/back:v1",
    ("Deployment front", "front"): "shop/front:v1",
    ("Service function", ""): "shop/function:v1",
    ("Pipeline build", "compile"): "shop/compile:v1",
    ("Pipeline build", "publish"): "shop/publish:v1",
}


def of(content: dict[str, Any], kind: str = "Deployment", api_version: str = "apps/v1") -> list[tuple[str, str]]:
    resource = Resource(api_version, kind, "shop", "a", "-", {"apiVersion": api_version, "kind": kind, **content})
    return [(each.container, each.image) for each in images(Rendered((resource,)))]


def test_images_are_found_wherever_a_pod_hides(golden: Path, renderer: Renderer) -> None:
    found = images(renderer.render(golden / "workloads"))

    assert {(str(each.resource), each.container): each.image for each in found} == EVERY_SHAPE
    assert len(found) == len(EVERY_SHAPE)


def test_each_image_keeps_the_file_it_came_from(golden: Path, renderer: Renderer) -> None:
    found = {str(each.resource): each.file for each in images(renderer.render(golden / "workloads"))}

    assert found["StatefulSet db"] == str(golden / "workloads" / "workloads.yaml")
    assert found["Rollout back"] == str(golden / "workloads" / "rollout.yaml")


def test_hooks_and_requests_are_told_from_what_runs(golden: Path, renderer: Renderer) -> None:
    found = images(renderer.render(golden / "workloads"))

    assert {str(each.resource) for each in found if each.is_hook} == {
        "Job promote-images",
        "PromotionRequest ahead",
    }


def test_a_rollout_names_its_deployments_images_only_where_that_is_rendered() -> None:
    rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: front}\n"
    text = f"{rollout}spec: {{workloadRef: {{kind: Deployment, name: elsewhere}}}}\n"

    assert images(read_stream(text)) == ()


def test_a_rollout_that_names_itself_is_no_loop() -> None:
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: front}\n"
        "spec: {workloadRef: {kind: Rollout, name: front}}\n"
    )

    assert images(read_stream(text)) == ()


def test_an_image_that_cannot_be_pulled_is_told_of_a_workload_and_passed_over_in_other_kinds() -> None:
    pod = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "!*:latest"}]}}}}

    assert of(pod) == [("app", "!*:latest")]
    assert of(pod, "ClusterPolicy", "kyverno.io/v1") == []


def test_the_example_in_a_definition_of_a_kind_is_no_image() -> None:
    example = {"spec": {"versions": [{"schema": {"default": {"containers": [{"name": "a", "image": "shop/a:v1"}]}}}]}}

    assert of(example, "CustomResourceDefinition", "apiextensions.k8s.io/v1") == []


def test_a_pod_beside_others_does_not_hide_those_further_down() -> None:
    content = {
        "spec": {
            "containers": [{"name": "a", "image": "shop/a:v1"}],
            "thanos": {"containers": [{"name": "b", "image": "shop/b:v1"}]},
        }
    }

    assert of(content, "Prometheus", "monitoring.coreos.com/v1") == [("a", "shop/a:v1"), ("b", "shop/b:v1")]


@pytest.mark.parametrize(
    "pod",
    [
        {"containers": None},
        {"containers": "shop/a:v1"},
        {"containers": ["shop/a:v1", 7, None]},
        {"containers": [{"name": "a"}, {"name": "b", "image": 7}, {"name": "c", "image": ""}]},
        {"containers": [{"name": "a", "image": {"repository": "shop/a"}}]},
        {"volumes": [{"name": "a", "image": {"reference": 7}}], "containers": []},
    ],
)
def test_what_is_no_pod_has_no_images(pod: dict[str, Any]) -> None:
    assert of({"spec": {"template": {"spec": pod}}}) == []


def test_a_container_without_a_name_has_an_image_all_the_same() -> None:
    assert of({"spec": {"containers": [{"image": "shop/a:v1"}]}}, "Pod", "v1") == [("", "shop/a:v1")]


def test_the_search_ends_at_a_depth() -> None:
    deep: dict[str, Any] = {"containers": [{"name": "a", "image": "shop/a:v1"}]}
    for _ in range(60):
        deep = {"deeper": deep}

    assert of(deep, "Tree", "example.com/v1") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["containers", "volumes", "image", "name", "reference", "spec"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_nothing_that_can_be_rendered_breaks_the_search(content: Any) -> None:
    resource = Resource("v1", "Pod", "shop", "a", "-", {"spec": content})

    assert all(isinstance(each, FoundImage) for each in images(Rendered((resource,))))


def test_resources_are_told_apart_by_their_namespace() -> None:
    assert str(ResourceId("Job", "shop", "a")) == "Job shop/a"
