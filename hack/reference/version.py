"""The version, which pyproject.toml says, wherever else it has to be written.

Images are named `transship:<version>` in manifests, chart and pages; the chart, the package and the image's label have
it by itself. What speaks of another version on purpose (CHANGELOG.md, measurements) does not write it as the name of an
image, and stays as it is.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from reference.schemas import ROOT

_FOLDERS = ("docs", "manifests", "charts", "hack/kind")
_SUFFIXES = frozenset({".md", ".yaml", ".yml"})
_SINGLE = ("README.md", "Dockerfile", "controller/transship/__init__.py")
_GRAMMAR = re.compile(r"\d+\.\d+\.\d+")
_VERSION = r"\d+\.\d+\.\d+"
_ANYWHERE = (
    re.compile(rf"(?<![\w.-])(transship:){_VERSION}\b"),
    re.compile(rf"(newName: \S*/transship\n\s*newTag: ){_VERSION}\b"),
)
_KEYS: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "Dockerfile": (re.compile(rf"^(ARG VERSION=){_VERSION}$", re.MULTILINE),),
    "__init__.py": (re.compile(rf'^(__version__ = "){_VERSION}(?=")', re.MULTILINE),),
    "Chart.yaml": (re.compile(rf'^((?:version|appVersion): "?){_VERSION}\b', re.MULTILINE),),
}


def version() -> str:
    """What pyproject.toml says.

    Raises:
        ValueError: It is not of the form that charts, images and packages have in common.
    """
    said = str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    if not _GRAMMAR.fullmatch(said):
        raise ValueError(
            f"pyproject.toml: version is {said}; write three numbers, which charts and images have as well"
        )
    return said


def files() -> Mapping[Path, str]:
    """Each file that says the version somewhere, with the content it has to have."""
    said = version()
    return {path: _told(path, said) for path in _paths()}


def _paths() -> Iterator[Path]:
    yield from (ROOT / name for name in _SINGLE)
    for folder in _FOLDERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in _SUFFIXES)


def _told(path: Path, said: str) -> str:
    text = path.read_text(encoding="utf-8")
    for pattern in (*_ANYWHERE, *_KEYS.get(path.name, ())):
        text = pattern.sub(rf"\g<1>{said}", text)
    return text
