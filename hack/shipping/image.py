"""`make image` and `make push`: what the image is called, what it says of itself, and where it goes."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from localworld import paths, tools
from localworld.errors import WorldError
from reference.version import version
from shipping import announcement, builders
from shipping.builders import Wanted

NAME = f"transship:{version()}"
HANDED_ON = ("BUILD_IMAGE", "RUNTIME_IMAGE", "PYTHON", "PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS")
"""Variables of the environment that are ARGs of the Dockerfile as well."""


def build(name: str, platforms: tuple[str, ...], layout: Path | None, builder: str) -> None:
    """Build the image and say where it is.

    Raises:
        WorldError: The image cannot be called that, there is no builder, or it failed.
    """
    # Builders take options in one word, parted by commas.
    for each, said in ((name, "no image can be called that"), (str(layout or "-"), "no layout can be written there")):
        if "," in each or not each.isprintable():
            raise WorldError(f"{each!r}: {said}; leave out commas and control characters.")
    chosen = builders.find(builder)
    print(f"image: {chosen.name} builds {name}", flush=True)
    if layout is not None:
        shutil.rmtree(layout, ignore_errors=True)
        layout.parent.mkdir(parents=True, exist_ok=True)
    chosen.build(Wanted(name, platforms=platforms, arguments=arguments(), layout=layout))
    where = f"the image layout {layout}" if layout is not None else f"the store of {chosen.name}"
    print(f"image: {name} is in {where}; nothing was pushed")


def push(layout: Path, destination: str) -> str:
    """Push an image layout with crane, say what it is called there by digest, and return that.

    Raises:
        WorldError: Nothing was built, or the registry refuses it.
    """
    if not (layout / "index.json").is_file():
        raise WorldError(f"{layout} holds no image: run `make image OUTPUT={layout}` first.")
    tools.ensure(["crane"])
    command = [str(tools.TOOLS["crane"].path("crane")), "push", str(layout), destination]
    pushed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if pushed.returncode != 0:
        raise WorldError(f"{destination} was not pushed, as it says above: log in (`docker login`) and try again.")
    reference = pushed.stdout.strip()
    announcement.announce(reference)
    return reference


def arguments() -> Mapping[str, str]:
    """What the Dockerfile is told: version, commit, its time, and what the environment says of bases and pip."""
    handed_on = {name: os.environ[name] for name in HANDED_ON if os.environ.get(name)}
    return {"VERSION": version(), "REVISION": _revision(), "SOURCE_DATE_EPOCH": _epoch()} | handed_on


def _revision() -> str:
    commit = _git("rev-parse", "HEAD")
    return f"{commit}-changed" if commit and _git("status", "--porcelain") else commit or "unknown"


def _epoch() -> str:
    return os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or "0"


def _git(*arguments: str) -> str:
    """What git says; empty where this is no clone, or there is no git."""
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(paths.REPOSITORY), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
