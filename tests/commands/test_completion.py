"""Tab, in the shells that the program claims to complete for: as its help says to set them up."""

import subprocess
from pathlib import Path

import pytest

from command_line.command import SECONDS, Command
from commands import shells

COMPLETED = {
    "transship st": "transship status ",
    "transship policy l": "transship policy lint ",
    "transship status --all": "transship status --all-namespaces ",
    "transship status -o ya": "transship status -o yaml ",
    "transship plan overl": "transship plan overlays/",
}
"""What is typed, and what it is after Tab. A folder is completed by the shell itself."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "overlays").mkdir()
    return tmp_path


def test_bash_completes_at_a_terminal(home: Path) -> None:
    with shells.terminal(shells.bash(), home, shells.install(home)) as terminal:
        terminal.read_until("> ")
        terminal.type("source <(transship completion bash)\n")
        for typed, whole in COMPLETED.items():
            terminal.type(f"{typed}\t")
            terminal.read_until(whole)
            terminal.type(shells.CTRL_U)


@pytest.mark.usefixtures("fetched_shells")
@pytest.mark.parametrize("way", ["a file of fpath", "sourced"])
def test_zsh_completes_at_a_terminal_from_the_first_tab_on(way: str, home: Path) -> None:
    environment = shells.install(home)
    command = shells.zsh(home, "source <(transship completion zsh)" if way == "sourced" else "")
    if way != "sourced":
        (home / "functions/_transship").write_text(Command(home)("completion", "zsh").out)
    with shells.terminal(command, home, environment) as terminal:
        terminal.read_until("> ")
        for typed, whole in COMPLETED.items():
            terminal.type(f"{typed}\t")
            terminal.read_until(whole)
            terminal.type(shells.CTRL_U)
        terminal.type("transship status --as\t\t")
        terminal.read_until("--as-group  -- group to act as; may be repeated")


@pytest.mark.usefixtures("fetched_shells")
def test_fish_completes_by_its_own_function(home: Path) -> None:
    fish, libraries = shells.fish(home)
    folder = home / ".config/fish/completions"
    folder.mkdir(parents=True)
    (folder / "transship.fish").write_text(Command(home)("completion", "fish").out)
    asked = "; ".join(f"complete -C '{typed}'; echo ====" for typed in COMPLETED)
    done = subprocess.run(
        [*fish, "-c", asked],
        cwd=home,
        env=shells.install(home) | libraries,
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    found = [each.strip().splitlines() for each in done.stdout.split("====\n")[:-1]]
    words = [[line.partition("\t")[0] for line in each] for each in found]
    assert words == [[whole.split()[-1]] for whole in COMPLETED.values()]
    assert found[0][0].startswith("status\tShow the PromotionRequests")
