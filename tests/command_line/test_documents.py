"""What the pages about copying show is what there is: the program runs, the names exist, the options are all there."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from command_line.command import SECONDS, Command, Images
from command_line.test_copy import assert_is_there, images_of
from oci.images import multi_arch
from oci.store_contract import TAG, push
from transship.cli.copy import copy_command
from transship.oci.copier import MEBIBYTE, Limits
from transship.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "reference/python-api.md").read_text()
HOW_TO = (DOCS / "how-to/copy.md").read_text()


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table below a line that begins like this."""
    (table,) = re.findall(rf"^\| {re.escape(head)}[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_the_example_copies_an_image(source: Images, destination: Images, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", API, re.DOTALL)
    file = tmp_path / "example.py"
    file.write_text(program)
    push(source.open(), multi_arch(), TAG)
    command = [sys.executable, str(file), f"{source}:{TAG}", f"{destination}:{TAG}", source.host, destination.host]
    environment = {"HOME": str(tmp_path)}

    said = [
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=SECONDS).stdout
        for _ in range(2)
    ]

    last = f"{destination}:{TAG} is {multi_arch().root.descriptor.digest}\n"
    assert said == [f"{len(multi_arch().blobs)} blobs and 3 manifests copied\n{last}", last]
    assert_is_there(destination, multi_arch(), TAG)


@pytest.mark.parametrize("package", ["oci", "registry"])
def test_every_name_of_the_api_exists(package: str) -> None:
    tables = re.findall(rf"^\| in `transship\.{package}`[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", API, re.MULTILINE)
    names = [name for table in tables for name in re.findall(r"^\| (.+?) \|", table, re.MULTILINE)]
    found = [each for cell in names for each in re.findall(r"`([a-z_]+)\.([A-Za-z_]+)", cell)]
    assert len(found) >= 9
    for module, name in found:
        assert getattr(import_module(f"transship.{package}.{module}"), name).__doc__


def test_every_port_named_exists() -> None:
    (part,) = re.findall(r"## Ports\n(.*?)\n##", API, re.DOTALL)
    store = import_module("transship.oci.store")
    names = set(re.findall(r"`([A-Z][A-Za-z]+)`", part))
    ports = {name for name, each in vars(store).items() if getattr(each, "_is_protocol", False) and name != "Protocol"}
    assert names == ports


def test_every_limit_is_told_with_its_default() -> None:
    limits = Limits()
    told = {name.strip("`"): default.replace(" MiB", "") for name, default, _ in rows(API, "of `Limits`")}
    actual = {name: getattr(limits, name) for name in Limits.__slots__}
    assert told == {**{name: str(value) for name, value in actual.items()}, "memory": str(limits.memory // MEBIBYTE)}


def test_every_option_of_the_command_is_described_and_no_other() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(copy_command)
    command: Any = typer.main.get_command(app)
    options = {each for parameter in command.params for each in parameter.opts if each.startswith("-")}
    told = {each for row in rows(HOW_TO, "option") for each in re.findall(r"(?<![\w-])--?[a-z-]+", row[0])}
    assert told == options - {"--help", "--output"}


def test_every_field_of_the_result_is_described_and_no_other(
    transship: Command, source: Images, destination: Images
) -> None:
    push(source.open(), multi_arch(), TAG)
    (done,) = images_of(transship("copy", "-o", "json", f"{source}:{TAG}", str(destination)))
    (failed,) = images_of(transship("copy", "-o", "json", f"{source}:missing", str(destination)))
    told = {each for row in rows(HOW_TO, "field") for each in re.findall(r"`(\w+)`", row[0])}
    assert told == done.keys() | failed.keys()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"TRANSSHIP_[A-Z_]+[A-Z]", HOW_TO))))
def test_every_setting_named_exists(name: str) -> None:
    assert name.removeprefix("TRANSSHIP_").lower() in Settings.model_fields


@pytest.mark.parametrize("package", ["oci", "registry"])
def test_every_module_of_the_engine_is_in_the_architecture_and_no_other(package: str) -> None:
    told = [
        name
        for row in rows((DOCS / "architecture.md").read_text(), f"module of `{package}`")
        for name in re.findall(r"`(\w+)`", row[0])
    ]
    modules = (DOCS.parent / "controller/transship" / package).glob("[!_]*.py")
    assert sorted(told) == sorted(each.stem for each in modules)
