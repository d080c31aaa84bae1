import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from transship.errors import NeedsHuman
from transship.kustomization.found import images
from transship.kustomization.layers import read_layers
from transship.kustomization.render import Options, Rendered, Renderer, render

from .conftest import GOLDEN

ROOTS = sorted(
    str(each.parent.relative_to(GOLDEN))
    for each in GOLDEN.rglob("kustomization.yaml")
    if "refused" not in each.parts and "kind: Component" not in each.read_text()
)


def plainly(kustomize: Path, overlay: Path) -> list[Any]:
    """What kustomize prints by itself, every value as the text it is."""
    command = [str(kustomize), "build", str(overlay)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(yaml.load_all(output, yaml.BaseLoader))


def ours(rendered: Rendered) -> list[Any]:
    text = yaml.safe_dump_all([each.content for each in rendered.resources])
    return list(yaml.load_all(text, yaml.BaseLoader))


@pytest.mark.parametrize("overlay", ROOTS)
def test_it_renders_to_what_kustomize_prints(golden: Path, renderer: Renderer, kustomize: Path, overlay: str) -> None:
    assert ours(renderer.render(golden / overlay)) == plainly(kustomize, golden / overlay)


def test_what_only_the_outermost_kustomization_decides_stays_as_it_is(
    golden: Path, renderer: Renderer, kustomize: Path
) -> None:
    overlay = golden / "patches" / "base"
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write("sortOptions: {order: fifo}\nbuildMetadata: [managedByLabel]\nconfigMapGenerator:\n")
        file.write(
            "- {name: made, literals: [a=b]}\n"
            "vars:\n- {name: A, objref: {kind: ConfigMap, name: made, apiVersion: v1}}\n"
        )

    rendered = ours(renderer.render(overlay))

    assert rendered == plainly(kustomize, overlay)
    assert [each["kind"] for each in rendered] == ["Deployment", "Job", "ConfigMap"]


def test_an_overlay_that_asks_for_origins_itself_keeps_them(golden: Path, renderer: Renderer, kustomize: Path) -> None:
    overlay = golden / "images" / "overlays" / "production"
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write("buildMetadata: [originAnnotations]\n")

    rendered = renderer.render(overlay)

    assert ours(rendered) == plainly(kustomize, overlay)
    assert {each.file for each in images(rendered)} == {str(golden / "images" / "base" / "deployment.yaml")}


def test_each_resource_is_told_with_the_file_as_the_user_would_name_it(
    golden: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(golden / "images")

    rendered = renderer.render(Path("overlays/production"))

    assert {each.file for each in rendered.resources} == {"base/deployment.yaml"}
    assert all("annotations" not in each.content["metadata"] for each in rendered.resources)


def test_a_generated_resource_is_told_with_the_kustomization_that_asks_for_it(golden: Path, renderer: Renderer) -> None:
    overlay = golden / "resources" / "production"
    (overlay / "kustomization.yaml").write_text("configMapGenerator: [{name: made, literals: [a=b]}]\n")

    assert renderer.render(overlay).resources[0].file == str(overlay / "kustomization.yaml")


def test_a_component_is_rendered_where_that_can_be(golden: Path, renderer: Renderer) -> None:
    overlay = golden / "components" / "pinned"
    (overlay / "deployment.yaml").write_text((golden / "components" / "base" / "deployment.yaml").read_text())
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write("resources: [deployment.yaml]\n")

    assert [each.image for each in images(renderer.render(overlay))] == ["shop/pay:v1.1"]


def test_what_kustomize_refuses_is_told_as_it_would_tell_the_user(golden: Path, renderer: Renderer) -> None:
    overlay = golden / "patches" / "overlays" / "merge"
    (overlay / "patch-image.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\n")

    with pytest.raises(NeedsHuman, match=r"^kustomize cannot render: no resource matches .*other") as caught:
        renderer.render(overlay)
    assert "around" not in str(caught.value)


def test_nothing_is_written_beside_the_overlay(golden: Path, renderer: Renderer) -> None:
    before = {each: each.read_bytes() for each in golden.rglob("*") if each.is_file()}

    overlay = golden / "images" / "overlays" / "production"
    renderer.render(overlay)
    renderer.render_changed(overlay, read_layers(overlay), {})

    assert {each: each.read_bytes() for each in golden.rglob("*") if each.is_file()} == before


def test_changed_files_are_rendered_without_being_written(golden: Path, renderer: Renderer) -> None:
    overlay = golden / "images" / "overlays" / "untouched"
    layer = read_layers(overlay)
    text = layer.file.read_text() + "images: [{name: shop/cart, newTag: v9}]\n"

    rendered = renderer.render_changed(overlay, layer, {layer.file: text})

    assert [each.image for each in images(rendered)] == ["shop/cart:v9", "mesh/proxy:1.30.1"]
    assert {each.file for each in rendered.resources} == {str(golden / "images" / "base" / "deployment.yaml")}


def test_a_base_reached_by_a_link_inside_of_the_repository_is_rendered_both_ways(
    golden: Path, renderer: Renderer
) -> None:
    (golden / ".git").mkdir()
    overlay = golden / "images" / "overlays" / "untouched"
    (overlay / "link").symlink_to("../../base")
    (overlay / "kustomization.yaml").write_text("resources: [link]\nconfigMapGenerator: [{name: a, files: [b.txt]}]\n")
    (overlay / "b.txt").write_text("b")

    plain = renderer.render(overlay)

    assert renderer.render_changed(overlay, read_layers(overlay), {}).resources == plain.resources


def test_refused_overlays_are_not_run(golden: Path, renderer: Renderer) -> None:
    for name in ("helm", "remote", "function"):
        with pytest.raises(NeedsHuman, match=r"hand over the output|keep a copy here"):
            renderer.render(golden / "refused" / name)


def test_kubectl_renders_as_kustomize_does(golden: Path, renderer: Renderer, tools: dict[str, Path]) -> None:
    overlay = golden / "patches" / "overlays" / "inline"
    options = Options(program=str(tools["kubernetes"] / "kubectl"))

    assert render(overlay, options) == renderer.render(overlay)
