from pathlib import Path

import pytest

from transship.errors import NeedsHuman, Reason
from transship.kustomization.documents import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, read_documents
from transship.kustomization.found import images
from transship.kustomization.render import ResourceId, read_stream

from .conftest import GOLDEN

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def refusal(text: str) -> str:
    with pytest.raises(NeedsHuman) as caught:
        read_stream(text)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_helm_template_prints_is_read_with_its_empty_documents() -> None:
    rendered = read_stream((GOLDEN / "streams" / "helm.yaml").read_text())

    assert [each.id for each in rendered.resources] == [
        ResourceId("ServiceAccount", "", "orders"),
        ResourceId("Deployment", "shop", "orders"),
        ResourceId("Pod", "", "orders-test"),
    ]
    assert [(each.image, each.file) for each in images(rendered)] == [("shop/orders:1.10", "-"), ("busybox", "-")]


def test_what_looks_like_a_date_stays_text_as_in_a_cluster() -> None:
    deployment = read_stream((GOLDEN / "streams" / "helm.yaml").read_text()).resources[1].content

    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"rolled-on": "2026-03-01"}


def test_three_hundred_documents_are_read_in_their_order() -> None:
    text = "---\n".join(
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: pod-{number}}}\n"
        f"spec: {{containers: [{{name: app, image: 'shop/app:{number}'}}]}}\n"
        for number in range(300)
    )

    assert [each.image for each in images(read_stream(text))] == [f"shop/app:{number}" for number in range(300)]


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_a_list_counts_as_its_items(kind: str) -> None:
    text = f"apiVersion: v1\nkind: {kind}\nitems:\n- {{apiVersion: v1, kind: Pod, metadata: {{name: a}}}}\n"

    assert [each.id for each in read_stream(text).resources] == [ResourceId("Pod", "", "a")]


def test_a_resource_without_a_name_goes_by_what_its_name_is_generated_from() -> None:
    text = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: promote-}\n"

    assert str(read_stream(text).resources[0].id) == "Job promote-"


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("spec:\n  a: [1\nb: 2\n", "-, line 7, document 2: not YAML"),
        ("a: b\n  c: d\n", "-, line 6, document 2: not YAML"),
        ("a: 'b\n", "document 2: not YAML"),
        ("a: b\nc: d\na: e\n", "-, line 7, document 2: the key 'a' is there twice"),
        ("- a\n", "-, line 5, document 2: what is there is no resource"),
        ("just text\n", "-, line 5, document 2: what is there is no resource"),
        ("kind: Pod\n", "-, line 5, document 2: what is there is no resource: it needs apiVersion and kind"),
        ("apiVersion: v1\nkind: 7\n", "-, line 5, document 2: what is there is no resource"),
        ("a: !!python/object/apply:os.getcwd []\n", "-, line 5, document 2: not YAML"),
        ("{a: b}: c\n", "-, line 5, document 2: not YAML"),
        ("a: !!int text\n", "document 2: not YAML that can be read"),
        ("a: \x07\n", "not YAML that can be read: unacceptable character"),
    ],
)
def test_broken_yaml_is_told_with_its_line_and_document(broken: str, expected: str) -> None:
    assert expected in refusal(f"{CONFIG_MAP}---\n{broken}")


def test_a_key_twice_inside_of_a_list_is_found() -> None:
    assert "line 6, document 1: the key 'image' is there twice" in refusal(
        f"{CONFIG_MAP}spec:\n  containers: [{{image: a,\n    image: b}}]\n"
    )


def test_an_item_of_a_list_that_is_no_resource_is_refused() -> None:
    assert "is no resource" in refusal("apiVersion: v1\nkind: List\nitems: [{kind: Pod}]\n")


def lines_of_laughs(levels: int) -> str:
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    return (
        CONFIG_MAP
        + first
        + "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, levels))
    )


def test_a_thousand_million_laughs_are_counted_and_not_laughed() -> None:
    assert "stands for more than" in refusal(lines_of_laughs(9))


def test_few_aliases_are_read() -> None:
    assert len(read_stream(lines_of_laughs(2)).resources[0].content["a1"]) == 10


def test_merges_that_multiply_are_counted() -> None:
    bomb = CONFIG_MAP + "m0: &m0 {a: b}\n"
    bomb += "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 9))

    assert "stands for more than" in refusal(bomb)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{CONFIG_MAP}a: {'[' * 5000}", f"nested deeper than {MAX_DEPTH}"),
        (f"{CONFIG_MAP}a: {'{a: ' * 5000}", f"nested deeper than {MAX_DEPTH}"),
        ("- " * 5000 + "a", f"nested deeper than {MAX_DEPTH}"),
        (f"{CONFIG_MAP}a: &a [*a]\n", "refers to itself"),
        (f"{CONFIG_MAP}x: &x a\nl: [{'*x, ' * (MAX_ALIASES + 1)}]\n", f"more than {MAX_ALIASES} aliases"),
        ("a" * (MAX_BYTES + 1), "characters; hand over less"),
        (f"{CONFIG_MAP}a: *nowhere\n", "not YAML"),
    ],
    ids=["brackets", "braces", "dashes", "itself", "aliases", "size", "no anchor"],
)
def test_what_is_out_of_proportion_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_the_file_is_named_when_it_is_one() -> None:
    with pytest.raises(NeedsHuman, match=r"^deploy/app\.yaml, line 1, document 1: not YAML"):
        read_documents("a: ]", str(Path("deploy/app.yaml")))


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_documents("\ufeffa: b\n", "-")[0].content == {"a": "b"}
