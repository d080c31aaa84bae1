"""Kustomizations as people might write them, made up by the hundred: what is not named is never touched."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.kustomization.layers import read_layers
from transship.kustomization.overlay import Overlay
from transship.kustomization.places import split
from transship.kustomization.search import find_places
from transship.kustomization.source import Source, spliced

from .conftest import GOLDEN

FILES = sorted(each for each in GOLDEN.rglob("*") if each.is_file())
NAMES = st.sampled_from(["shop/cart", "shop/pay", "mesh/proxy", "127.0.0.1:5000/shop/web"])
TAGS = st.from_regex(r"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}\Z")
DIGESTS = st.sampled_from(["", f"sha256:{'a' * 64}", f"sha256:{'0' * 64}"])
COMMENTS = st.sampled_from(["", "  # a comment", " # - name: shop/cart"])
BETWEEN = st.lists(st.sampled_from(["", "# between", "   # indented", "  "]), max_size=2)


@dataclass(frozen=True)
class Written:
    """A kustomization, and the entries it has."""

    text: str
    entries: list[dict[str, str]]


@st.composite
def kustomizations(draw: st.DrawFn) -> Written:
    """A kustomization in which everything that may vary does."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    dash, gap = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    quote = draw(st.sampled_from(["'", '"']))
    entries = []
    lines = [*draw(BETWEEN), f"namespace: shop{draw(COMMENTS)}", *draw(BETWEEN), f"images:{draw(COMMENTS)}"]
    for name in draw(st.lists(NAMES, unique=True, min_size=1)):
        fields = {"name": name, "newTag": draw(TAGS), "digest": draw(DIGESTS)}
        fields = {key: value for key, value in fields.items() if value}
        entries.append(fields)
        order = draw(st.permutations(list(fields)))
        for at, key in enumerate(order):
            head = " " * dash + "-" + " " * gap if at == 0 else " " * (dash + 1 + gap)
            value = fields[key] if key == "name" else f"{quote}{fields[key]}{quote}"
            lines += [f"{head}{key}: {value}{draw(COMMENTS)}", *draw(BETWEEN)]
    lines += draw(st.sampled_from([[], ["namePrefix: a-"], ["labels:", "- pairs: {a: b}", "  # the end"]]))
    text = newline.join(lines) + draw(st.sampled_from(["", newline, newline * 3]))
    return Written(draw(st.sampled_from(["", "\ufeff"])) + text, entries)


def rows(text: str) -> list[dict[str, str]]:
    # Every value as the text it is.
    return [dict(each) for each in yaml.load(text, yaml.BaseLoader)["images"]]  # noqa: S506 - it builds nothing else


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(GOLDEN)))
def test_every_file_of_the_tests_is_the_same_after_a_round_trip(file: Path) -> None:
    source = Source(file.read_text(), file, file.name)

    assert source.roots()
    assert spliced(source.text, []).encode() == file.read_bytes()


def test_setting_what_is_set_already_changes_no_file(golden: Path) -> None:
    roots = {each.parent for each in golden.rglob("kustomization.yaml") if "refused" not in each.parts}
    tried = 0
    for folder in sorted(roots):
        overlay = Overlay.open(folder)
        places = find_places(read_layers(folder), "", lambda file, _: file.read_text(), lambda file: file)
        own = [
            each.place
            for each in (*places.entries, *places.lines)
            if each.place.is_ours and "*" not in each.place.image
        ]
        if places.opaque or "two-places" in folder.parts or "folded" in folder.parts:
            continue
        for place in own:
            name, tag, digest = split(place.image)
            overlay.set_image(name, tag=tag, digest=digest, new_name=name)
            tried += 1
        assert overlay.diff() == ""
    assert tried > 15


@settings(max_examples=40, deadline=None)
@given(kustomizations(), st.data())
def test_only_the_values_of_the_entry_change(written: Written, data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(written.entries))
    tag, digest = data.draw(TAGS), data.draw(DIGESTS)
    with TemporaryDirectory() as directory:
        file = Path(directory, "kustomization.yaml")
        file.write_bytes(written.text.encode())
        overlay = Overlay.open(Path(directory))
        overlay.set_image(entry["name"], tag=tag, digest=digest)
        overlay.write()
        after = file.read_bytes().decode()

    wanted = {key: value for key, value in {"name": entry["name"], "newTag": tag, "digest": digest}.items() if value}
    assert rows(after) == [wanted if each is entry else each for each in written.entries]
    kept = written.text.splitlines()
    lost = [line for line in kept if line not in after.splitlines()]
    first = list(rows(written.text)[written.entries.index(entry)])[0:2]
    may_move = {first[1]} if first[0] == "digest" and not digest else set()  # up to the dash
    assert {line.strip(" -").partition(":")[0] for line in lost} <= {"newTag", "digest"} | may_move
    assert (after[0] == "\ufeff") == (written.text[0] == "\ufeff")
    assert ("\r\n" in after) == ("\r\n" in written.text)
    assert after.endswith("\n") == written.text.endswith("\n")


@settings(max_examples=40, deadline=None)
@given(kustomizations(), TAGS, DIGESTS)
def test_an_entry_is_added_at_the_end_and_all_lines_stay(written: Written, tag: str, digest: str) -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory, "kustomization.yaml")
        pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: shop/new}]}\n"
        Path(directory, "base").mkdir()
        Path(directory, "base", "pod.yaml").write_text(pod)
        Path(directory, "base", "kustomization.yaml").write_text("resources: [pod.yaml]")
        newline = "\r\n" if "\r\n" in written.text else "\n"
        text = written.text + newline + f"resources: [base]{newline}"
        file.write_bytes(text.encode())
        overlay = Overlay.open(Path(directory))
        overlay.set_image("shop/new", tag=tag, digest=digest)
        overlay.write()
        after = file.read_bytes().decode()

    fields = {"name": "shop/new", "newTag": tag, "digest": digest}
    assert rows(after) == [*written.entries, {key: value for key, value in fields.items() if value}]
    rest = after.splitlines(keepends=True)
    for line in text.splitlines(keepends=True):
        assert line in rest
        rest.remove(line)
    assert [line.strip(" -").partition(":")[0] for line in rest] == [key for key, value in fields.items() if value]
