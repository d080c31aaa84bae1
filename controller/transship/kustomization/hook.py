"""The hook of an overlay: a Job that never runs and names every image, so that a sync waits for all of them.

The file is written anew as a whole, and only where this project has written it before: what somebody else wrote is
theirs to change.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transship.kustomization import HOOK
from transship.kustomization.changes import Pair, require_only
from transship.kustomization.documents import read_documents
from transship.kustomization.entries import add_resource
from transship.kustomization.files import kustomization_file, read_text, refused
from transship.kustomization.layers import read_layers
from transship.kustomization.named import strings
from transship.kustomization.program import Options
from transship.kustomization.render import Rendered, Renderer
from transship.kustomization.source import Source, spliced
from transship.kustomization.writing import unified_diff, write_together
from transship.promotion.workload import HOOK_MANAGER

NAME = "promote-images"
MARK = "# Written by `transship check --fix`; what is changed by hand is lost."
_HEAD = f"""{MARK}
# A Job that never runs: managedBy makes Transship its controller, and a sync waits for it.
apiVersion: batch/v1
kind: Job
metadata:
  name: {NAME}
"""
_REST = f"""  annotations:
    argocd.argoproj.io/hook: PreSync
    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation,HookFailed
    argocd.argoproj.io/sync-wave: "-5"
    transship.dev/hook: "true"
spec:
  managedBy: {HOOK_MANAGER}
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers:
"""


@dataclass(frozen=True, slots=True)
class HookFile:
    """What is to be written so that an overlay has its hook.

    Attributes:
        overlay: the folder.
        texts: new texts by file; those that are right already are not among them.
        diff: the same as a unified diff.
    """

    overlay: Path
    texts: dict[Path, str]
    diff: str

    def render(self, options: Options) -> Rendered:
        """What the overlay would render to; nothing is written.

        Raises:
            NeedsHuman: InvalidRequest: it could not be rendered.
        """
        layer = read_layers(self.overlay, options)
        texts = {layer.folder / each.name: text for each, text in self.texts.items()}
        more = [each for each in texts if each not in layer.files]
        return Renderer(options).render_changed(self.overlay, replace(layer, files=(*layer.files, *more)), texts)

    def write(self) -> None:
        """Write the files: all of them, or none.

        Raises:
            NeedsHuman: InvalidRequest: one cannot be written.
        """
        names = {each.resolve(): each for each in self.texts}
        write_together({each.resolve(): text for each, text in self.texts.items()}, names.__getitem__)


def hook_file(overlay: Path, namespace: str, containers: Sequence[tuple[str, str]]) -> HookFile:
    """What to write so that an overlay's own hook names these containers with their images.

    Args:
        overlay: the folder.
        namespace: of what it stands beside; empty where none is named. It is written unless the kustomization sets it.
        containers: names, each once, and images; an image that an entry of the overlay's `images:` gives its name is
            written as that entry finds it, so that the entry keeps deciding for the hook as well.

    Raises:
        NeedsHuman: InvalidRequest: the file is somebody's own, or the kustomization cannot be edited.
    """
    file, kustomization = overlay / HOOK, kustomization_file(overlay.resolve(), overlay)
    shown = overlay / kustomization.name
    before = read_text(kustomization, overlay.resolve(), shown)
    content = read_documents(before, str(shown))[0].content
    old = _old(file, overlay)
    is_set = isinstance(content, dict) and bool(content.get("namespace"))
    own = f"  namespace: {json.dumps(namespace)}\n" if namespace and not is_set else ""
    texts = {
        file: _HEAD + own + _REST + "".join(_container(name, _found_as(content, image)) for name, image in containers)
    }
    if HOOK not in {os.path.normpath(each) for each in strings(content, "resources")}:
        source = Source(before, kustomization, str(shown))
        texts[shown] = spliced(before, add_resource(source, source.roots()[0], HOOK))
        require_only(before, texts[shown], [Pair(None, HOOK)], str(shown))
    olds = {file: old, shown: before}
    changed = {each: text for each, text in texts.items() if text != olds[each]}
    lines = (line for each, text in changed.items() for line in unified_diff(str(each), olds[each], text))
    return HookFile(overlay, changed, "".join(lines))


def _old(file: Path, overlay: Path) -> str:
    if not file.exists() and not file.is_symlink():
        return ""
    text = read_text(file.absolute(), overlay.resolve(), file)
    if not text.startswith(MARK):
        raise refused(f"{file} is there and was not written by this command; name the images in it by hand")
    return text


def _found_as(content: object, image: str) -> str:
    """How the overlay's own `images:` finds an image that it gives another name or version."""
    entries = content.get("images") if isinstance(content, dict) else None
    for each in entries if isinstance(entries, list) else ():
        name = each.get("name") if isinstance(each, dict) else None
        new = each.get("newName", name) if isinstance(each, dict) else None
        if isinstance(name, str) and isinstance(new, str) and image in {new, *_versions(each, new)}:
            return name
    return image


def _versions(entry: dict[str, object], new: str) -> set[str]:
    tag, digest = entry.get("newTag"), entry.get("digest")
    found = {f"{new}:{tag}"} if tag else set()
    return found | ({f"{new}@{digest}"} if digest else set()) | ({f"{new}:{tag}@{digest}"} if tag and digest else set())


def _container(name: str, image: str) -> str:
    return f"        - name: {json.dumps(name)}\n          image: {json.dumps(image)}\n"
