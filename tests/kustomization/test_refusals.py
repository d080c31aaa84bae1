"""What an overlay may ask for is seen before anything is run: none of these tests needs kustomize."""

import itertools
import json
import os
from pathlib import Path

import pytest

from transship.errors import NeedsHuman, Reason
from transship.kustomization.files import is_remote
from transship.kustomization.layers import Role, read_layers
from transship.kustomization.render import Options

REMOTE = [
    "https://example.com/deployment.yaml",
    "HTTP://example.com/deployment.yaml",
    "http:example.com/deployment.yaml",
    "https://github.com/example/manifests//base?ref=v1",
    "github.com/example/manifests/base",
    "GitHub.com:example/manifests",
    "git::https://example.com/manifests.git",
    "git@example.com:manifests.git",
    "deploy@example.com:manifests",
    "ssh://git@example.com/manifests",
    "file:///etc",
]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def refusal(overlay: Path, options: Options | None = None) -> str:
    with pytest.raises(NeedsHuman) as caught:
        read_layers(overlay, options or Options())
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert "\n" not in str(caught.value)
    return str(caught.value)


def of(tmp_path: Path, kustomization: str, **options: bool) -> str:
    return refusal(write(tmp_path / "o", {"kustomization.yaml": kustomization}), Options(**options))


def test_layers_are_walked_in_the_order_in_which_they_are_applied(golden: Path) -> None:
    layer = read_layers(golden / "components" / "overlays" / "production")

    assert [(each.folder.name, each.role) for each in layer.walk()] == [
        ("production", Role.OVERLAY),
        ("base", Role.BASE),
        ("metrics", Role.COMPONENT),
        ("pinned", Role.COMPONENT),
    ]


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("field", ["resources", "bases", "components", "generators", "transformers", "validators"])
def test_nothing_is_fetched_unless_it_was_asked_for(tmp_path: Path, field: str, name: str) -> None:
    said = of(tmp_path, f"{field}: [{name!r}]\n")

    assert "fetched from elsewhere: allow remote bases, or keep a copy here" in said
    assert name[:20] in said


@pytest.mark.parametrize("field", ["resources", "bases", "components"])
def test_what_is_fetched_is_left_to_kustomize_where_it_was_asked_for(tmp_path: Path, field: str) -> None:
    overlay = write(tmp_path, {"kustomization.yaml": f"{field}: ['{REMOTE[3]}']\n"})

    assert read_layers(overlay, Options(allow_remote=True)).below == ()


@pytest.mark.parametrize(
    "kustomization",
    [
        "configurations: ['{}']",
        "crds: ['{}']",
        "patchesStrategicMerge: ['{}']",
        "patches: [{{path: '{}'}}]",
        "patchesJson6902: [{{path: '{}'}}]",
        "replacements: [{{path: '{}'}}]",
        "openapi: {{path: '{}'}}",
        "configMapGenerator: [{{name: a, files: ['b={}']}}]",
        "configMapGenerator: [{{name: a, envs: ['{}']}}]",
        "secretGenerator: [{{name: a, env: '{}'}}]",
    ],
)
def test_every_field_that_names_a_file_is_looked_at(tmp_path: Path, kustomization: str) -> None:
    assert "fetched from elsewhere" in of(tmp_path / "remote", kustomization.format(REMOTE[0]))
    write(tmp_path, {"outside/o.yaml": "a: b", "outside/kustomization.yaml": "{}"})
    assert "outside of its folder" in of(tmp_path / "outside", kustomization.format("../o.yaml"))
    assert "which is not there" in of(tmp_path / "missing", kustomization.format("missing.yaml"))


def test_a_field_in_another_case_which_kustomize_would_take_is_refused(tmp_path: Path) -> None:
    assert "'Resources' that is not one of kustomize's" in of(tmp_path, f"Resources: ['{REMOTE[0]}']")
    assert "'re\u017fources' that is" in of(tmp_path, f"re\u017fources: ['{REMOTE[0]}']")
    assert "'Path'; write it in small letters" in of(tmp_path, f"patches: [{{Path: '{REMOTE[0]}'}}]")
    assert "'PATH'; write it in small letters" in of(tmp_path, f"openapi: {{PATH: '{REMOTE[0]}'}}")


@pytest.mark.parametrize("entry", ["yes", "1e3", "{a: b}", "[a]", "7"])
def test_an_entry_that_others_may_read_as_text_is_refused(tmp_path: Path, entry: str) -> None:
    assert "has to be a list of texts; quote what is not read as text" in of(tmp_path, f"resources: [{entry}]")


@pytest.mark.parametrize(
    "text", ["resources: a\n", "patches: a\n", "patches: [a]\n", "images: {}\n---\na: b\n", "", "- a"]
)
def test_what_is_no_kustomization_is_refused(tmp_path: Path, text: str) -> None:
    assert "kustomization" in of(tmp_path, text)


def test_charts_are_refused_unless_they_were_asked_for(golden: Path) -> None:
    said = refusal(golden / "refused" / "helm")

    assert said == (
        f"{golden}/refused/helm/kustomization.yaml has helmCharts: allow helm, or render it yourself and hand over "
        "the output"
    )
    assert read_layers(golden / "refused" / "helm", Options(allow_helm=True)).has_charts


def test_functions_and_plugins_are_refused_whatever_was_asked_for(golden: Path, tmp_path: Path) -> None:
    for options in (Options(), Options(allow_helm=True, allow_remote=True)):
        said = refusal(golden / "refused" / "function", options)
        assert "function.yaml runs 'SetImages', which is no part of kustomize" in said
    inline = "generators:\n- |-\n  apiVersion: example.com/v1\n  kind: Made\n  metadata: {name: a}\n"
    assert "runs 'Made'" in of(tmp_path, inline)
    folder = {"p/kustomization.yaml": "resources: [f.yaml]", "p/f.yaml": "apiVersion: a/v1\nkind: Hidden\n"}
    write(tmp_path / "o", folder)
    assert "runs 'Hidden'" in of(tmp_path, "transformers: [p]")


def test_a_chart_in_a_generator_is_refused_as_well(tmp_path: Path) -> None:
    inline = "generators:\n- |-\n  apiVersion: builtin\n  kind: HelmChartInflationGenerator\n  name: a\n"

    assert "inflates a chart" in of(tmp_path, inline)


def test_a_file_outside_of_its_folder_by_a_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"secret.yaml": "a: b", "o/kustomization.yaml": "resources: [link.yaml]"})
    (tmp_path / "o" / "link.yaml").symlink_to("../secret.yaml")

    assert "'link.yaml', which is outside of its folder" in refusal(tmp_path / "o")


def test_a_kustomization_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere.yaml": "resources: []", "o/a": ""})
    (tmp_path / "o" / "kustomization.yaml").symlink_to("../elsewhere.yaml")

    assert "outside of its folder, by a symbolic link" in refusal(tmp_path / "o")


def test_a_base_outside_of_the_repository_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"base/kustomization.yaml": "{}", "repo/o/kustomization.yaml": "resources: [../../base]"})
    (tmp_path / "repo" / ".git").mkdir()

    assert "'../../base', which is outside of the repository" in refusal(tmp_path / "repo" / "o")


def test_a_base_behind_a_link_is_refused_where_nothing_bounds_it(tmp_path: Path) -> None:
    write(tmp_path, {"base/kustomization.yaml": "{}", "o/kustomization.yaml": "resources: [link]"})
    (tmp_path / "o" / "link").symlink_to("../base")

    assert "leads elsewhere by a symbolic link" in refusal(tmp_path / "o")
    (tmp_path / ".git").mkdir()
    assert [each.folder.name for each in read_layers(tmp_path / "o").walk()] == ["o", "base"]


def test_layers_that_lead_to_themselves_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: [../a]"})

    assert "which is or contains a folder that leads to it" in refusal(tmp_path / "a")
    write(tmp_path, {"a/kustomization.yaml": "resources: [..]", "kustomization.yaml": "{}"})
    assert "which is or contains a folder that leads to it" in refusal(tmp_path / "a")


def test_layers_that_multiply_are_counted(tmp_path: Path) -> None:
    for level in range(12):
        write(tmp_path / f"l{level}", {"kustomization.yaml": f"resources: [../l{level + 1}, ../m{level + 1}]"})
        write(tmp_path / f"m{level}", {"kustomization.yaml": f"resources: [../l{level + 1}, ../m{level + 1}]"})
    write(tmp_path, {"l12/kustomization.yaml": "{}", "m12/kustomization.yaml": "{}"})

    assert "is made of more than 200 kustomizations" in refusal(tmp_path / "l0")


def test_a_pipe_that_nobody_writes_to_is_no_file(tmp_path: Path) -> None:
    overlay = write(tmp_path, {"kustomization.yaml": "resources: [pipe.yaml]"})
    os.mkfifo(tmp_path / "pipe.yaml")

    assert "which is no file" in refusal(overlay)


def test_a_folder_without_or_with_two_kustomizations_is_refused(tmp_path: Path) -> None:
    assert "has no kustomization: kustomization.yaml" in refusal(tmp_path)
    write(tmp_path, {"kustomization.yaml": "{}", "Kustomization": "{}"})
    assert "has several kustomizations; keep one" in refusal(tmp_path)
    assert "is no folder" in refusal(tmp_path / "kustomization.yaml")


def test_a_kustomization_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_bytes("resources: []".encode("utf-16"))

    assert "is not UTF-8 text" in refusal(tmp_path)


def test_files_are_called_as_the_overlay_was(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(golden)
    (golden / "images" / "base" / "kustomization.yaml").write_text("resources: [missing.yaml]")

    said = refusal(Path("images/overlays/production"))

    assert said == "images/base/kustomization.yaml names 'missing.yaml', which is not there"


@pytest.mark.parametrize("name", ["deployment.yaml", "../base", "./github.com/a/b", "a/b@c", "git", "https"])
def test_paths_are_no_urls(name: str) -> None:
    assert not is_remote(name)


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n" for old, new in itertools.pairwise("abcdefghi")
)


def plugin(kind: str, **fields: object) -> str:
    return json.dumps({"apiVersion": "builtin", "kind": kind, "metadata": {"name": "a"}, **fields})


@pytest.mark.parametrize(
    "kustomization",
    [
        {"patches": [{"patch": BOMB}]},
        {"patches": [{"patch": f"{{{BOMB.strip().replace(chr(10), ', ')}}}"}]},
        {"patchesJson6902": [{"patch": BOMB}]},
        {"patchesStrategicMerge": [BOMB]},
        {"crds": ["bomb.yaml"]},
        {"openapi": {"path": "bomb.yaml"}},
        *(
            {field: [f"{text}\n"]}
            for field in ("generators", "transformers", "validators")
            for text in (
                plugin("PatchTransformer", path="bomb.yaml"),
                plugin("PatchTransformer", patch=BOMB),
                plugin("PatchJson6902Transformer", jsonOp=BOMB),
                plugin("PatchStrategicMergeTransformer", patches=BOMB),
                plugin("PatchStrategicMergeTransformer", paths=["bomb.yaml"]),
                plugin("PatchStrategicMergeTransformer", paths=[BOMB]),
                plugin("ReplacementTransformer", replacements=[{"path": "bomb.yaml"}]),
                plugin("ValueAddTransformer", targetFilePath="bomb.yaml"),
            )
        ),
    ],
)
def test_bombs_in_texts_and_behind_plugins_are_found_as_well(tmp_path: Path, kustomization: dict[str, object]) -> None:
    write(tmp_path / "o", {"bomb.yaml": BOMB})

    assert "the YAML stands for more than" in of(tmp_path, json.dumps(kustomization))


def test_what_a_plugin_reads_is_in_the_folder_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "o", {"p.yaml": plugin("PatchTransformer", path="../secret.yaml"), "q/p.yaml": "a: b"})
    write(tmp_path, {"secret.yaml": "a: b"})
    assert "outside of its folder" in of(tmp_path, "transformers: [p.yaml]")
    text = plugin("ConfigMapGenerator", files=["a=http://example.com/a"])
    assert "fetched from elsewhere" in of(tmp_path, json.dumps({"generators": [f"{text}\n"]}))
    text = plugin("PatchTransformer", Path="p.yaml")
    assert "'Path'; write it as it is documented" in of(tmp_path, json.dumps({"transformers": [f"{text}\n"]}))
    listed = plugin("List", items=[json.loads(plugin("PatchTransformer", path="../secret.yaml"))])
    assert "runs 'List'" in of(tmp_path, json.dumps({"transformers": [f"{listed}\n"]}))
    text = plugin("PatchTransformer", path="q/p.yaml")
    write(tmp_path / "o", {"kustomization.yaml": json.dumps({"transformers": [f"{text}\n"]})})
    assert tmp_path / "o" / "q" / "p.yaml" in read_layers(tmp_path / "o").files


def test_bombs_in_what_kustomize_would_read_are_found_before_it_does(tmp_path: Path) -> None:
    write(tmp_path, {"b/bomb.yaml": BOMB, "b/kustomization.yaml": "resources: [bomb.yaml]"})
    assert "b/bomb.yaml, line 7, document 1: the YAML stands for more than" in refusal(tmp_path / "b")
    write(tmp_path, {"b/kustomization.yaml": "patches: [{path: bomb.yaml}]"})
    assert "b/bomb.yaml, line 7, document 1: the YAML stands for more than" in refusal(tmp_path / "b")


def test_broken_yaml_in_a_base_is_told_with_its_file_and_line(golden: Path) -> None:
    file = golden / "patches" / "base" / "job.yaml"
    file.write_text("a: b\n---\na: [\n")

    assert f"{file}, line 4, document 2: not YAML" in refusal(golden / "patches" / "overlays" / "merge")


@pytest.mark.parametrize("name", ["a" * 300, "a" * 5000, "a\0b", "loop"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    write(tmp_path, {"kustomization.yaml": json.dumps({"resources": [name]})})

    assert "is not there" in refusal(tmp_path) or "cannot be read: File name too long" in refusal(tmp_path)


def test_the_aliases_of_many_patches_count_together(tmp_path: Path) -> None:
    layers = ["- &b0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"- &b{at} [{', '.join([f'*b{at - 1}'] * 10)}]" for at in range(1, 5)]
    patch = "    - patch: |-\n        kind: Deployment\n        x:\n" + "".join(f"        {each}\n" for each in layers)
    one = "patches:\n" + patch
    assert read_layers(write(tmp_path / "one", {"kustomization.yaml": one})).folder
    assert "together, counting what their aliases repeat" in of(tmp_path, one + 9 * patch)


def test_a_file_whose_name_may_be_read_as_a_patch_is_refused(tmp_path: Path) -> None:
    files = {"kustomization.yaml": "patchesStrategicMerge: ['{a}']\n", "{a}": "kind: Deployment\n"}
    assert "a file whose name may be read as YAML; rename it" in refusal(write(tmp_path / "o", files))
