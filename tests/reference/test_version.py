"""The version is written once, and everything that says it follows."""

from pathlib import Path

import pytest
import yaml

from localworld.paths import REPOSITORY
from reference import schemas, version

BEFORE = "0.1.0"
TEXTS = {
    "pyproject.toml": '[project]\nname = "transship"\nversion = "7.8.9"\n',
    "README.md": f"docker push REGISTRY/transship:{BEFORE}\n",
    "Dockerfile": f"ARG VERSION={BEFORE}\n",
    "controller/transship/__init__.py": f'__version__ = "{BEFORE}"\n',
    "charts/transship/Chart.yaml": f'apiVersion: v2\nversion: {BEFORE}\nappVersion: "{BEFORE}"\n',
    "manifests/operator/deployment.yaml": f"image: transship:{BEFORE}\n",
    "manifests/README.md": f"newName: registry.example/platform/transship\n  newTag: {BEFORE}\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in small, whose version was raised in pyproject.toml."""
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(version, "ROOT", tmp_path)
    return tmp_path


def test_a_new_version_reaches_the_package_the_image_the_chart_the_manifests_and_the_pages(project: Path) -> None:
    wanted = {str(path.relative_to(project)): text for path, text in version.files().items()}

    assert wanted == {name: text.replace(BEFORE, "7.8.9") for name, text in TEXTS.items() if name != "pyproject.toml"}


def test_versions_of_other_things_stay_as_they_are(project: Path) -> None:
    page = project / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("transship 0.1.0 beside not-transship:0.1.0, crane:0.1.0 and version: 0.1.0\n")

    assert version.files()[page] == page.read_text()


def test_a_version_that_no_chart_could_have_is_refused(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nversion = "0.2.0rc1"\n')

    with pytest.raises(ValueError, match=r"version is 0\.2\.0rc1; write three numbers"):
        version.files()


def test_every_image_of_ours_in_the_manifests_has_the_version_of_the_package() -> None:
    named = set()
    for path in (schemas.ROOT / "manifests").rglob("deployment.yaml"):
        for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if resource["kind"] == "Deployment":
                named |= {each["image"] for each in resource["spec"]["template"]["spec"]["containers"]}

    assert named == {f"transship:{version.version()}"}
    assert f"ARG VERSION={version.version()}\n" in (REPOSITORY / "Dockerfile").read_text()
