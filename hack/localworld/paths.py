"""Where things are: the repository, and the per-user cache."""

import os
from pathlib import Path

from localworld.errors import WorldError

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL_MODULES = REPOSITORY / "hack" / "tools"


def cache() -> Path:
    """The only directory outside of temporary ones that anything here writes to.

    Raises:
        WorldError: Neither XDG_CACHE_HOME nor HOME is set.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "transship"
    home = os.environ.get("HOME")
    if not home:
        raise WorldError("Set HOME or XDG_CACHE_HOME: the built tools are kept in a per-user cache.")
    return Path(home) / ".cache" / "transship"
