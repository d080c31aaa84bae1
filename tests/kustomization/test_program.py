"""How a program is run, shown with programs that misbehave."""

import os
import time
from pathlib import Path

import pytest

from transship.errors import NeedsHuman
from transship.kustomization.program import VARIABLE
from transship.kustomization.render import Options, Renderer

RESOURCE = "apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: a}\\n"


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlay"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("{}")
    return folder


def program(tmp_path: Path, script: str, name: str = "kustomize") -> str:
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def refusal(overlay: Path, options: Options) -> str:
    with pytest.raises(NeedsHuman) as caught:
        Renderer(options).render(overlay)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_that_hangs_is_ended_with_what_it_has_started(tmp_path: Path, overlay: Path) -> None:
    path = program(tmp_path, f"/bin/sleep 60 & echo $! > {tmp_path}/child; wait")
    began = time.monotonic()

    assert refusal(overlay, Options(path, time_limit=0.5)) == "kustomize did not render within 0.5 seconds"
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and not _is_zombie(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_one_that_has_closed_its_output_and_goes_on_is_ended_as_well(tmp_path: Path, overlay: Path) -> None:
    path = program(tmp_path, "exec >&-; /bin/sleep 60")

    assert "did not render within" in refusal(overlay, Options(path, time_limit=0.5))


def test_one_that_prints_without_end_is_stopped(tmp_path: Path, overlay: Path) -> None:
    path = program(tmp_path, "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done")

    assert refusal(overlay, Options(path, max_bytes=100_000)) == "what is rendered has more than 100000 bytes"


def test_one_that_takes_too_much_memory_is_stopped(tmp_path: Path, kustomize: Path) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    many = "".join(f"---\n{RESOURCE}".replace("\\n", "\n").replace("name: a", f"name: a{each}") for each in range(5000))
    (folder / "many.yaml").write_text(many)
    (folder / "kustomization.yaml").write_text("resources: [many.yaml]")

    said = refusal(folder, Options(str(kustomize), max_memory=64 * 1024 * 1024))

    assert said.startswith("kustomize did not render within 67108864 bytes of memory; look for")


def test_what_it_says_of_a_failure_is_one_short_line_without_control_characters(tmp_path: Path, overlay: Path) -> None:
    path = program(tmp_path, "printf 'Error: no\\033[31m such\\nthing\\n' >&2; exit 3")

    assert refusal(overlay, Options(path)) == "kustomize cannot render: no?[31m such thing"
    path = program(tmp_path, "exit 7")
    assert refusal(overlay, Options(path)) == "kustomize cannot render: exit code 7"
    path = program(tmp_path, "i=0; while [ $i -lt 9999 ]; do echo line $i >&2; i=$((i+1)); done; exit 1")
    assert len(refusal(overlay, Options(path))) < 700


def test_it_finds_an_empty_home_and_nothing_of_ours(
    tmp_path: Path, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("KUSTOMIZE_PLUGIN_HOME", "/somewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    path = program(tmp_path, f"/usr/bin/env > {tmp_path}/environment; printf '{RESOURCE}'")

    Renderer(Options(path)).render(overlay)

    seen = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert "KUSTOMIZE_PLUGIN_HOME" not in seen
    assert seen["PATH"] == ""
    assert seen["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert seen["HOME"] not in {os.environ["HOME"], ""}
    assert not Path(seen["HOME"]).exists()


def test_it_reaches_out_as_we_would_where_that_was_allowed(
    tmp_path: Path, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    path = program(tmp_path, f"/usr/bin/env > {tmp_path}/environment; printf '{RESOURCE}'")

    Renderer(Options(path, allow_remote=True)).render(overlay)

    seen = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert seen["PATH"] == os.environ["PATH"]
    assert seen["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["HOME"] != os.environ["HOME"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("kustomize", Options(), "build {} --load-restrictor=LoadRestrictionsRootOnly"),
        ("kubectl", Options(), "kustomize {} --load-restrictor=LoadRestrictionsRootOnly"),
        ("kustomize", Options(allow_helm=True), "build {} --load-restrictor=LoadRestrictionsRootOnly --enable-helm"),
    ],
)
def test_it_is_told_to_stay_within_the_root(
    tmp_path: Path, overlay: Path, name: str, options: Options, expected: str
) -> None:
    path = program(tmp_path, f"echo \"$@\" > {tmp_path}/arguments; printf '{RESOURCE}'", name)

    Renderer(Options(path, allow_helm=options.allow_helm)).render(overlay)

    said = (tmp_path / "arguments").read_text().strip()
    assert said == expected.format(said.split()[1])


def test_it_is_looked_for_by_option_then_variable_then_path(
    tmp_path: Path, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, by_variable = program(tmp_path, "exit 1", "named"), program(tmp_path, "exit 1", "by-variable")
    program(tmp_path, "exit 1", "kubectl")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    monkeypatch.delenv(VARIABLE, raising=False)
    assert refusal(overlay, Options()) == "kubectl cannot render: exit code 1"
    program(tmp_path, "exit 1")
    assert refusal(overlay, Options()) == "kustomize cannot render: exit code 1"
    monkeypatch.setenv(VARIABLE, by_variable)
    assert refusal(overlay, Options()) == "by-variable cannot render: exit code 1"
    assert refusal(overlay, Options(named)) == "named cannot render: exit code 1"
    assert (
        refusal(overlay, Options("missing")) == f"'missing' is no program; install kustomize, or name it by {VARIABLE}"
    )


def test_where_there_is_none_it_is_said_what_to_do(
    tmp_path: Path, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)

    assert refusal(overlay, Options()) == (
        f"neither kustomize nor kubectl is on PATH; install kustomize, or name it by {VARIABLE}"
    )


def test_what_it_prints_is_read_with_the_same_budgets(tmp_path: Path, overlay: Path) -> None:
    path = program(tmp_path, "printf 'a: &a [*a]'")

    assert refusal(overlay, Options(path)) == f"{overlay}, line 1, document 1: the YAML refers to itself"
    assert "printed what is not UTF-8" in refusal(overlay, Options(program(tmp_path, "printf '\\377'")))
