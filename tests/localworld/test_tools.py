"""A tool is built once for each set of pins, and a failed build says why."""

import shutil
from pathlib import Path

import pytest

from localworld import paths, toolchain, tools
from localworld.errors import WorldError
from localworld.tools import Tool

PROGRAM = 'package main\n\nfunc main() { println("hello") }\n'


@pytest.fixture(scope="session")
def go() -> Path:
    """A Go toolchain, found or fetched before a test moves the cache."""
    return toolchain.find_go()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A tiny tool with pins and a cache of its own; its modules come from nowhere, as it needs none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "TOOL_MODULES", tmp_path)
    module = tmp_path / "hello"
    (module / "greet").mkdir(parents=True)
    (module / "go.mod").write_text(
        "module transship.dev/hack/tools/hello\n\ngo 1.26.0\n\ntool transship.dev/hack/tools/hello/greet\n"
    )
    (module / "go.sum").write_text("")
    (module / "greet" / "main.go").write_text(PROGRAM)
    tiny = Tool("hello", {"greet": "hello"}, "a second")
    monkeypatch.setitem(tools.TOOLS, tiny.name, tiny)
    return tiny


@pytest.mark.parametrize("pin", ["go.mod", "go.sum"])
def test_the_key_changes_with_the_pins(tool: Tool, pin: str) -> None:
    before = tool.key()

    (tool.module / pin).write_text((tool.module / pin).read_text() + "\n// another version\n")

    assert tool.key() != before


def test_the_key_changes_with_the_way_it_is_built(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tool.key()

    monkeypatch.setattr(tools, "LINKER_FLAGS", "")

    assert tool.key() != before


def test_the_key_does_not_depend_on_where_the_clone_is(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tool.key()

    shutil.copytree(tool.module, tmp_path / "elsewhere" / "hello")
    monkeypatch.setattr(paths, "TOOL_MODULES", tmp_path / "elsewhere")

    assert tool.key() == before


@pytest.mark.needs_tools
def test_a_second_run_builds_nothing(go: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find_go", lambda: go)
    said: list[str] = []
    tools.ensure(["hello"], tell=said.append)
    assert said[0] == "hello: building, about a second on two cores, the first time only"
    assert tool.path("hello").is_file()
    said.clear()

    tools.ensure(["hello"], tell=said.append)

    assert said == []


@pytest.mark.needs_tools
def test_a_failed_build_shows_its_log_and_leaves_nothing_that_looks_built(
    go: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "find_go", lambda: go)
    (tool.module / "greet" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")

    with pytest.raises(WorldError, match=r"(?s)hello could not be built; the whole log is .*undefined: undefined"):
        tools.ensure(["hello"], tell=lambda _: None)

    assert not tool.is_built()


def test_go_writes_to_the_cache_only(tool: Tool, tmp_path: Path) -> None:
    environment = toolchain.environment()

    for variable in ("GOPATH", "GOCACHE", "GOMODCACHE", "XDG_CONFIG_HOME"):
        assert Path(environment[variable]).is_relative_to(paths.cache())
    assert environment["GOENV"] == "off"


@pytest.mark.parametrize("module", sorted(paths.TOOL_MODULES.iterdir()), ids=lambda path: path.name)
def test_every_pinned_module_builds_with_the_go_that_is_fetched_when_none_is_installed(module: Path) -> None:
    fetched = tuple(int(part) for part in toolchain.fetched_version().split("."))
    line = next(line for line in (module / "go.mod").read_text().splitlines() if line.startswith("go "))

    assert tuple(int(part) for part in line.removeprefix("go ").split(".")) <= fetched


def test_every_pinned_module_is_known_as_a_tool() -> None:
    assert {path.name for path in paths.TOOL_MODULES.iterdir()} == set(tools.TOOLS)
