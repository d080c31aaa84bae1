"""The image starts as a restricted pod would have it, says what it is, and has nothing in it to log in to."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from image.building import Built, Tree, build
from localworld.errors import WorldError
from reference.version import version
from shipping import builders
from shipping.builders import Builder, Wanted

pytestmark = pytest.mark.timeout(600)
DEPENDENCIES, CODE = 1, 2


@pytest.fixture(scope="module")
def tree(image: Built, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return image.unpack(tmp_path_factory.mktemp("tree"))


def test_it_starts_as_nobody_with_a_root_that_is_read_only(tree: Tree) -> None:
    result = tree.run(["version"])

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"transship {version()} (Python 3.")


def test_the_operator_is_what_it_runs_and_a_wrong_setting_is_told_in_one_sentence(tree: Tree) -> None:
    result = tree.run(tree.config["Cmd"], TRANSSHIP_RESYNC="often")

    assert result.returncode == 1, result.stderr
    (said,) = result.stderr.strip().splitlines()
    assert "TRANSSHIP_RESYNC" in said
    assert "Traceback" not in result.stderr


def test_every_module_of_the_operator_and_the_webhook_can_be_loaded(tree: Tree) -> None:
    for command in ("operator", "admission", "copy", "plan", "policy"):
        result = tree.run([command, "--help"])
        assert result.returncode == 0, result.stderr


def test_modules_do_not_come_from_the_working_directory_which_may_be_written_to(tree: Tree) -> None:
    assert "PYTHONSAFEPATH=1" in tree.config["Env"]
    assert tree.config["User"] == "65532:65532"


def test_there_is_no_shell_no_pip_and_nothing_to_install_with(tree: Tree) -> None:
    assert {name for name in tree.programs() if not name.startswith("python3")} == set()
    assert not list(tree.root.glob("opt/transship/*/bin"))
    places = [*tree.root.glob("usr/lib/python3*/**/pip"), *tree.root.glob("opt/transship/*/pip")]
    assert places == []


def test_one_layer_has_the_dependencies_and_one_the_code(image: Built) -> None:
    dependencies = {entry.name.split("/")[2] for entry in image.files(DEPENDENCIES)}
    code = {entry.name.split("/")[3].partition("-")[0] for entry in image.files(CODE)}

    assert len(image.manifest["layers"]) == 3
    assert dependencies == {"dependencies"}
    assert code == {"transship"}


def test_what_it_holds_is_owned_by_root_and_written_to_by_nobody_else(image: Built) -> None:
    entries = [*image.files(DEPENDENCIES), *image.files(CODE)]

    assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}
    assert [entry.name for entry in entries if entry.mode & 0o022] == []


def test_its_labels_say_version_licence_and_where_it_comes_from(image: Built) -> None:
    labels = {name.rpartition(".")[2]: value for name, value in image.config["config"]["Labels"].items()}

    assert labels["version"] == version()
    assert labels["licenses"] == "Apache-2.0"
    assert labels["source"] == "https://github.com/transship/transship"
    assert len(labels["revision"].partition("-")[0]) == 40


def test_the_same_sources_make_the_same_layers(
    image: Built, image_builder: Builder, image_bases: Mapping[str, str], tmp_path: Path
) -> None:
    again = build(image_builder, image_bases, tmp_path / "layout", is_fresh=True)

    assert again.manifest["layers"] == image.manifest["layers"]


def test_a_build_whose_pythons_differ_is_refused(
    image_builder: Builder, image_bases: Mapping[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorldError, match="there is no image"):
        build(image_builder, {**image_bases, "PYTHON": "3.99"}, tmp_path / "layout")

    assert "and PYTHON is 3.99: they and RUNTIME_IMAGE have to agree" in capfd.readouterr().err


def test_a_base_that_cannot_be_pulled_is_told_with_what_to_do(image_builder: Builder) -> None:
    nowhere = {"BUILD_IMAGE": "registry.invalid/python:3.13", "RUNTIME_IMAGE": "registry.invalid/python:3.13"}

    with pytest.raises(
        WorldError, match=r"Where the base images cannot be pulled give others: make image BUILD_IMAGE="
    ):
        image_builder.build(Wanted("nothing", arguments=nowhere))


def test_without_a_builder_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(builders, "why_no_buildah", lambda: "And no Debian.")

    with pytest.raises(WorldError, match=r"install docker with buildx, podman or buildah\. And no Debian\."):
        builders.find()


def test_both_bases_are_pinned_by_digest() -> None:
    text = (Path(__file__).parents[2] / "Dockerfile").read_text()
    bases = [line for line in text.splitlines() if line.startswith(("ARG BUILD_IMAGE", "ARG RUNTIME_IMAGE"))]

    assert len(bases) == 2
    assert all(len(base.rpartition("@sha256:")[2]) == 64 for base in bases)


def test_docker_is_told_of_all_platforms_and_where_to_write(tmp_path: Path) -> None:
    wanted = Wanted("transship:1", platforms=("linux/amd64", "linux/arm64"), layout=tmp_path)

    (command,) = builders.with_docker(wanted)

    assert "--platform=linux/amd64,linux/arm64" in command
    assert any(word.startswith(f"--output=type=oci,tar=false,dest={tmp_path}") for word in command)
    assert "--push" not in command


def test_the_list_of_packages_is_what_is_installed_in_the_image(tree: Tree, tmp_path: Path) -> None:
    from shipping import sbom  # noqa: PLC0415 - what it needs is of development only

    sbom.write(tmp_path / "sbom.cdx.json")

    listed = json.loads((tmp_path / "sbom.cdx.json").read_text())
    folders = tree.root.glob("opt/transship/dependencies/*.dist-info")
    installed = {named(*each.name.removesuffix(".dist-info").split("-")) for each in folders}
    assert len(listed["components"]) == len(installed)
    assert {named(each["name"], each["version"]) for each in listed["components"]} == installed
    assert all(each["externalReferences"][0]["hashes"] for each in listed["components"])
    assert listed["metadata"]["component"]["version"] == version()
    checked = subprocess.run([sys.executable, "-c", VALIDATE, str(tmp_path / "sbom.cdx.json")], check=False)
    assert checked.returncode == 0


def named(name: str, version: str) -> str:
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read())
sys.exit(str(error) if error else 0)
"""
