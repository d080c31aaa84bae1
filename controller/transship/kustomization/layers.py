"""The kustomizations an overlay is made of, walked before anything is run (threat T18).

kustomize fetches whatever looks like a URL, in every field that names a file or folder, and takes field names in any
case. So names have to be written as they are documented, and what is named has to be there: a file inside its own
folder, a folder inside the repository that holds the overlay. The program's own restrictions hold beside that.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from transship.kustomization.documents import MAX_NODES, read_documents, require_within_budgets
from transship.kustomization.files import is_remote, kustomization_file, read_text, refused, seen_from
from transship.kustomization.named import (
    files_of,
    inline,
    inline_of_plugin,
    is_inline,
    is_written_out,
    read_as_yaml,
    read_by_plugin,
    require_exact_names,
    strings,
)
from transship.kustomization.program import DEFAULT, Options

MAX_LAYERS = 200
MAX_TOTAL_NODES = 2 * MAX_NODES
"""Keys and values of everything that an overlay is made of: patches are many, and each is read again and again."""
_FIELDS = frozenset(
    {
        *("apiVersion", "kind", "metadata", "openapi", "namespace", "namePrefix", "nameSuffix", "buildMetadata"),
        *("labels", "commonLabels", "commonAnnotations", "sortOptions", "generatorOptions", "replicas", "vars"),
        *("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators"),
        *("patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "images", "imageTags"),
        *("configMapGenerator", "secretGenerator", "helmGlobals", "helmCharts", "helmChartInflationGenerator"),
    }
)
_PLUGINS = ("generators", "transformers", "validators")
_HELM = ("helmCharts", "helmChartInflationGenerator")


class Role(StrEnum):
    """What a layer is to the one that names it."""

    OVERLAY = "overlay"
    BASE = "base"
    COMPONENT = "component"
    PLUGINS = "plugin configuration"


@dataclass(frozen=True, slots=True)
class Layer:
    """One folder with a kustomization.

    Attributes:
        folder: without symbolic links.
        file: the kustomization.
        resources: files it names as resources.
        below: layers it stands on, in the order in which kustomize applies them.
        written: how the folder is named where it is named, symbolic links and all.
        files: every file of it that kustomize reads.
        plugins: files that configure its generators, transformers and validators.
        has_charts: it inflates charts, and what they read is not known.
    """

    folder: Path
    file: Path
    role: Role
    content: Mapping[str, Any]
    resources: tuple[Path, ...]
    below: tuple["Layer", ...]
    written: Path
    files: tuple[Path, ...]
    plugins: tuple[Path, ...]
    has_charts: bool

    def walk(self) -> Iterator["Layer"]:
        """This one and all below."""
        yield self
        for layer in self.below:
            yield from layer.walk()


def read_layers(overlay: Path, options: Options = DEFAULT) -> Layer:
    """Read the kustomizations an overlay is made of.

    Raises:
        NeedsHuman: InvalidRequest: one cannot be read, or asks for what is not allowed.
    """
    try:
        folder = overlay.resolve()
        if not folder.is_dir():
            raise refused(f"{overlay} is no folder; name the folder of a kustomization")
        return _Walk(overlay, folder, options).layer(folder, Role.OVERLAY, (), folder)
    except OSError as error:  # no right to look, or a name that no file can have
        raise refused(f"{overlay} cannot be read: {error.strerror}") from error


@dataclass(slots=True)
class _Walk:
    overlay: Path
    start: Path
    options: Options
    count: int = 0
    nodes: int = 0
    tree: Path | None = field(init=False)

    def __post_init__(self) -> None:
        self.tree = next((each for each in (self.start, *self.start.parents) if (each / ".git").exists()), None)

    def layer(self, folder: Path, role: Role, above: tuple[Path, ...], written: Path) -> Layer:
        self.count += 1
        if self.count > MAX_LAYERS:
            raise refused(f"{self.overlay} is made of more than {MAX_LAYERS} kustomizations")
        file = kustomization_file(folder, self.shown(folder))
        content = self._content(file, folder)
        self._require_allowed(file, folder, content)
        above = (*above, folder)
        files, below = list[Path](), list[Layer]()
        for name in (*strings(content, "resources"), *strings(content, "bases")):
            path = self._there(file, folder, name)
            if path is None:
                continue
            if path.is_dir():
                below.append(self._inner(file, folder, name, Role.BASE, above))
            else:
                self._require_inside(file, folder, name)
                self._see(read_text(path, folder, self.shown(path)), str(self.shown(path)))
                files.append(path)
        below += (
            self._inner(file, folder, name, Role.COMPONENT, above)
            for name in strings(content, "components")
            if self._there(file, folder, name) is not None
        )
        plugins, more, read = self._plugins(file, folder, content, above)
        named = (folder / each for each in (*files_of(content), *read) if not is_remote(each))
        return Layer(
            folder=folder,
            file=file,
            role=role,
            content=content,
            resources=tuple(files),
            below=(*below, *more),
            written=written,
            files=(file, *files, *named, *plugins),
            plugins=plugins,
            has_charts=any(content.get(name) for name in (*_HELM, "generators")) and self.options.allow_helm,
        )

    def _see(self, text: str, shown: str) -> None:
        """See that a text can be read without harm, and all of them together."""
        self.nodes += require_within_budgets(text, shown)
        if self.nodes > MAX_TOTAL_NODES:
            raise refused(
                f"the files of {self.overlay} stand for more than {MAX_TOTAL_NODES} values together, counting what "
                "their aliases repeat; split it up"
            )

    def shown(self, path: Path) -> Path:
        return seen_from(self.overlay, self.start, path)

    def _content(self, file: Path, folder: Path) -> Mapping[str, Any]:
        shown = self.shown(file)
        text = read_text(file, folder, shown)
        self._see(text, str(shown))
        documents = read_documents(text, str(shown))
        content = documents[0].content if len(documents) == 1 else None
        if not isinstance(content, dict):
            raise refused(f"{shown} is no kustomization: it has to be one YAML document, a mapping")
        for name in content:
            if name not in _FIELDS:
                raise refused(
                    f"{shown} has a field {str(name)[:80]!r} that is not one of kustomize's; check its spelling"
                )
        return content

    def _require_allowed(self, file: Path, folder: Path, content: Mapping[str, Any]) -> None:
        shown = self.shown(file)
        for name in _HELM:
            if content.get(name) and not self.options.allow_helm:
                raise refused(f"{shown} has {name}: allow helm, or render it yourself and hand over the output")
        require_exact_names(content, shown)
        self._require_files(file, folder, files_of(content), read_as_yaml(content))
        for text in inline(content):
            self._see(text, f"{shown}, in a text of it")
        for name in strings(content, "patchesStrategicMerge"):
            if is_written_out(name) and _is_there(folder / name):
                raise refused(f"{shown} names {name[:200]!r}, a file whose name may be read as YAML; rename it")

    def _require_files(self, file: Path, folder: Path, names: Iterable[str], yaml: Iterable[str]) -> None:
        """See that files that are named in a file are there, and that those of YAML can be read without harm."""
        for name in names:
            if is_remote(name):
                if not self.options.allow_remote:
                    raise refused(_is_fetched(self.shown(file), name))
                continue
            self._require_inside(file, folder, name)
        for name in yaml:
            path = folder / name
            if not is_remote(name):
                self._see(read_text(path, folder, self.shown(path)), str(self.shown(path)))

    def _there(self, file: Path, folder: Path, name: str) -> Path | None:
        """What a resource or component names; None if it is fetched, and that is allowed."""
        if is_remote(name):
            if self.options.allow_remote:
                return None
            raise refused(_is_fetched(self.shown(file), name))
        path = folder / name
        if not path.exists():
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is not there")
        return path

    def _inner(self, file: Path, folder: Path, name: str, role: Role, above: tuple[Path, ...]) -> Layer:
        real, written = (folder / name).resolve(), Path(os.path.normpath(folder / name))
        if self.tree is not None and not real.is_relative_to(self.tree):
            raise refused(
                f"{self.shown(file)} names {name[:200]!r}, which is outside of the repository {self.tree.name}"
            )
        if self.tree is None and real != written:
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which leads elsewhere by a symbolic link")
        if any(each.is_relative_to(real) for each in above):
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is or contains a folder that leads to it")
        if not real.is_dir():
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is no folder")
        return self.layer(real, role, above, written)

    def _require_inside(self, file: Path, folder: Path, name: str) -> None:
        path = folder / name
        if not path.exists():
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is not there")
        real = path.resolve()
        if not real.is_relative_to(folder):
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is outside of its folder")
        if not real.is_file():
            raise refused(f"{self.shown(file)} names {name[:200]!r}, which is no file")

    def _plugins(
        self, file: Path, folder: Path, content: Mapping[str, Any], above: tuple[Path, ...]
    ) -> tuple[tuple[Path, ...], list[Layer], list[str]]:
        """Files and layers that configure plugins, each seen to be of those built in, and the files these read."""
        paths, layers, read = list[Path](), list[Layer](), list[str]()
        for name in (each for field_name in _PLUGINS for each in strings(content, field_name)):
            if is_inline(name):
                read += self._require_builtin(name, file, folder)
            if "\n" in name:
                continue
            path = self._there(file, folder, name)
            if path is None:
                raise refused(_is_fetched(self.shown(file), name))
            if path.is_dir():
                layers.append(self._inner(file, folder, name, Role.PLUGINS, above))
                for one, inner in ((each, layer) for layer in layers[-1].walk() for each in layer.resources):
                    read += self._require_builtin(read_text(one, inner.folder, self.shown(one)), one, folder)
            else:
                self._require_inside(file, folder, name)
                read += self._require_builtin(read_text(path, folder, self.shown(path)), path, folder)
                paths.append(path)
        return tuple(paths), layers, read

    def _require_builtin(self, text: str, file: Path, folder: Path) -> list[str]:
        """See that configurations are of plugins that kustomize has built in; the files they read, from the folder."""
        shown, read = self.shown(file), list[str]()
        self._see(text, str(shown))
        for document in read_documents(text, str(shown)):
            content = document.content if isinstance(document.content, dict) else {}
            kind = str(content.get("kind", ""))[:80]
            if content.get("apiVersion") != "builtin" or kind.casefold().endswith("list"):
                raise refused(
                    f"{shown} runs {kind!r}, which is no part of kustomize: plugins and functions are not run; "
                    "render it yourself and hand over the output"
                )
            if kind == "HelmChartInflationGenerator" and not self.options.allow_helm:
                raise refused(f"{shown} inflates a chart: allow helm, or render it yourself and hand over the output")
            yaml, others = read_by_plugin(content, shown)
            for each in inline_of_plugin(content):
                self._see(each, f"{shown}, in a text of it")
            self._require_files(file, folder, (*yaml, *others), yaml)
            read += (*yaml, *others)
        return read


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file may be called so
        return False


def _is_fetched(shown: Path, name: str) -> str:
    return f"{shown} names {name[:200]!r}, which is fetched from elsewhere: allow remote bases, or keep a copy here"
