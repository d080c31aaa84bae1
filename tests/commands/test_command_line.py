"""What holds of every command: how fast it helps, how it is called, how it ends, and that its page is what it says."""

import ast
import functools
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.command import SECONDS, Command, Said, heard
from manifests.examples import full_policy, minimal_policy
from reference import commands, schemas
from transship.cli.app import COMMANDS, load
from transship.cli.schema import violations

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/cli.md"
PARSER = {
    *("annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"),
    *("attr", "colorama", "typing_extensions"),  # used by those where they are installed
}
"""The packages of others that help may load: typer, and what draws its boxes."""
OPTIONS = PARSER | {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}
"""Where there are options, typer reads them by pydantic."""
OURS = ("transship.cli", "transship.errors", "transship.kustomization")
HEAVY = {
    *("asyncio", "concurrent.futures", "http.client", "multiprocessing", "rich.live", "rich.progress", "ssl"),
    *("transship.cli.configuration", "transship.cli.registries", "transship.kustomization.documents"),
}
"""What takes long to load, and nobody needs who asks for help."""
SUBCOMMANDS = [f"{name} {each}".strip() for name in COMMANDS for each in ("", *getattr(load(name), "commands", ()))]


@pytest.fixture
def alone(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.mark.parametrize("name", ["", *SUBCOMMANDS])
def test_help_loads_nothing_that_takes_long(name: str, alone: Command) -> None:
    program = (
        "import sys; from transship.cli import main\ntry: main()\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *name.split(), "--help"],
        env={"HOME": str(alone.home), "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (COMMANDS[name].summary if name in COMMANDS else f"{name} [OPTIONS]")[:20] in done.stdout
    loaded = set(ast.literal_eval(done.stderr))
    assert not loaded & HEAVY
    assert not {each for each in loaded if each.startswith("transship.") and not each.startswith(OURS)}
    packages = {each.partition(".")[0] for each in loaded - _loaded_by("pass") if not each.startswith("_")}
    assert packages - sys.stdlib_module_names <= (OPTIONS if name else PARSER) | {"transship"}


@functools.cache
def _loaded_by(program: str) -> frozenset[str]:
    """The modules of a Python that runs only that, with what is installed beside it."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(sorted(sys.modules))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return frozenset(ast.literal_eval(done.stdout))


@pytest.mark.parametrize("name", COMMANDS)
def test_what_help_lists_of_a_command_is_what_the_command_says(name: str) -> None:
    text = " ".join((load(name).help or "").split())
    assert text.startswith(COMMANDS[name].summary)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_listed_and_helps(name: str, alone: Command) -> None:
    assert name in alone("--help").out
    said = alone(name, "--help")
    assert said.status == 0
    assert f"transship {name}" in said.out


@pytest.mark.parametrize("name", ["", *SUBCOMMANDS])
def test_an_option_that_there_is_not_is_told_in_one_sentence(name: str, alone: Command) -> None:
    said = alone(*name.split(), "--nonsense")
    path = f"python -m transship {name}".strip()  # as it was called
    assert said == Said(1, "", f"transship: there is no option --nonsense; see `{path} --help`\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("nonsense", "there is no command nonsense; see `transship --help`"),
        ("statuss", "there is no command statuss (did you mean status?); see `transship --help`"),
        ("policy lin", "there is no command lin (did you mean lint?); see `transship policy --help`"),
        ("status --watc", "there is no option --watc (did you mean --watch?); see `transship status --help`"),
        ("diff a", "HERE is missing; see `transship diff --help`"),
        ("copy a", "DESTINATION is missing; see `transship copy --help`"),
        ("policy iam", "--file is missing; see `transship policy iam --help`"),
        ("version x", "there is no argument for x; see `transship version --help`"),
        ("plan --policy", "--policy takes a value"),
        ("check x --offline=3", "--offline takes no value"),
        (
            "plan -o xml",
            "--output: 'xml' is not one of 'table', 'json', 'yaml', 'name', 'markdown'; see `transship plan ",
        ),
        ("completion tcsh", "SHELL: 'tcsh' is not one of 'bash', 'zsh', 'fish'; see `transship completion --help`"),
        ("copy a b --images x", "--images: 'x' is no whole number; see `transship copy --help`"),
        ("copy a b --images 0", "--images: 0 is less than 1; see `transship copy --help`"),
        ("admission --port 70000", "--port: 70000 is more than 65535; see `transship admission --help`"),
        ("policy apply -f x --wait soon", "--wait: 'soon' is no number; see `transship policy apply --help`"),
        (f"copy a b --images {'9' * 5000}", f"--images: {'9' * 80} is too large; see `transship copy --help`"),
        ("policy --", "missing command; see `transship policy --help`"),
    ],
)
def test_wrong_usage_is_an_error_in_one_sentence(arguments: str, sentence: str, alone: Command) -> None:
    said = alone(*arguments.split())
    assert (said.status, said.out) == (1, "")
    assert said.err.replace("python -m transship", "transship").startswith(f"transship: {sentence}")
    assert len(said.err.splitlines()) == 1
    assert not re.search(r"Usage|Error|Value error|Input should|╭", said.err)


def test_control_characters_of_wrong_usage_do_not_reach_the_terminal(alone: Command) -> None:
    for arguments in (["\x1b[2J"], ["status", "--\x1b[2J"], ["plan", "-o", "\x1b[2J"], ["version", "\x1b[2J\n"]):
        said = alone(*arguments)
        assert (said.status, len(said.err.splitlines())) == (1, 1)
        assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TRANSSHIP_HISTORY_LIMIT", "x", "TRANSSHIP_HISTORY_LIMIT='x': 'x' is no whole number"),
        ("TRANSSHIP_RESYNC", "-4", "TRANSSHIP_RESYNC='-4': -4 is not more than 0.0"),
        ("TRANSSHIP_LOG_FORMAT", "x", "TRANSSHIP_LOG_FORMAT='x': 'x' is not one of 'json' or 'console'"),
        ("TRANSSHIP_CA_BUNDLE", "/nope", "TRANSSHIP_CA_BUNDLE='/nope': there is no such file"),
        (
            "TRANSSHIP_CA_BUNDLE",
            __file__,
            f"the certificate authorities in {__file__} cannot be read (they are no PEM)",
        ),
        ("HTTPS_PROXY", "x:::/y", "HTTPS_PROXY or HTTP_PROXY is no URL of a proxy; write http://host:port"),
    ],
)
def test_a_wrong_environment_is_an_error_in_one_sentence(
    variable: str, value: str, sentence: str, alone: Command
) -> None:
    arguments = ("policy", "diff", "-f", str(ROOT / "overlays/transship.yaml"), "shop/checkout")
    assert alone(*arguments, **{variable: value}) == Said(1, "", f"transship: {sentence}\n")


@pytest.mark.parametrize("group", [[], ["policy"]])
def test_a_group_without_a_command_helps_and_is_an_error(group: list[str], alone: Command) -> None:
    said = alone(*group)
    assert said.status == 1
    assert "Usage: " in said.out


def test_as_a_plugin_of_kubectl_it_is_called_so(alone: Command, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-transship"
    plugin.write_text(f"#!{sys.executable}\nfrom transship.cli import main\nmain()\n")
    plugin.chmod(0o755)
    done = subprocess.run(
        [str(plugin), "status", "--help"], check=True, capture_output=True, text=True, timeout=SECONDS
    )
    assert "Usage: kubectl transship status" in done.stdout


def test_kubectl_finds_the_plugin(kubectl: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-transship"
    plugin.write_text(f"#!{sys.executable}\nfrom transship.cli import main\nmain()\n")
    plugin.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(kubectl), "transship", "version"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stdout.startswith("transship ")


def test_the_version_is_told_to_people_and_to_programs(alone: Command) -> None:
    installed = importlib.metadata.version("transship")
    told = {form: alone("version", "-o", form).out for form in ("table", "json", "yaml", "name")}
    assert told["table"] == f"transship {installed} (Python {platform.python_version()})\n"
    assert json.loads(told["json"]) == yaml.safe_load(told["yaml"])
    assert json.loads(told["json"]) == {"version": installed, "python": platform.python_version()}
    assert told["name"] == f"{installed}\n"


def test_both_names_are_installed() -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    assert 'transship = "transship.cli:main"' in scripts
    assert 'kubectl-transship = "transship.cli:main"' in scripts


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("transship st", ["status"]),
        ("transship policy l", ["lint"]),
        ("transship status --all", ["--all-namespaces"]),
        ("transship status -o ", ["table", "json", "yaml", "name"]),
    ],
)
def test_bash_completes_commands_options_and_their_values(words: str, completed: list[str], alone: Command) -> None:
    """The script runs in a real bash, in which the program is on PATH."""
    script = alone("completion", "bash").out
    folder = alone.home / "bin"
    folder.mkdir()
    (folder / "transship").write_text(f'#!/bin/sh\nexec {sys.executable} -m transship "$@"\n')
    (folder / "transship").chmod(0o755)
    given = words.split(" ")
    ask = f"""{script}
COMP_WORDS=({" ".join(each or "''" for each in given)}); COMP_CWORD={len(given) - 1}
_transship_completion transship; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", ask],
        env={"HOME": str(alone.home), "PATH": f"{folder}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stdout.split() == completed


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o default -F _transship_completion transship"),
        ("zsh", "compdef _transship_completion transship"),
        ("fish", "complete --command transship"),
    ],
)
def test_each_shell_gets_its_own_script(shell: str, line: str, alone: Command) -> None:
    said = alone("completion", shell)
    assert (said.status, said.err) == (0, "")
    assert line in said.out


def test_fish_and_zsh_are_answered(alone: Command) -> None:
    fish = alone(
        _TRANSSHIP_COMPLETE="complete_fish", _TYPER_COMPLETE_FISH_ACTION="get-args", _TYPER_COMPLETE_ARGS="transship wa"
    )
    zsh = alone(_TRANSSHIP_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="transship wa")
    assert fish.out.split("\t")[0].strip() == "wait"
    assert '"wait"' in zsh.out


def test_a_shell_that_is_not_known_is_refused(alone: Command) -> None:
    assert alone("completion", "cmd").status == 1


def test_an_unwritten_result_ends_without_a_traceback(alone: Command) -> None:
    with alone.start("--help") as child:
        child.stdout.close()
        err = child.stderr.read()
        child.wait(timeout=SECONDS)
    assert "Traceback" not in err


def test_programs_can_read_the_settings(alone: Command) -> None:
    found = json.loads(alone("settings", "-o", "json", TRANSSHIP_HISTORY_LIMIT="7").out)
    assert found["TRANSSHIP_HISTORY_LIMIT"]["value"] == 7
    assert alone("settings", "-o", "name").out.split() == list(found)


def test_the_page_of_the_commands_is_what_the_commands_say() -> None:
    assert commands.PAGE.read_text() == commands.page(), "run `make reference`"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_page_has_every_option_of_a_command_as_the_command_takes_it(name: str) -> None:
    """Beside the command or in the groups that it links to, with the values that it takes there."""
    page = PAGE.read_text().replace("\\|", "|")
    (section,) = re.findall(rf"^#+ transship {name}\n(.*?)^#+ ", page, re.DOTALL | re.MULTILINE)
    groups = {
        each: page.partition(f"## Options of {each}\n")[2].partition("\n## ")[0] for each in ("output", "cluster")
    }
    told = section + "".join(text for each, text in groups.items() if f"#options-of-{each}" in section)
    for option in _options_of(name):
        row = next((line for line in told.splitlines() if re.search(rf"[ `]{option.opts[0]}[ `,]", line)), "")
        assert row, f"{name} {option.opts[0]}"
        assert not option.type_descriptor.is_choice or "|".join(option.type_descriptor.choices) in row.split("` |")[0]


def _options_of(name: str) -> list[Any]:
    first, _, second = name.partition(" ")
    command = load(first)
    found = command.commands[second] if second else command
    return [each for each in found.params if each.param_type_name == "option" and each.name != "help"]


@pytest.mark.parametrize("path", schemas.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schemas_are_those_of_the_definitions(path: Path) -> None:
    assert path.read_text() == schemas.files()[path], "run `make reference`"


def schema(name: str) -> Any:
    return json.loads((ROOT / "docs/schemas" / f"{name}.json").read_text())


def test_examples_and_samples_fit_the_schemas() -> None:
    for policy in (minimal_policy(), full_policy()):
        assert list(violations(schema("promotionpolicy"), policy)) == []
    samples = [
        each
        for path in (ROOT / "manifests/samples").glob("*.yaml")
        for each in yaml.safe_load_all(path.read_text())
        if each and each["apiVersion"].startswith("transship.dev")
    ]
    assert {each["kind"] for each in samples} == {"PromotionPolicy", "PromotionRequest"}
    for each in samples:
        assert list(violations(schema(each["kind"].lower()), each)) == []


def closed(*arguments: str, redirect: str, home: Path) -> Said:
    """A run whose streams a shell has closed, or led to where nothing can be written."""
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -m transship "$@" {redirect}', sys.executable, *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return heard(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [["version"], ["settings"], ["--help"], ["plan", "--help"], ["completion", "bash"], ["version", "-o", "yaml"]],
)
def test_a_full_disk_is_told_in_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    said = closed(*arguments, redirect=">/dev/full", home=tmp_path)
    assert said.status == 1
    assert said.err == "transship: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "redirect", "status"),
    [
        (["version"], ">&-", 0),
        (["version"], "2>&-", 0),
        (["check", "--offline", "-f", "-"], "<&-", 1),
        (["report", "-f", "-"], "<&- >&-", 0),
        (["nonsense"], "<&- >&- 2>&-", 1),
    ],
)
def test_a_stream_that_is_closed_is_one_with_nothing_in_it(
    arguments: list[str], redirect: str, status: int, tmp_path: Path
) -> None:
    said = closed(*arguments, redirect=redirect, home=tmp_path)
    assert said.status == status
    assert len(said.err.splitlines()) <= 1
