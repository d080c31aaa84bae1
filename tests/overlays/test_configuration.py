"""Which policies count: `transship.yaml` beside the overlays, and what is wrong with one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from promotion.world import policy_resource
from transship.cli.configuration import Configuration, find, read_beside, read_cluster, read_files
from transship.errors import NeedsHuman
from transship.promotion.policy import Namespace, PolicyError

KIND = {"apiVersion": "transship.dev/v1alpha1", "kind": "PromotionPolicy"}


def resource(name: str = "shop", **spec: Any) -> dict[str, Any]:
    return KIND | policy_resource(name, **spec)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "git" / "apps" / "overlays" / "production"
    folder.mkdir(parents=True)
    (tmp_path / "git" / ".git").mkdir()
    return folder


def write(folder: Path, *documents: Any) -> Path:
    file = folder / "transship.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def names(found: Configuration) -> list[str]:
    return [each.name for each in found.policies]


def test_the_nearest_file_counts_as_far_as_the_git_repository(overlay: Path) -> None:
    outside = overlay.parents[3]
    write(outside, resource("outside"))
    assert find(overlay) is None
    at_root = write(overlay.parents[2], resource("root"))
    assert find(overlay) == at_root
    nearer = write(overlay.parent, resource("nearer"))
    assert find(overlay) == nearer
    assert names(read_beside(overlay)) == ["nearer"]


def test_outside_of_a_git_repository_only_the_overlays_own_folder_counts(overlay: Path) -> None:
    (overlay.parents[2] / ".git").rmdir()
    write(overlay.parent, resource("anybodys"))
    assert find(overlay) is None
    assert find(overlay.parent) is not None


@pytest.mark.parametrize(
    "documents",
    [
        [resource("a"), resource("b")],
        [{"policies": [resource("a"), resource("b")]}],
        [{"policies": [policy_resource("a"), policy_resource("b")]}],
        [{"kind": "List", "items": [resource("a"), resource("b")]}],
        [resource("a"), {"policies": [policy_resource("b")]}],
    ],
    ids=["documents", "a list", "a list without kinds", "a List", "both"],
)
def test_one_document_or_several_or_a_list(overlay: Path, documents: list[Any]) -> None:
    assert names(read_files([str(write(overlay, *documents))])) == ["a", "b"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"policies": {"a": 1}}, "policies is a list"),
        ({"policies": [], "polices": []}, "stands in its document alone"),
        ({"policies": ["shop"]}, "no PromotionPolicy"),
        ({"kind": "ConfigMap"}, "no PromotionPolicy in the files given"),
        (resource(repositories="shop/*"), 'spec.repositories is "shop/*", and must be of type array'),
        (resource(tag={"deny": ["latest"]}), "spec.tag is not a field; there are source"),
        (resource(destinationRepository={"create": "false"}), 'create is "false", and must be of type boolean'),
        (resource(referrers="require"), 'spec.referrers is "require", and must be one of Require'),
        (resource(source={}), "spec.source lacks registry"),
        (resource(namespaces={}), "selects nothing"),
        (resource(sourceGrace=60), "spec.sourceGrace is 60, and must be of type string"),
        (KIND | {"metadata": {"name": "x"}}, "lacks spec"),
        (KIND | {"metadata": {"name": "x"}, "spec": {}}, "spec lacks source"),
        (KIND | {"spec": {}}, "lacks metadata"),
        (resource() | {"apiVersion": "transship.dev/v9"}, "apiVersion must be transship.dev/v1alpha1"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_write(overlay: Path, document: Any, sentence: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(sentence)) as caught:
        read_files([str(write(overlay, document))])
    assert "\n" not in str(caught.value)


def test_two_policies_of_one_name_are_refused(overlay: Path) -> None:
    with pytest.raises(PolicyError, match="two PromotionPolicies are called shop"):
        read_files([str(write(overlay, resource(), resource()))])


def test_without_a_cluster_names_of_namespaces_hold_and_labels_are_taken_to(overlay: Path) -> None:
    by_name, by_label = resource("name"), resource("label", namespaces={"matchLabels": {"team": "shop"}})
    found = read_files([str(write(overlay, by_name, by_label))])

    def usable(namespace: str) -> list[str]:
        here = found.namespace(namespace)
        return [each.name for each in found.policies_for(namespace) if each.namespaces.selects(here)]

    assert usable("shop") == ["name", "label"]
    assert usable("other") == ["label"]
    assert usable("") == ["name", "label"]


class _Cluster:
    """What a cluster answers."""

    def policies(self) -> list[dict[str, Any]]:
        return [resource("good", namespaces={"matchLabels": {"team": "shop"}}), resource("bad", sourceGrace="soon")]

    def namespaces(self) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "shop", "labels": {"team": "shop"}}}, {"metadata": {"name": "other"}}]


def test_a_clusters_policies_hold_by_the_labels_its_namespaces_have_and_bad_ones_are_told() -> None:
    found = read_cluster(_Cluster())
    assert names(found) == ["good"]
    assert "PromotionPolicy bad cannot be used" in found.problems[0]
    assert found.policies_for("shop")[0].namespaces.selects(found.namespace("shop"))
    assert not found.policies_for("other")[0].namespaces.selects(found.namespace("other"))
    assert found.namespace("new") == Namespace("new")


def test_a_link_that_leads_out_of_the_repository_is_not_followed(overlay: Path, tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text("[default]\naws_access_key_id = AKIAEXAMPLE\n")
    (overlay / "transship.yaml").symlink_to(secret)
    with pytest.raises(NeedsHuman, match="outside of its folder") as caught:
        read_beside(overlay)
    assert "AKIAEXAMPLE" not in str(caught.value)


def test_a_link_inside_of_the_repository_is_followed(overlay: Path) -> None:
    elsewhere = overlay.parents[1] / "policies"
    elsewhere.mkdir()
    (overlay / "transship.yaml").symlink_to(write(elsewhere, resource("linked")))
    assert names(read_beside(overlay)) == ["linked"]


@pytest.mark.parametrize(
    "text",
    ["[default]\naws_access_key_id = AKIAEXAMPLE\n", "kind: List\nitems:\n", "kind: List\nitems: [1]\n", "[" * 3000],
)
def test_what_cannot_be_read_is_one_sentence_without_what_the_file_says(text: str, tmp_path: Path) -> None:
    file = tmp_path / "transship.yaml"
    file.write_text(text)
    with pytest.raises((PolicyError, NeedsHuman)) as caught:
        read_files([str(file)])
    assert "\n" not in str(caught.value)
    assert "AKIAEXAMPLE" not in str(caught.value)
