"""A real browser without windows, driven by Playwright: a Chromium or Chrome of this machine, or Debian's in the cache.

Ubuntu has no package of Chromium, only a snap, which cannot read our files. It shows pages from files. It is started
with what keeps it from talking to anybody, and its profile goes with it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from playwright.sync_api import Browser, sync_playwright

from localworld import debian
from localworld.errors import WorldError

PACKAGES, FONTS = "chromium", "fonts"
_PROGRAM = "chromium-headless-shell"
INSTALLED = (_PROGRAM, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""By what names a browser that can be used may be on PATH."""
_SCRIPT_BYTES = 4096
# The last group is what Chromium asks of the network by itself.
_OPTIONS = (
    *("--disable-gpu", "--force-color-profile=srgb", "--hide-scrollbars", "--font-render-hinting=none"),
    *("--no-first-run", "--disable-quic", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  {folders}
  <cachedir>{cache}</cachedir>
  {aliases}
</fontconfig>
"""
_FAMILIES = {"sans-serif": "Roboto", "ui-monospace": "DejaVu Sans Mono", "monospace": "DejaVu Sans Mono"}


def prepare() -> None:
    """Fetch the fonts, and the browser where none is installed, unless they are in the cache.

    Raises:
        WorldError: there is none on this machine, and no package of it can be had.
    """
    if not debian.is_here(PACKAGES) and installed() is None:
        try:
            debian.ensure(PACKAGES)
        except WorldError as error:
            raise WorldError(_missing(f"its package cannot be had either: {error}")) from error
    debian.ensure(FONTS)


def installed() -> Path | None:
    """The browser of this machine; a snap is none, as it sees neither temporary nor hidden folders."""
    found = (shutil.which(name) for name in INSTALLED)
    return next((Path(each) for each in found if each is not None and not _is_snap(Path(each))), None)


@contextmanager
def running() -> Iterator[Browser]:
    """Start it, and end it.

    Raises:
        WorldError: it is not there.
    """
    program, environment = chosen()
    with tempfile.TemporaryDirectory(prefix="transship-browser-") as directory, sync_playwright() as playwright:
        home = Path(directory)
        yield playwright.chromium.launch(
            executable_path=program,
            args=list(_OPTIONS),
            chromium_sandbox=False,  # which would need user namespaces, and for root cannot be had
            env={**environment, "HOME": directory, "FONTCONFIG_FILE": str(_fonts(home))},
        )


def chosen() -> tuple[Path, dict[str, str]]:
    """The browser, and what it must have in its environment."""
    if debian.is_here(PACKAGES):
        return debian.find(PACKAGES, _PROGRAM), debian.environment(PACKAGES)
    program = installed()
    if program is None:
        raise WorldError(_missing("its package was not fetched"))
    return program, {"PATH": os.environ["PATH"]}  # Chrome is a script


def _missing(why: str) -> str:
    names = ", ".join(INSTALLED)
    return f"No browser: install Chromium or Chrome, not as a snap ({names} are looked for on PATH), as {why}"


def _is_snap(program: Path) -> bool:
    """Whether it is one, or the script that Ubuntu has in place of the program."""
    if "snap" in (place := program.resolve()).parts:
        return True
    with place.open("rb") as file:
        return b"/snap/" in file.read(_SCRIPT_BYTES)


def _fonts(home: Path) -> Path:
    """A configuration by which the fonts are found wherever apt had them: in the cache, or on this machine."""
    places = [debian.unpacked(FONTS) / "usr/share/fonts", Path("/usr/share/fonts")]
    file = home / "fonts.conf"
    file.write_text(
        _FONTS.format(
            folders="".join(f"<dir>{escape(str(each))}</dir>" for each in places),
            cache=escape(str(home / "fonts")),
            aliases="".join(
                f"<alias><family>{name}</family><prefer><family>{font}</family></prefer></alias>"
                for name, font in _FAMILIES.items()
            ),
        ),
        encoding="utf-8",
    )
    return file
