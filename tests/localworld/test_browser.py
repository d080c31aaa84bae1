"""A browser is found where there is one, and where there is none it is said in a sentence, and nothing else suffers."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from localworld import browser as machines
from localworld import paths
from localworld.errors import WorldError

NO_PACKAGE = (
    "#!/bin/sh\ncase $* in *install*) echo 'E: Unable to locate package chromium-headless-shell' >&2; exit 100;; esac\n"
)
"""As apt-get on Ubuntu, where Chromium is a snap."""
CASES = Path(__file__).with_name("without_a_browser.py")
LISTS = '#!/bin/sh\ncase $* in *print-uris*) echo "{}";; esac\n'
Put = Callable[[str, str], Path]
Browser = tuple[Path, Mapping[str, str]]


@pytest.fixture(scope="session")
def browser() -> Browser:
    """The browser that tests have here, with its environment."""
    return machines.chosen()


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a program on a PATH of the test's own, where nothing has been fetched yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(name: str, text: str) -> Path:
        program = folder / name
        program.write_text(text)
        program.chmod(0o755)
        return program

    return write


@pytest.mark.parametrize("name", machines.INSTALLED)
def test_a_browser_that_is_installed_is_taken_and_none_is_fetched(put: Put, name: str) -> None:
    put("apt-get", NO_PACKAGE)
    program = put(name, "#!/bin/sh\n")

    assert machines.installed() == program


def test_a_snap_is_passed_over(put: Put, tmp_path: Path) -> None:
    snap = tmp_path / "snap" / "bin" / "chromium"
    snap.parent.mkdir(parents=True)
    snap.write_text("")
    snap.chmod(0o755)
    (tmp_path / "bin" / "chromium").symlink_to(snap)
    put("chromium-browser", '#!/bin/sh\nexec /snap/bin/chromium "$@"\n')
    assert machines.installed() is None

    program = put("google-chrome", "#!/bin/sh\n")
    assert machines.installed() == program


def test_without_a_browser_or_a_package_of_it_it_is_said_what_to_install(put: Put) -> None:
    put("apt-get", NO_PACKAGE)

    with pytest.raises(WorldError) as error:
        machines.prepare()

    said = str(error.value)
    assert said.startswith("No browser: install Chromium or Chrome, not as a snap (chromium-headless-shell, chromium, ")
    assert said.endswith("E: Unable to locate package chromium-headless-shell")
    assert "\n" not in said


def test_a_page_is_shown_by_a_browser_that_is_installed(browser: Browser, put: Put) -> None:
    """The one that the other tests have stands for it, as a script by another name."""
    program, environment = browser
    words = " ".join(f"{name}='{value}'" for name, value in environment.items())
    put("google-chrome", f'#!/bin/sh\nexec /usr/bin/env {words} {program} "$@"\n')

    with machines.running() as running:
        page = running.new_page()
        page.set_content("<title>it is shown</title>")
        assert page.title() == "it is shown"


@pytest.mark.usefixtures("argocd_binary")  # the other test needs Argo CD's tools to be built
def test_a_browser_that_cannot_be_had_keeps_no_other_test_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in [*paths.cache().glob("*"), *paths.cache().glob("debian/*")]:
        link = tmp_path / "cache" / "transship" / each.relative_to(paths.cache())
        if each.name != "debian" and machines.PACKAGES not in each.name:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(each)
    (tmp_path / "apt-get").write_text(NO_PACKAGE)
    (tmp_path / "apt-get").chmod(0o755)
    for program in ("sh", "ip", "git"):
        (tmp_path / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(CASES)],
        cwd=paths.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert "No browser: install Chromium or Chrome" in done.stdout
