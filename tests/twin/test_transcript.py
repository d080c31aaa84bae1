"""The transcripts' own rules: a comparison that cannot fail would prove nothing about the twin."""

from pathlib import Path

import pytest

from twin import transcript

_A, _B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def play(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text, encoding="utf-8")
    player = transcript.Player({"echo": Path("/bin/echo"), "false": Path("/bin/false")}, lambda _who: {}, tmp_path)
    for step in transcript.read(path, {"source": "host"}):
        player.play(step)


@pytest.mark.parametrize(
    "text",
    [
        "$ echo hello\nhello\n",
        "# a remark\n\n$ AS=me echo {source}\nhost\n",
        "$ false\n[exit 1]\n",
        "$ echo -e one\\\\ntwo\\\\nthree\n...\nthree\n",
        f"$ echo {_A} {_A}\n<digest:1> <digest:1>\n$ echo <digest:1>\n{_A}\n",
        "$ echo some text here\nsome ... here\n",
    ],
)
def test_what_is_so_passes(tmp_path: Path, text: str) -> None:
    play(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "$ echo hello\nhallo\n",
        "$ echo hello\n",
        "$ echo\nhello\n",
        "$ false\n",
        "$ echo\n[exit 1]\n",
        f"$ echo {_A} {_B}\n<digest:1> <digest:1>\n",
        f"$ echo {_A}\n<digest:1>\n$ echo {_B}\n<digest:1>\n",
        "$ echo a.b\na.c\n",
        "$ echo one two\none\n",
    ],
)
def test_what_is_not_so_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        play(tmp_path, text)
