"""What an edit changes, as the lines of its diff: everything that is not in them stays byte by byte."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from transship.errors import NeedsHuman, Reason
from transship.kustomization.overlay import Edit, Overlay
from transship.kustomization.proof import prove
from transship.kustomization.render import Renderer

ECR = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/shop"
ONES, TWOS, THREES = (f"sha256:{digit * 64}" for digit in "123")


@dataclass(frozen=True)
class Case:
    """An edit, and what is left out and put in by it."""

    overlay: str
    name: str
    out: list[str]
    into: list[str]
    tag: str = ""
    digest: str = ""
    new_name: str = ""
    places: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.overlay.replace('/', ' ')} {self.tag} {self.digest[:8]} {self.new_name}"

    def edit(self, folder: Path) -> tuple[Overlay, list[Edit]]:
        overlay = Overlay.open(folder / self.overlay)
        return overlay, overlay.set_image(self.name, tag=self.tag, digest=self.digest, new_name=self.new_name)


IMAGES, COMPACT = "images/overlays/production", "images/overlays/compact"
CASES = [
    Case(
        IMAGES,
        "shop/cart",
        ["  newTag: 'v3.1.0'       # released on a Tuesday"],
        ["  newTag: 'v3.2.0'       # released on a Tuesday"],
        tag="v3.2.0",
        places=["kustomization.yaml:11 (images)"],
    ),
    Case(
        IMAGES,
        f"{ECR}/cart",  # by its new name
        ["  newTag: 'v3.1.0'       # released on a Tuesday"],
        ["  newTag: 'v3.2.0'       # released on a Tuesday", f"  digest: {ONES}"],
        tag="v3.2.0",
        digest=ONES,
    ),
    Case(
        IMAGES,
        "shop/cart",
        ["  newTag: 'v3.1.0'       # released on a Tuesday"],
        [f"  digest: '{THREES}'       # released on a Tuesday"],
        digest=THREES,
    ),
    Case(
        IMAGES,
        "shop/cart",
        [f"  newName: {ECR}/cart"],
        ["  newName: mirror.example.com/cart"],
        new_name="mirror.example.com/cart",
    ),
    Case(IMAGES, "shop/cart", [f"  newName: {ECR}/cart"], [], new_name="shop/cart"),
    Case(IMAGES, "mesh/proxy", [f'  digest: "{ONES}"'], ['  newTag: "1.31"'], tag="1.31"),
    Case(
        IMAGES,
        "mesh/proxy",
        [f'  digest: "{ONES}"'],
        ["  newTag: 1.31.0", f'  digest: "{TWOS}"'],
        tag="1.31.0",
        digest=TWOS,
    ),
    Case(
        IMAGES,
        "mesh/proxy",
        [],
        ["  newName: mirror.example.com/proxy"],
        new_name="mirror.example.com/proxy",
    ),
    Case(
        COMPACT,
        "shop/cart",
        [f'images: [{{name: shop/cart, newTag: v3.1.0}}, {{newTag: "1.30", name: mesh/proxy, digest: {TWOS}}}]'],
        [
            (
                f"images: [{{name: shop/cart, newName: {ECR}/cart, newTag: v4, digest: {ONES}}}, "
                f'{{newTag: "1.30", name: mesh/proxy, digest: {TWOS}}}]'
            )
        ],
        tag="v4",
        digest=ONES,
        new_name=f"{ECR}/cart",
    ),
    Case(
        COMPACT,
        "mesh/proxy",
        [f'images: [{{name: shop/cart, newTag: v3.1.0}}, {{newTag: "1.30", name: mesh/proxy, digest: {TWOS}}}]'],
        ['images: [{name: shop/cart, newTag: v3.1.0}, {newTag: "1.31", name: mesh/proxy}]'],
        tag="1.31",
    ),
    Case(
        COMPACT,
        "mesh/proxy",
        [f'images: [{{name: shop/cart, newTag: v3.1.0}}, {{newTag: "1.30", name: mesh/proxy, digest: {TWOS}}}]'],
        [f"images: [{{name: shop/cart, newTag: v3.1.0}}, {{name: mesh/proxy, digest: {ONES}}}]"],
        digest=ONES,
    ),
    Case(
        "images/overlays/untouched",
        "shop/cart",
        [],
        ["images:", "    - name: shop/cart", "      newTag: v3"],
        tag="v3",
        places=["kustomization.yaml:7 (images)"],
    ),
    Case(
        "images/overlays/untouched",
        "mesh/proxy",
        [],
        [
            "images:",
            "    - name: mesh/proxy",
            f"      newName: {ECR}/proxy",
            '      newTag: "1"',
            f"      digest: {ONES}",
        ],
        tag="1",
        digest=ONES,
        new_name=f"{ECR}/proxy",
    ),
    Case(
        "images/overlays/empty",
        "shop/cart",
        ["images: [] # none yet"],
        ["images: # none yet", "  - name: shop/cart", "    newTag: v3"],
        tag="v3",
    ),
    Case(
        "patches/overlays/merge",
        f"{ECR}/search",
        [f'        image: "{ECR}/search:v2" # deployed', f'        image: "{ECR}/search:v2"'],
        [f'        image: "{ECR}/search:v3" # deployed', f'        image: "{ECR}/search:v3"'],
        tag="v3",
        places=["patch-image.yaml:10 (patch)", "patch-image.yaml:20 (patch)"],
    ),
    Case(
        "patches/overlays/inline",
        f"{ECR}/search",
        [f"                image: {ECR}/search:v2", f"        value: {ECR}/search:v2"],
        [f"                image: {ECR}/search:v3@{ONES}", f"        value: {ECR}/search:v3@{ONES}"],
        tag="v3",
        digest=ONES,
        places=["kustomization.yaml:17 (patch)", "kustomization.yaml:25 (JSON patch)"],
    ),
    Case(
        "patches/overlays/operations",
        f"{ECR}/search",
        [f'  {{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "{ECR}/search:v2"}}'],
        [f'  {{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "{ECR}/search@{ONES}"}}'],
        digest=ONES,
        places=["image.json:3 (JSON patch)"],
    ),
    Case(
        "patches/overlays/old",
        "shop/search",
        ["        - {name: search, image: 'shop/search:v2'}", "    image: shop/search:v2"],
        [f"        - {{name: search, image: '{ECR}/search:v2'}}", f"    image: {ECR}/search:v2"],
        new_name=f"{ECR}/search",
    ),
    Case(
        "resources/production", "shop/web", ["          image: shop/web:v7"], ["          image: shop/web:v8"], tag="v8"
    ),
    Case(
        "replacements/overlays/production",
        "mesh/proxy",
        [],
        ["images:", "  - name: mesh/proxy", "    newTag: v2"],
        tag="v2",
    ),
]


def changes(diff: str) -> tuple[list[str], list[str]]:
    lines = [each for each in diff.splitlines() if not each.startswith(("---", "+++", "@@", "\\"))]
    return [each[1:] for each in lines if each[0] == "-"], [each[1:] for each in lines if each[0] == "+"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_edit_changes_the_lines_of_the_image_and_no_others(golden: Path, case: Case) -> None:
    before = {each: each.read_text() for each in golden.rglob("*") if each.is_file()}
    overlay, edits = case.edit(golden)

    assert changes(overlay.diff()) == (case.out, case.into)
    if case.places:
        assert [str(each.place) for each in edits] == [f"{golden / case.overlay / each}" for each in case.places]
    assert {each: each.read_text() for each in golden.rglob("*") if each.is_file()} == before

    written = overlay.write()

    assert overlay.diff() == ""
    changed = [each for each, text in before.items() if each.read_text() != text]
    assert sorted(written) == sorted(changed)
    if not case.new_name:
        assert case.edit(golden)[1] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_edit_is_what_kustomize_renders_then_and_nothing_else(golden: Path, renderer: Renderer, case: Case) -> None:
    overlay, _ = case.edit(golden)

    after = prove(overlay, renderer)
    overlay.write()

    assert renderer.render(golden / case.overlay) == after


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("line_end", ["windows", "mark", "no last line end"])
def test_line_ends_and_marks_survive(golden: Path, case: Case, line_end: str) -> None:
    plain = case.edit(golden)[0].diff()
    files = list((golden / case.overlay).iterdir())
    for file in files:
        text = file.read_bytes()
        if line_end == "windows":
            text = text.replace(b"\n", b"\r\n")
        elif line_end == "mark":
            text = b"\xef\xbb\xbf" + text
        else:
            text = text.rstrip(b"\n")
        file.write_bytes(text)
    before = {each: each.read_bytes() for each in files}

    overlay, _ = case.edit(golden)
    overlay.write()

    for file in files:
        after = file.read_bytes()
        if line_end == "windows":
            assert after.count(b"\n") == after.count(b"\r\n")
        elif line_end == "mark":
            assert after.startswith(b"\xef\xbb\xbf")
            assert after.count(b"\xef\xbb\xbf") == 1
        else:
            assert not after.endswith(b"\n")
        changed = set(after.split(b"\n")) ^ set(before[file].split(b"\n"))
        known = {line.encode() for part in changes(plain) for line in part}
        marked = {line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf") for line in changed}
        assert marked <= known | {before[file].split(b"\n")[-1].removesuffix(b"\r")}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_diff_is_one_that_git_applies(golden: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(golden)
    for file in (golden / case.overlay).iterdir():
        file.write_bytes(file.read_bytes().rstrip(b"\n"))
    overlay, _ = case.edit(Path())
    subprocess.run(["git", "apply", "-"], input=overlay.diff(), text=True, check=True)
    applied = {each: each.read_bytes() for each in golden.rglob("*") if each.is_file()}
    subprocess.run(["git", "apply", "-R", "-"], input=overlay.diff(), text=True, check=True)

    overlay.write()

    assert {each: each.read_bytes() for each in golden.rglob("*") if each.is_file()} == applied


def test_an_edit_that_changes_nothing_says_so(golden: Path) -> None:
    overlay = Overlay.open(golden / IMAGES)

    assert overlay.set_image("shop/cart", tag="v3.1.0") == []
    assert (overlay.diff(), overlay.write()) == ("", [])


def test_edits_add_up(golden: Path, renderer: Renderer) -> None:
    overlay = Overlay.open(golden / IMAGES)
    overlay.set_image("shop/cart", tag="v4")
    overlay.set_image(f"{ECR}/cart", tag="v5")
    overlay.set_image("mesh/proxy", tag="v6")

    prove(overlay, renderer)

    assert [each for each in changes(overlay.diff())[1] if "newTag" in each] == [
        "  newTag: 'v5'       # released on a Tuesday",
        '  newTag: "v6"',
    ]


def test_what_an_edit_replaced_is_told(golden: Path) -> None:
    (edit,) = Overlay.open(golden / IMAGES).set_image("shop/cart", tag="v4")

    assert (edit.before, edit.after) == (f"{ECR}/cart:v3.1.0", f"{ECR}/cart:v4")
    (added,) = Overlay.open(golden / "images/overlays/untouched").set_image("shop/cart", tag="v4")
    assert (added.before, added.after) == ("", "shop/cart:v4")


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("v1", "v1"),
        ("1.2.3", "1.2.3"),
        ("1.10", '"1.10"'),
        ("7", '"7"'),
        ("7e12345", '"7e12345"'),
        ("0x1f", '"0x1f"'),
        ("1_000", '"1_000"'),
        ("true", '"true"'),
        ("ON", '"ON"'),
        ("n", '"n"'),
        ("null", '"null"'),
        ("2026-03-01", '"2026-03-01"'),
        ("2026-13-01", '"2026-13-01"'),
        ("0b_", '"0b_"'),
        ("2026-03-01.1", "2026-03-01.1"),
        ("4d5e6f7", "4d5e6f7"),
        ("1e3", '"1e3"'),
        ("_1", '"_1"'),
    ],
)
def test_a_tag_that_others_would_read_as_a_number_is_quoted(
    golden: Path, renderer: Renderer, tag: str, written: str
) -> None:
    overlay = Overlay.open(golden / "images/overlays/untouched")
    overlay.set_image("shop/cart", tag=tag)

    assert changes(overlay.diff())[1][-1] == f"      newTag: {written}"
    prove(overlay, renderer)


@pytest.mark.parametrize(
    "text",
    [
        "images:\n- name: shop/cart\n  newTag:\n  digest: {ones}\n",
        "images:\n- newTag: v1\n  name: shop/cart\n",
        "images:\n-   name: shop/cart\n    # which one\n    newTag: v1\n\n# end\n",
        "images:\n  -\n    name: shop/cart\n    newTag: v1\n",
        "images: # all\n  # the first\n  - name: shop/cart # only\n",
        "images:\n- {name: shop/cart}\n- name: other\n  newTag: a\n",
        "images:\n- name: other\n",
        "images:\n- name: other\n  # nothing yet\n\nnamespace: a\n",
        "images: # none\n\n",
        "images: ~\nnamespace: a\n",
        "images: null # none\n",
        "images: [ ]\n",
        "images: [{name: other}]\n",
        "images: [ {name: other, newTag: v1}, ]\n",
        'images: [{"name": "shop/cart", "newTag": "v1"}]\n',
        "images:\n- &cart\n  name: shop/cart\n",
        "imageTags:\n- name: shop/cart\n  newTag: v1\n",
        "# only a comment at the end",
        "namespace: |\n  a\n\n\n",
    ],
)
@pytest.mark.parametrize("digest", ["", THREES])
def test_lists_of_all_styles_are_edited(golden: Path, renderer: Renderer, text: str, digest: str) -> None:
    folder = golden / "images/overlays/compact"
    resources = "resources: [../../base]\n"
    (folder / "kustomization.yaml").write_text(resources + text.replace("{ones}", ONES))

    overlay = Overlay.open(folder)
    overlay.set_image("shop/cart", tag="v2", digest=digest)
    prove(overlay, renderer)

    out, into = changes(overlay.diff())
    assert len(into) + len(out) <= 6
    for line in (each for each in text.splitlines() if "#" in each):
        assert line.partition("#")[2] in "\n".join(overlay.changed.values())


def test_a_last_line_without_an_end_that_goes_takes_the_end_before_it_along(golden: Path) -> None:
    file = golden / "images/overlays/compact/kustomization.yaml"
    for end in ("\n", "\r\n"):
        lines = ["resources: [../../base]", "images:", "- name: shop/cart", "  newTag: v1", f"  digest: {ONES}"]
        file.write_bytes(end.join(lines).encode())

        overlay = Overlay.open(file.parent)
        overlay.set_image("shop/cart", tag="v2")
        overlay.write()

        assert file.read_bytes().decode() == end.join([*lines[:3], "  newTag: v2"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images:\n- name: shop/cart\n  newTag: &tag v1\nnamePrefix: *tag\n", "newTag is written in a way that is not"),
        ("images:\n- name: shop/cart\n  newTag: !!str v1\n", "newTag is written in a way that is not edited"),
        ("images:\n- name: shop/cart\n  newTag: |-\n    v1\n", "newTag is written in a way that is not edited"),
        ("images:\n- name: shop/cart\n  newTag: v1\n  tagSuffix: -a\n", "adds a tagSuffix to the tag it finds"),
        ("images:\n- name: shop/cart\n  NewTag: v1\n", "an entry of images has no 'NewTag'; check its spelling"),
        ("images: &all\n- name: other\n", None),
        ("...\n", "change it by hand"),
        (
            "namespace: a\t# why\n",
            "kustomization.yaml, line 2: this is not read as it is written: found character '\\t'",
        ),
        ('{"resources": ["../../base"]}', "is written in braces, as JSON is: add the entry to images by hand"),
    ],
)
def test_what_is_written_in_an_odd_way_is_left_to_the_user(golden: Path, text: str, expected: str | None) -> None:
    folder = golden / "images/overlays/compact"
    resources = "" if text.startswith("{") else "resources: [../../base]\n"
    (folder / "kustomization.yaml").write_text(resources + text)

    overlay = Overlay.open(folder)
    if expected is None:
        overlay.set_image("shop/cart", tag="v2")
        return
    with pytest.raises(NeedsHuman, match="kustomization") as caught:
        overlay.set_image("shop/cart", tag="v2")
    assert expected in str(caught.value)
    assert overlay.diff() == ""


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("shop/cart:v1", {"tag": "v2"}, "without tag and digest"),
        (f"shop/cart@{ONES}", {"tag": "v2"}, "without tag and digest"),
        ("Shop/Cart", {"tag": "v2"}, "name the image without tag and digest"),
        ("", {"tag": "v2"}, "name the image without tag and digest"),
        ("shop/cart", {}, "give a tag, a digest or a new name"),
        ("shop/cart", {"tag": "v2\nimages: []"}, "tag 'v2"),
        ("shop/cart", {"tag": "a b"}, "tag 'a b'"),
        ("shop/cart", {"digest": "sha256:1"}, "digest"),
        ("shop/cart", {"new_name": "mirror/cart:v2"}, "without tag and digest"),
        ("shop/cart", {"new_name": "a: b"}, "without tag and digest"),
    ],
)
def test_what_is_no_image_is_refused(golden: Path, name: str, options: dict[str, str], expected: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        Overlay.open(golden / IMAGES).set_image(name, **options)
    assert caught.value.reason is Reason.INVALID_IMAGE
    assert expected in str(caught.value)


def test_a_file_that_has_changed_meanwhile_is_not_written(golden: Path) -> None:
    overlay = Overlay.open(golden / IMAGES)
    overlay.set_image("shop/cart", tag="v4")
    file = golden / IMAGES / "kustomization.yaml"
    file.write_text(file.read_text() + "# mine\n")

    with pytest.raises(NeedsHuman, match="has changed since it was read; begin again"):
        overlay.write()
    assert file.read_text().endswith("# mine\n")


def test_a_file_is_replaced_at_once_and_keeps_its_mode(golden: Path) -> None:
    file = golden / IMAGES / "kustomization.yaml"
    file.chmod(0o640)
    number = file.stat().st_ino
    overlay = Overlay.open(golden / IMAGES)
    overlay.set_image("shop/cart", tag="v4")

    assert overlay.write() == [file]
    assert (file.stat().st_mode & 0o777, file.stat().st_ino != number) == (0o640, True)
    assert [each.name for each in file.parent.iterdir()] == ["kustomization.yaml"]


FOLDED = """\
patches:
- target: {kind: Deployment}
  patch: >-
    [{"op": "replace",
      "path": "/spec/PATH",
      "value": VALUE}]
"""
ONE_LINE = """\
patchesStrategicMerge:
- '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": {"replicas": 2}}'
"""


@pytest.mark.parametrize("text", [FOLDED.replace("PATH", "replicas").replace("VALUE", "3"), ONE_LINE])
def test_patches_in_odd_ways_are_in_nobodys_way_who_sets_another_image(
    golden: Path, renderer: Renderer, text: str
) -> None:
    folder = golden / "images/overlays/compact"
    (folder / "kustomization.yaml").write_text("resources: [../../base]\n" + text)
    overlay = Overlay.open(folder)
    overlay.set_image("shop/cart", tag="v2")
    prove(overlay, renderer)
    assert changes(overlay.diff())[1] == ["images:", "- name: shop/cart", "  newTag: v2"]


def test_an_image_in_a_folded_patch_is_found_and_left_to_the_user(golden: Path) -> None:
    folder = golden / "images/overlays/compact"
    text = FOLDED.replace("PATH", "template/spec/containers/0/image").replace("VALUE", '"shop/cart:v1"')
    (folder / "kustomization.yaml").write_text("resources: [../../base]\n" + text)
    overlay = Overlay.open(folder)
    with pytest.raises(NeedsHuman, match=r"kustomization.yaml:4 \(JSON patch\) is written in a way that is not edited"):
        overlay.set_image("shop/cart", tag="v2")
