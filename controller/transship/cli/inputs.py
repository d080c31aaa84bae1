"""What a command is to work on: overlays, or rendered YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transship.cli.given import STANDARD_INPUT, read_given
from transship.cli.overlay_options import Rendering
from transship.errors import NeedsHuman, Reason
from transship.kustomization import render
from transship.kustomization.found import FoundImage, images
from transship.kustomization.render import Rendered, Renderer, read_stream


@dataclass(frozen=True, slots=True)
class Input:
    """One overlay or stream, rendered.

    Attributes:
        name: what the user called it.
        folder: where its policies are looked for.
        is_overlay: the folder is an overlay that can be edited.
    """

    name: str
    folder: Path
    rendered: Rendered
    is_overlay: bool

    @property
    def images(self) -> Sequence[FoundImage]:
        """All images in it."""
        return images(self.rendered)


def read_inputs(overlays: Sequence[Path], files: Sequence[str], rendering: Rendering) -> list[Input]:
    """Render overlays and read files.

    Args:
        overlays: folders.
        files: YAML that has been rendered; - is standard input.
        rendering: how.

    Raises:
        NeedsHuman: InvalidRequest: there is nothing to read, or something cannot be read.
    """
    if not overlays and not files:
        raise NeedsHuman(Reason.INVALID_REQUEST, "name an overlay, or rendered YAML with -f FILE (- is standard input)")
    renderer = Renderer(rendering.options) if overlays else None
    found = [
        Input(str(each), each, _render(renderer, each), is_overlay=True) for each in overlays if renderer is not None
    ]
    return found + [Input(each, _folder(each), read_stream(read_given(each), each), is_overlay=False) for each in files]


def _render(renderer: Renderer, overlay: Path) -> render.Rendered:
    if not overlay.is_dir():
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{overlay} is not a folder; name one that has a kustomization")
    return renderer.render(overlay)


def _folder(file: str) -> Path:
    return Path() if file == STANDARD_INPUT else Path(file).parent
