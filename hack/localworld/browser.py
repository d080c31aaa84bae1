"""A real browser without windows: Debian's Chromium, unpacked into the cache, driven by Playwright.

It shows pages from files. It is started with what keeps it from talking to anybody, and its profile goes with it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from playwright.sync_api import Browser, sync_playwright

from localworld import debian

PACKAGES = "chromium"
_PROGRAM = "chromium-headless-shell"
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
    """Fetch the browser and its fonts, unless they are in the cache.

    Raises:
        WorldError: this is no Debian-like machine, or its mirrors cannot be reached.
    """
    debian.ensure(PACKAGES)


@contextmanager
def running() -> Iterator[Browser]:
    """Start it, and end it.

    Raises:
        WorldError: it is not there.
    """
    program = debian.find(PACKAGES, _PROGRAM)
    with tempfile.TemporaryDirectory(prefix="transship-browser-") as directory, sync_playwright() as playwright:
        home = Path(directory)
        yield playwright.chromium.launch(
            executable_path=program,
            args=list(_OPTIONS),
            chromium_sandbox=False,  # which would need user namespaces, and for root cannot be had
            env={**debian.environment(PACKAGES), "HOME": directory, "FONTCONFIG_FILE": str(_fonts(home))},
        )


def _fonts(home: Path) -> Path:
    """A configuration by which the fonts are found wherever apt had them: in the cache, or on this machine."""
    places = [debian.unpacked(PACKAGES) / "usr/share/fonts", Path("/usr/share/fonts")]
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
