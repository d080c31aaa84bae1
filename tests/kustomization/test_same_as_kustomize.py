"""YAML is read as kustomize reads it: what means nothing to it is text here as well, and nothing is unreadable."""

from pathlib import Path

import pytest

from transship.kustomization.documents import read_documents
from transship.kustomization.found import images
from transship.kustomization.overlay import Overlay
from transship.kustomization.proof import prove
from transship.kustomization.render import Renderer, read_stream

# What YAML 1.1 has of its own, and what looks like it.
VALUES = """\
- =
- <<
- [=, "=", "!=", =~]
- {=: 1, a: =}
- {<<: {a: b}}
- 1:30
- 1:30:15.5
- 2024-13-45
- 2024-02-30 10:00:00
- 0b_
- 0x_
- 0o9
- 0b1_0
- 0x1F
- 1_000
- 017
- 0o17
- 089
- +1
- 1e3
- 1.e2
- -.5
- 1e400
- 99999999999999999999999
- 0xfffffffffffffffffffff
- 1.2.3
- 12e
- !Ref name
- !Ref 1
- !GetAtt {a: b}
- !!binary aGVsbG8=
- !!str 1
- !!float 1
- y
- ~
"""
THING = f"apiVersion: x.dev/v1\nkind: Thing\nmetadata: {{name: a}}\nspec:\n{VALUES}"
DIGITS = "9" * 5_000
"""More than Python makes a number of."""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: 'shop/web:v1'}]}\n"


def written(folder: Path, resources: str) -> Path:
    (folder / "all.yaml").write_text(resources)
    (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    return folder


def test_every_value_is_read_as_kustomize_reads_it(tmp_path: Path, renderer: Renderer) -> None:
    (there,) = renderer.render(written(tmp_path, THING)).resources

    assert read_stream(THING).resources[0].content["spec"] == there.content["spec"]


@pytest.mark.parametrize("value", ["2024-01-02", "2024-01-02 10:00:00", "!!timestamp 2024-01-02"])
def test_a_date_is_the_text_that_it_is_written_as(value: str) -> None:
    assert read_documents(f"a: {value}\n", "-")[0].content == {"a": value.removeprefix("!!timestamp ")}


def test_what_has_a_kind_of_its_own_is_what_json_has_for_it() -> None:
    read = read_documents("[!!set {a, b}, !!omap [a: b], !!pairs [a: b]]", "-")

    assert read[0].content == [{"a": None, "b": None}, [{"a": "b"}], [{"a": "b"}]]


def test_a_number_of_any_length_is_read() -> None:
    assert read_documents(f"- {DIGITS}\n- 0x{DIGITS}\n- 1\n", "-")[0].content == [DIGITS, f"0x{DIGITS}", 1]


def test_a_definition_with_the_operators_of_alertmanager_is_rendered_and_its_neighbour_edited(
    tmp_path: Path, renderer: Renderer
) -> None:
    operators = "spec: {matchType: {enum: ['!=', '=', '=~', '!~']}}\n"
    overlay = Overlay.open(
        written(tmp_path, f"apiVersion: x.dev/v1\nkind: Thing\nmetadata: {{name: a}}\n{operators}---\n{POD}")
    )

    overlay.set_image("shop/web", tag="v2")

    assert [each.image for each in images(prove(overlay, renderer))] == ["shop/web:v2"]


def test_a_file_called_like_a_date_that_there_is_not_is_told_as_the_origin(tmp_path: Path, renderer: Renderer) -> None:
    (tmp_path / "2024-13-45").write_text(POD)
    (tmp_path / "kustomization.yaml").write_text("resources: ['2024-13-45']\n")

    assert [each.file for each in renderer.render(tmp_path).resources] == [str(tmp_path / "2024-13-45")]
