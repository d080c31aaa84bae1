"""Whoever may write a request, or the file that is read, writes texts of this page, and nothing but texts."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from report.conftest import PageOf, Show
from report.made_up import REGISTRY, Resource, missing, request, status

EVIL = (
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror='window.pwned=1'>",
    "'--></style></title></textarea><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "{{ 7 * 7 }}{% raw %}",
    "]]><iframe srcdoc='<script>parent.pwned=1</script>'>",
)


def hostile(text: str) -> Resource:
    """A request that says it wherever a request can say something."""
    image = missing("c0", text, reason=text, message=text, source=text, digest=text, previousDigest=text)
    told = status("Stalled", text, text, image, policy=text, application=text)
    made = request(f"r{text}", text, namespace=f"n{text}", owner=text, application=text, revision=text, told=told)
    return made | {"metadata": made["metadata"] | {"annotations": {"transship.dev/asked-by": text}}}


@pytest.fixture(scope="module")
def file(page_of: PageOf) -> Path:
    return page_of(*(hostile(each) for each in EVIL))


@pytest.mark.parametrize("link", ["", f"#q={EVIL[0]}&namespace={EVIL[1]}&sort={EVIL[2]}&state=__proto__"])
def test_what_is_hostile_is_shown_as_text_and_does_nothing(link: str, show: Show, file: Path) -> None:
    shown = show(file, link)
    shown.page.get_by_role("button", name="Show all").click()

    for each in EVIL:
        assert each in shown.text
    assert shown.page.evaluate("window.pwned") is None
    assert shown.page.locator("img, iframe, svg, object, embed").count() == 0
    assert shown.page.locator("script").count() == 1


def test_no_link_leads_anywhere_but_on_the_page_itself(show: Show, file: Path) -> None:
    links = (
        show(file)
        .page.locator("[href], [src], [action], [style]")
        .evaluate_all("found => found.map(each => each.getAttribute('href') ?? each.outerHTML)")
    )
    assert [each for each in links if not each.startswith(("#", "data:image/svg+xml,"))] == []


def test_the_policy_allows_the_script_and_the_style_of_the_page_and_nothing_else(file: Path) -> None:
    text = file.read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(each.split(" ", 1) for each in policy.replace("&#39;", "'").split("; "))
    own = {kind: re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)[0] for kind in ("script", "style")}
    digests = {kind: base64.b64encode(hashlib.sha256(each.encode()).digest()) for kind, each in own.items()}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert {kind: rules[f"{kind}-src"] for kind in digests} == {
        kind: f"'sha256-{digest.decode()}'" for kind, digest in digests.items()
    }


def test_a_browser_refuses_whatever_else_would_run(browser: object, show: Show, file: Path, tmp_path: Path) -> None:
    """The escaping is one fence; the page's own policy is the other, where the first would have had a hole."""
    broken = tmp_path / "broken.html"
    broken.write_text(
        file.read_text().replace("<main>", "<main><script>window.pwned=1</script><b onclick='pwned=1'>x</b>")
    )
    shown = show(broken)
    shown.page.locator("main > b").click()
    assert shown.page.evaluate("window.pwned") is None
    assert len(shown.complaints) == 2
    assert all("Content Security Policy" in each for each in shown.complaints)
    shown.complaints.clear()


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\u2066", "\x1b", "\x00", "\u00ad"])
def test_signs_that_turn_or_hide_text_are_spelled_out(sign: str, page_of: Callable[..., Path]) -> None:
    text = page_of(request("r", f"{REGISTRY}/shop/a{sign}b:v1")).read_text()
    assert sign not in text
    assert sign.encode("unicode_escape").decode() in text
