"""A real browser, and pages in it: of made-up objects by way of a file, and of a real run by way of the cluster."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from command_line.command import Command, Said
from localworld import browser as debian_browser
from localworld.errors import WorldError
from report.made_up import Resource, listed

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@dataclass
class Shown:
    """A page in the browser, and whatever it complained of.

    Attributes:
        requests: addresses that it asked for.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def rows(self, table: str = "Now") -> list[str]:
        """The images of the rows that can be seen, from above."""
        return self.page.locator(f"table[aria-label='{table}'] tbody tr:visible th b").all_text_contents()

    def troubles(self) -> list[str]:
        return self.page.locator(".trouble:visible .whose").all_text_contents()

    @property
    def text(self) -> str:
        return str(self.page.inner_text("body"))


Show = Callable[..., Shown]
PageOf = Callable[..., Path]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; of a module, as its driver's event loop would be in the way of tests that have their own."""
    try:
        with debian_browser.running() as running:
            yield running
    except WorldError as error:
        pytest.fail(f"No browser: {error}", pytrace=False)


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens a file as somebody would; at the end no page may have complained, or asked for anything but itself."""
    opened: list[tuple[BrowserContext, Shown]] = []

    def open_it(file: Path, link: str = "", **options: Any) -> Shown:
        context = browser.new_context(**{"viewport": DESKTOP, "color_scheme": "light", **options})
        context.set_default_timeout(20_000)  # machines that test are busy
        shown = Shown(context.new_page())
        shown.page.on("console", lambda said: shown.complaints.append(f"{said.type}: {said.text}"))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.on("requestfailed", lambda asked: shown.complaints.append(f"failed: {asked.url}"))
        shown.page.on("request", lambda asked: shown.requests.append(asked.url.partition("#")[0]))
        opened.append((context, shown))
        shown.page.goto(f"{file.as_uri()}{link}")
        return shown

    yield open_it
    for context, shown in opened:
        context.close()
        assert shown.complaints == []
        assert {each for each in shown.requests if not each.startswith("data:")} <= {shown.page.url.partition("#")[0]}


@pytest.fixture
def transship(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> PageOf:
    """Makes the page of some objects, by the command."""

    def make(*resources: Resource) -> Path:
        home = tmp_path_factory.mktemp("report")
        given, page = home / "objects.json", home / "report.html"
        given.write_text(json.dumps(listed(*resources)))
        said: Said = Command(home)("report", "-f", str(given), "--out", str(page))
        assert (said.status, said.out, said.err) == (0, "", f"wrote {page}\n")
        return page

    return make
