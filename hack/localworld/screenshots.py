"""`make screenshots`: docs/images, as a real browser shows the report of a real run."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from localworld import browser, debian, paths, tools, world
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.showcase import shown

FOLDER = paths.REPOSITORY / "docs" / "images"
MAX_BYTES = 150_000
SMALLER = "pngquant"  # a page has few colours
VIEWS = (
    ("report-light", "light", 1280, 1280),
    ("report-dark", "dark", 1280, 1280),
    ("report-phone", "light", 360, 780),
)


def main() -> int:
    """Take them all; 0 if each is small enough."""
    browser.prepare()
    debian.ensure(SMALLER)
    tools.ensure()
    with world.running() as running, tempfile.TemporaryDirectory(prefix="transship-report-") as directory:
        install(running)
        with Controller(running, {"TRANSSHIP_HISTORY_LIMIT": "5"}), shown(running):
            page = Path(directory) / "report.html"
            report(running.cluster.kubeconfig, "--all-namespaces", f"--out={page}")
        take(page, FOLDER)
    return 0


def report(kubeconfig: Path, *options: str) -> None:
    """Run `transship report`."""
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    subprocess.run([sys.executable, "-m", "transship", "report", *options], env=environment, check=True, timeout=60)


def take(page: Path, folder: Path) -> None:
    """Take the screenshots of a page.

    Raises:
        WorldError: one would be too large to be kept in a repository.
    """
    folder.mkdir(exist_ok=True)
    with browser.running() as running:
        for name, scheme, width, height in VIEWS:
            context = running.new_context(
                color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
            )
            tab = context.new_page()
            tab.goto(page.as_uri())
            file = folder / f"{name}.png"
            tab.screenshot(path=file)
            context.close()
            _shrink(file)
            print(f"wrote {file.relative_to(paths.REPOSITORY)} ({file.stat().st_size / 1000:.0f} kB)")


def _shrink(file: Path) -> None:
    program = str(debian.find(SMALLER, SMALLER))
    command = [program, "--force", "--strip", "--quality=80-100", f"--output={file}", str(file)]
    subprocess.run(command, env=os.environ | debian.environment(SMALLER), check=True, timeout=60)
    if file.stat().st_size > MAX_BYTES:
        raise WorldError(f"{file.name} has {file.stat().st_size} bytes, and {MAX_BYTES} are enough.")
