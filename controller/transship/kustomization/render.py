"""Rendering an overlay, by the same program that a person or Argo CD would run.

Where a resource came from is known by kustomize alone, and told in annotations that the overlay would have to ask for.
So what is rendered is a kustomization of our own around the overlay, in the empty home, that asks; the annotations are
taken away again. Where that cannot be, the overlay is rendered as it is.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transship.errors import NeedsHuman
from transship.kustomization.documents import read_documents
from transship.kustomization.files import refused, seen_from
from transship.kustomization.layers import Layer, read_layers
from transship.kustomization.program import DEFAULT, Options, Program
from transship.kustomization.resources import Rendered, Resource, ResourceId, read_stream

__all__ = ["Options", "Rendered", "Renderer", "Resource", "ResourceId", "read_stream", "render"]

_ORIGIN = "config.kubernetes.io/origin"
_ASKS = "originAnnotations"


class Renderer:
    """Renders overlays by one program.

    Raises:
        NeedsHuman: InvalidRequest: there is no program.
    """

    def __init__(self, options: Options = DEFAULT) -> None:
        self._options = options
        self._program = Program.find(options)

    def render(self, overlay: Path) -> Rendered:
        """Render a folder with a kustomization.

        Raises:
            NeedsHuman: InvalidRequest: it asks for what is not allowed, or cannot be rendered.
        """
        layer = read_layers(overlay, self._options)
        with self._program.home() as home:
            return self._render(overlay, layer, layer.folder, home, lambda file: file)

    def render_changed(self, overlay: Path, layer: Layer, texts: Mapping[Path, str]) -> Rendered:
        """Render an overlay as if some of its files had other texts; they stay as they are.

        Args:
            overlay: the folder, as it is named.
            layer: what it is made of.
            texts: the files that are different.

        Raises:
            NeedsHuman: InvalidRequest: it cannot be rendered.
        """
        top = Path(os.path.commonpath([each for one in layer.walk() for each in (one.folder, one.written, *one.files)]))
        with self._program.home() as home:
            copy = home / "copy"
            try:
                _copy(layer, texts, top, copy)
            except OSError as error:
                raise refused(f"{overlay} cannot be copied to be rendered: {error.strerror}") from error
            return self._render(
                overlay, layer, copy / layer.folder.relative_to(top), home, lambda file: _moved(file, copy, top)
            )

    def _render(
        self, overlay: Path, layer: Layer, folder: Path, home: Path, original: Callable[[Path], Path]
    ) -> Rendered:
        deadline = time.monotonic() + self._options.time_limit
        around = home / "around"
        asks = layer.content.get("buildMetadata") or []
        if _ASKS in asks or layer.content.get("kind") == "Component":
            text, base = self._program.build(folder, home, deadline), folder
        else:
            _write_around(around, folder, layer.content)
            try:
                text, base = self._program.build(around, home, deadline), around
            except NeedsHuman:
                text, base = self._program.build(folder, home, deadline), folder
        rendered = read_stream(text, str(overlay))

        def shown(path: str) -> str:
            return str(seen_from(overlay, layer.folder, original(Path(os.path.normpath(base / path)))))

        return Rendered(tuple(_placed(each, shown, is_kept=_ASKS in asks) for each in rendered.resources))


def render(overlay: Path, options: Options = DEFAULT) -> Rendered:
    """Render a folder with a kustomization.

    Raises:
        NeedsHuman: InvalidRequest: there is no program, it asks for what is not allowed, or cannot be rendered.
    """
    return Renderer(options).render(overlay)


def _write_around(around: Path, folder: Path, content: Mapping[str, Any]) -> None:
    # What kustomize takes from the outermost kustomization alone has to be said again.
    around.mkdir()
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(folder, around)],
        "buildMetadata": [*(content.get("buildMetadata") or []), _ASKS],
        **({"sortOptions": content["sortOptions"]} if "sortOptions" in content else {}),
    }
    (around / "kustomization.yaml").write_text(json.dumps(own), encoding="utf-8")


def _placed(resource: Resource, shown: Callable[[str], str], *, is_kept: bool) -> Resource:
    """A resource with the file it came from, and without the annotation that says so."""
    metadata = resource.content.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(annotations, dict) or _ORIGIN not in annotations:
        return resource
    file = _file(annotations[_ORIGIN], shown) or resource.file
    if is_kept:
        return replace(resource, file=file)
    others = {name: value for name, value in annotations.items() if name != _ORIGIN}
    kept = {name: value for name, value in metadata.items() if name != "annotations"}
    content = {**resource.content, "metadata": kept | ({"annotations": others} if others else {})}
    return replace(resource, file=file, content=content)


def _file(annotation: object, shown: Callable[[str], str]) -> str | None:
    try:
        origin = next((each.content for each in read_documents(str(annotation), _ORIGIN)), None)
    except NeedsHuman:
        return None
    if not isinstance(origin, dict):
        return None
    path = origin.get("path") or origin.get("configuredIn")
    if not isinstance(path, str):
        return None
    return f"{origin['repo']}/{path}" if "repo" in origin else shown(path)


def _copy(layer: Layer, texts: Mapping[Path, str], top: Path, copy: Path) -> None:
    for each in layer.walk():
        folder = copy / each.folder.relative_to(top)
        folder.mkdir(parents=True, exist_ok=True)
        if each.has_charts:
            shutil.copytree(each.folder, folder, dirs_exist_ok=True)
        for file in each.files:
            _copy_file(file, copy / file.relative_to(top), texts.get(file))
        written = copy / each.written.relative_to(top)
        if written != folder and not written.exists():
            written.parent.mkdir(parents=True, exist_ok=True)
            written.symlink_to(os.path.relpath(folder, written.parent))


def _copy_file(file: Path, target: Path, text: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        shutil.copyfile(file, target)
    else:
        target.write_bytes(text.encode())


def _moved(file: Path, copy: Path, top: Path) -> Path:
    return top / file.relative_to(copy) if file.is_relative_to(copy) else file
