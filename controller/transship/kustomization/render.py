"""Rendering an overlay, by the same program that a person or Argo CD would run."""

import time
from pathlib import Path

from transship.kustomization.layers import read_layers
from transship.kustomization.program import DEFAULT, Options, Program
from transship.kustomization.resources import Rendered, Resource, ResourceId, read_stream

__all__ = ["Options", "Rendered", "Renderer", "Resource", "ResourceId", "read_stream", "render"]


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
        deadline = time.monotonic() + self._options.time_limit
        read_layers(overlay, self._options)
        with self._program.home() as home:
            return read_stream(self._program.build(overlay.resolve(), home, deadline), str(overlay))


def render(overlay: Path, options: Options = DEFAULT) -> Rendered:
    """Render a folder with a kustomization.

    Raises:
        NeedsHuman: InvalidRequest: there is no program, it asks for what is not allowed, or cannot be rendered.
    """
    return Renderer(options).render(overlay)
