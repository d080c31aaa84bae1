"""What an edit refuses because it would have to guess, and that it says where the image is set."""

from pathlib import Path

import pytest

from transship.errors import NeedsHuman, Reason
from transship.kustomization.found import images
from transship.kustomization.overlay import How, Overlay
from transship.kustomization.proof import prove
from transship.kustomization.render import Options, Renderer

ECR = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop"


def where(golden: Path, overlay: str, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(golden)
    return [str(each) for each in Overlay.open(Path(overlay)).where(name)]


def refusal(golden: Path, overlay: str, name: str, monkeypatch: pytest.MonkeyPatch, tag: str = "v9") -> str:
    monkeypatch.chdir(golden)
    opened = Overlay.open(Path(overlay))
    with pytest.raises(NeedsHuman) as caught:
        opened.set_image(name, tag=tag)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert opened.diff() == ""
    return str(caught.value)


@pytest.mark.parametrize(
    ("overlay", "name", "expected"),
    [
        (
            "images/overlays/production",
            "shop/cart",
            ["images/overlays/production/kustomization.yaml:11 (images)", "images/base/deployment.yaml:14 (resource)"],
        ),
        (
            "components/overlays/production",
            "shop/pay",
            ["components/pinned/kustomization.yaml:4 (images)", "components/base/deployment.yaml:14 (resource)"],
        ),
        ("components/overlays/production", "mesh/metrics", ["components/metrics/kustomization.yaml:13 (patch)"]),
        (
            "replacements/overlays/production",
            "shop/mail",
            ["replacements/base/kustomization.yaml:14 (replacement)"],
        ),
        (
            "transformers",
            "shop/search",
            [
                "transformers/image.yaml:1 (generator or transformer)",
                "patches/base/deployment.yaml:14 (resource)",
                "patches/base/job.yaml:15 (resource)",
            ],
        ),
        (
            "two-places/base-decides",
            "shop/search",
            [
                "two-places/entries/kustomization.yaml:4 (images)",
                "two-places/entries/kustomization.yaml:6 (images)",
                "patches/base/deployment.yaml:14 (resource)",
                "patches/base/job.yaml:15 (resource)",
            ],
        ),
        ("resources/production", "shop/unknown", []),
    ],
)
def test_it_is_said_where_an_image_is_set(
    golden: Path, monkeypatch: pytest.MonkeyPatch, overlay: str, name: str, expected: list[str]
) -> None:
    assert where(golden, overlay, name, monkeypatch) == expected


def test_a_place_says_what_is_written_there(golden: Path) -> None:
    place, line = Overlay.open(golden / "images" / "overlays" / "production").where("shop/cart")

    assert (place.how, place.image, place.is_ours) == (How.IMAGES, f"{ECR}/cart:v3.1.0", True)
    assert (line.how, line.image, line.is_ours) == (How.RESOURCE, "shop/cart", False)


@pytest.mark.parametrize(
    ("overlay", "name", "expected"),
    [
        (
            "two-places/patch-and-entry",
            "shop/search",
            (
                "shop/search is set in several places of two-places/patch-and-entry, "
                "two-places/patch-and-entry/kustomization.yaml:6 (images), "
                "two-places/patch-and-entry/patch-image.yaml:10 (patch): leave one of them"
            ),
        ),
        (
            "two-places/entries",
            "shop/search",
            (
                "shop/search is set in several places of two-places/entries, two-places/entries/kustomization.yaml:4 "
                "(images), two-places/entries/kustomization.yaml:6 (images): leave one of them"
            ),
        ),
        (
            "two-places/versions",
            "shop/search",
            (
                "shop/search is set to several versions in two-places/versions, two-places/versions/deployment.yaml:14 "
                "(resource), two-places/versions/job.yaml:15 (resource): make them one"
            ),
        ),
        (
            "two-places/base-decides",
            "mirror/search",
            (
                "mirror/search is set outside of two-places/base-decides, in two-places/entries/kustomization.yaml:4 "
                "(images), two-places/entries/kustomization.yaml:6 (images): set it there"
            ),
        ),
        (
            "components/overlays/production",
            "shop/pay",
            (
                "shop/pay is set outside of components/overlays/production, in components/pinned/kustomization.yaml:4 "
                "(images): set it there"
            ),
        ),
        (
            "components/overlays/production",
            "mesh/metrics",
            (
                "mesh/metrics is set outside of components/overlays/production, in "
                "components/metrics/kustomization.yaml:13 (patch): set it there"
            ),
        ),
        (
            "replacements/overlays/production",
            "shop/mail",
            (
                "shop/mail is set by what is not edited here, see "
                "replacements/base/kustomization.yaml:14 (replacement): change it by hand"
            ),
        ),
        (
            "transformers",
            "shop/search",
            (
                "shop/search is set by what is not edited here, see transformers/image.yaml:1 "
                "(generator or transformer), patches/base/deployment.yaml:14 (resource), "
                "patches/base/job.yaml:15 (resource): change it by hand"
            ),
        ),
        (
            "patches/overlays/merge",
            "shop/search",
            (
                f"shop/search is patched to {ECR}/search, see patches/overlays/merge/patch-image.yaml:10 (patch), "
                "patches/overlays/merge/patch-image.yaml:20 (patch): name that"
            ),
        ),
        (
            "patches/overlays/folded",
            "shop/search",
            (
                "patches/overlays/folded/kustomization.yaml:5 (JSON patch) is written in a way that is not edited; "
                "change it by hand"
            ),
        ),
        (
            "images/overlays/production",
            "shop/card",
            f"images/overlays/production has no image shop/card; its images are {ECR}/cart, mesh/proxy, shop/cart",
        ),
    ],
)
def test_what_would_take_a_guess_is_refused_with_the_places(
    golden: Path, monkeypatch: pytest.MonkeyPatch, overlay: str, name: str, expected: str
) -> None:
    assert refusal(golden, overlay, name, monkeypatch) == expected


def test_a_component_that_comes_after_the_overlays_own_lines_is_told(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = golden / "resources" / "production"
    (overlay / "kustomization.yaml").write_text("resources: [deployment.yaml]\ncomponents: [../pinned]\n")
    (golden / "resources" / "pinned").mkdir()
    component = (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: shop/web, newTag: v8}]\n"
    )
    (golden / "resources" / "pinned" / "kustomization.yaml").write_text(component)

    assert refusal(golden, "resources/production", "shop/web", monkeypatch) == (
        "shop/web is set in several places, resources/pinned/kustomization.yaml:3 (images), "
        "resources/production/deployment.yaml:14 (resource): leave one of them"
    )


@pytest.mark.parametrize(
    ("overlay", "name", "rendered"),
    [
        ("components/overlays/production", "shop/pay", "shop/pay:v9"),
        ("components/overlays/production", "mesh/metrics", "mesh/metrics:v9"),
        ("two-places/base-decides", "mirror/search", "mirror/search:v9"),
    ],
)
def test_what_a_base_or_component_decides_can_be_overridden_by_an_entry(
    golden: Path, renderer: Renderer, overlay: str, name: str, rendered: str
) -> None:
    opened = Overlay.open(golden / overlay)

    with pytest.raises(NeedsHuman, match="set it there"):
        opened.set_image(name, tag="v9")
    (edit,) = opened.set_image(name, tag="v9", override=True)

    assert (edit.place.is_ours, edit.place.how, edit.after) == (True, How.IMAGES, rendered)
    assert rendered in {each.image for each in images(prove(opened, renderer))}


def test_an_overlay_whose_images_cannot_be_seen_gets_an_entry_all_the_same(golden: Path) -> None:
    overlay = Overlay.open(golden / "refused" / "helm", Options(allow_helm=True))

    overlay.set_image("shop/minecraft", tag="v9")

    assert overlay.diff().endswith("+images:\n+  - name: shop/minecraft\n+    newTag: v9\n")


def test_an_image_that_a_chart_names_is_told(golden: Path) -> None:
    folder = golden / "refused" / "helm"
    with (folder / "kustomization.yaml").open("a") as file:
        file.write("    valuesInline: {image: shop/minecraft:v1}\n")

    (place,) = Overlay.open(folder, Options(allow_helm=True)).where("shop/minecraft")
    assert (place.how, place.line) == (How.HELM, 2)


@pytest.mark.parametrize(
    ("source", "is_set"),
    [
        ("source: {kind: ConfigMap, name: versions, fieldPath: data.mail}", False),
        ("source: {kind: ConfigMap, name: versions, fieldPath: data.proxy}", True),
        ("sourceValue: mesh/proxy:v2", True),
        ("sourceValue: other/proxy:v2", False),
    ],
)
def test_a_replacement_of_another_containers_image_is_in_nobodys_way(
    golden: Path, source: str, *, is_set: bool
) -> None:
    base = golden / "replacements" / "base"
    (base / "versions.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: versions}\ndata: {mail: 'shop/mail:v5'"
        + (", proxy: 'mesh/proxy:v5'}\n" if is_set else "}\n")
    )
    (base / "kustomization.yaml").write_text(
        f"resources: [deployment.yaml, versions.yaml]\nreplacements:\n- {source}\n  targets:\n"
        "  - {select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.[name=mail].image']}\n"
    )

    places = Overlay.open(golden / "replacements" / "overlays" / "production").where("mesh/proxy")

    assert any(each.how is How.REPLACEMENT for each in places) == is_set


def test_a_replacement_of_the_tag_alone_is_found_by_the_image_it_is_put_into(golden: Path) -> None:
    base = golden / "replacements" / "base"
    (base / "deployment.yaml").write_text((base / "deployment.yaml").read_text().replace("placeholder", "shop/mail:v0"))
    (base / "versions.yaml").write_text((base / "versions.yaml").read_text().replace("shop/mail:v5", "v5"))

    overlay = Overlay.open(base)

    assert [each.how for each in overlay.where("shop/mail")] == [How.REPLACEMENT, How.RESOURCE]
    with pytest.raises(NeedsHuman, match="is set by what is not edited here"):
        overlay.set_image("shop/mail", tag="v9")


def test_replacements_in_a_file_are_found(golden: Path) -> None:
    base = golden / "replacements" / "base"
    text = (base / "kustomization.yaml").read_text()
    head, _, replacements = text.partition("replacements:\n")
    (base / "kustomization.yaml").write_text(f"{head}replacements:\n  - path: replacements.yaml\n")
    (base / "replacements.yaml").write_text(replacements)

    places = Overlay.open(base).where("shop/mail")

    assert [(each.file.name, each.how) for each in places] == [("replacements.yaml", How.REPLACEMENT)]


def test_a_patch_that_is_for_one_container_of_two_is_left_to_the_proof(golden: Path, renderer: Renderer) -> None:
    overlay = Overlay.open(golden / "two-places" / "half-patched")
    overlay.set_image("shop/search", tag="v9")

    with pytest.raises(NeedsHuman, match=r"^Job promote-images, container search, would have shop/search:v1 and not "):
        prove(overlay, renderer)


def test_an_edit_without_effect_is_refused_by_the_proof(golden: Path, renderer: Renderer) -> None:
    folder = golden / "images" / "overlays" / "production"
    with (folder / "kustomization.yaml").open("a") as file:
        file.write(
            "patches:\n- target: {kind: Deployment}\n  patch: |-\n"
            "    - {op: replace, path: '/spec/template/spec/containers/0/image', value: 'other/cart:v1'}\n"
        )
    overlay = Overlay.open(folder)
    overlay.set_image("shop/cart", tag="v9")

    with pytest.raises(NeedsHuman, match=f"^the edit would have no effect: nothing that is rendered has {ECR}/cart:v9"):
        prove(overlay, renderer)


def test_an_edit_that_changes_something_else_as_well_is_refused_by_the_proof(golden: Path, renderer: Renderer) -> None:
    folder = golden / "images" / "overlays" / "production"
    with (folder / "kustomization.yaml").open("a") as file:
        file.write(
            "replacements:\n- source: {kind: Deployment, fieldPath: spec.template.spec.containers.0.image}\n"
            "  targets:\n"
            "  - {select: {kind: Deployment}, options: {create: true}, fieldPaths: [metadata.annotations.runs]}\n"
        )
    overlay = Overlay.open(folder)
    overlay.set_image("shop/cart", tag="v9")

    with pytest.raises(NeedsHuman, match=r"^the edit would change more of Deployment shop/cart than the image"):
        prove(overlay, renderer)


def test_a_patch_whose_resource_has_another_image_of_its_own_decides(golden: Path, renderer: Renderer) -> None:
    overlay = golden / "resources" / "production"
    (overlay / "patch.yaml").write_text((overlay / "deployment.yaml").read_text().replace(":v7", ":v8"))
    (overlay / "kustomization.yaml").write_text("resources: [deployment.yaml]\npatches: [{path: patch.yaml}]\n")
    opened = Overlay.open(overlay)

    assert [each.place.file.name for each in opened.set_image("shop/web", tag="v9")] == ["patch.yaml"]
    assert [each.image for each in images(prove(opened, renderer))] == ["shop/web:v9"]


def own(golden: Path, image: str, kustomization: str) -> Path:
    folder = golden / "own"
    folder.mkdir()
    (folder / "app.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {template: {spec: {containers: [\n"
        f"  {{name: proxy, image: 'mesh/proxy:v1'}},\n  {{name: app, image: '{image}'}}]}}}}}}\n"
    )
    (folder / "kustomization.yaml").write_text(f"resources: [app.yaml]\n{kustomization}")
    return folder


BY_JSON = (
    "patches:\n- target: {{kind: {kind}}}\n  patch: |-\n    - op: replace\n"
    "      path: /spec/template/spec/containers/1/image\n      value: {image}\n"
)


@pytest.mark.parametrize("kind", ["Deployment", "Deploy.*"])
@pytest.mark.parametrize("image", ["shop/checkout", "shop/checkout:v0"])
def test_a_json_patch_decides_over_the_resource_beside_it(
    golden: Path, renderer: Renderer, image: str, kind: str
) -> None:
    overlay = Overlay.open(own(golden, image, BY_JSON.format(kind=kind, image="shop/checkout:v1")))

    (edit,) = overlay.set_image("shop/checkout", tag="v2")

    assert (edit.place.how, edit.after) == (How.JSON_PATCH, "shop/checkout:v2")
    assert "shop/checkout:v2" in {each.image for each in images(prove(overlay, renderer))}


def test_a_json_patch_of_another_container_or_kind_leaves_the_resource_to_decide(golden: Path) -> None:
    patch = BY_JSON.format(kind="Deployment", image="shop/other:v1").replace("containers/1", "containers/0")
    overlay = Overlay.open(own(golden, "shop/checkout:v1", patch))
    (edit,) = overlay.set_image("shop/checkout", tag="v2")
    assert edit.place.how is How.RESOURCE

    folder = golden / "own"
    patch = BY_JSON.format(kind="StatefulSet", image="shop/other:v1")
    (folder / "kustomization.yaml").write_text(f"resources: [app.yaml]\n{patch}")
    (edit,) = Overlay.open(folder).set_image("shop/checkout", tag="v2")
    assert edit.place.how is How.RESOURCE


@pytest.mark.parametrize(
    "patch",
    [
        '[{"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "shop/checkout:v1"}]',
        (
            '{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "app"}, "spec": {"template": '
            '{"spec": {"containers": [{"name": "app", "image": "shop/checkout:v1"}]}}}}'
        ),
    ],
)
def test_a_patch_on_one_line_is_told_and_left_to_the_user(
    golden: Path, monkeypatch: pytest.MonkeyPatch, patch: str
) -> None:
    own(golden, "shop/checkout", f"patches:\n- target: {{kind: Deployment}}\n  patch: '{patch}'\n")

    said = refusal(golden, "own", "shop/checkout", monkeypatch)

    assert said.startswith("own/kustomization.yaml:4 (")
    assert said.endswith("is written in a way that is not edited; change it by hand")


@pytest.mark.parametrize("pattern", ["shop/check.*", "shop/checkouts?", "^shop/checkout$", "(a|shop/checkout)"])
def test_an_entry_whose_name_is_a_pattern_is_told(golden: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    own(golden, "shop/checkout", f"images:\n- name: {pattern}\n  newTag: v3\n")

    assert refusal(golden, "own", "shop/checkout", monkeypatch).startswith(
        "shop/checkout is set by what is not edited here, see own/kustomization.yaml:3 (images), "
    )


def test_an_entry_whose_name_is_a_pattern_of_others_is_in_nobodys_way(golden: Path) -> None:
    overlay = Overlay.open(own(golden, "shop/checkout", "images:\n- name: shop/check.*\n  newTag: v3\n"))

    (edit,) = overlay.set_image("mesh/proxy", tag="v2")

    assert edit.place.how is How.RESOURCE


def test_the_proof_says_where_else_the_image_is_set(golden: Path, renderer: Renderer) -> None:
    overlay = Overlay.open(golden / "two-places" / "half-patched")
    overlay.set_image("shop/search", tag="v9")

    with pytest.raises(
        NeedsHuman, match=r"it is set elsewhere as well, see .*half-patched.*:\d+ \(patch\), .*\(resource"
    ):
        prove(overlay, renderer)


@pytest.mark.parametrize("written", ['"shop/\\\n    checkout:v1"', '"shop/\\u0063heckout:v1"', '"shop\\/checkout:v1"'])
def test_an_image_whose_name_is_written_by_escapes_is_told_and_left_to_the_user(
    golden: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    folder = own(golden, "IMAGE", "")
    file = folder / "app.yaml"
    file.write_text(file.read_text().replace("'IMAGE'", written))

    said = refusal(golden, "own", "shop/checkout", monkeypatch)

    assert said.endswith("own/app.yaml:6 (resource) is written in a way that is not edited; change it by hand")
