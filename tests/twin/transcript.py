"""Transcripts: what somebody typed, and what a stock client answered, checked by typing it again.

A line that begins with ``$`` is a command; the lines up to the next one are what it prints, both streams together, and
``[exit N]`` is how it ends when that is not 0. ``#`` begins a remark. ``{source}`` and ``{destination}`` stand for the
two registries, ``AS=name`` before a command for the principal. In what is printed, ``<digest>`` is any digest and
``<uuid>`` any UUID, the same in all places of one transcript, commands too, when they have a number (``<digest:1>``),
and ``...`` is any text; alone on a line, any lines.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Environment = Callable[[str], Mapping[str, str]]
_KINDS = {"digest": r"sha256:[0-9a-f]{64}", "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"}
_MARK = re.compile(r"<(digest|uuid):(\d+)>")


@dataclass
class Step:
    """One command of a transcript."""

    line: int
    who: str
    command: list[str]
    printed: list[str] = field(default_factory=list)
    status: int = 0


def read(path: Path, names: Mapping[str, str]) -> list[Step]:
    """Read a transcript."""
    steps: list[Step] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw
        for name, value in names.items():
            line = line.replace("{" + name + "}", value)
        if line.startswith("$ "):
            words = shlex.split(line[2:])
            who = words.pop(0).removeprefix("AS=") if words[0].startswith("AS=") else "ci"
            steps.append(Step(number, who, words))
        elif match := re.fullmatch(r"\[exit (\d+)\]", line):
            steps[-1].status = int(match[1])
        elif line and not line.startswith("#"):
            steps[-1].printed.append(line)
    return steps


@dataclass
class Player:
    """Types commands and compares."""

    programs: Mapping[str, Path]
    environment: Environment
    folder: Path
    values: dict[str, str] = field(default_factory=dict)

    def play(self, step: Step) -> None:
        """Run one command; raises AssertionError with both texts when it says something else."""
        words = [_MARK.sub(lambda match: self.values[match[1] + match[2]], word) for word in step.command]
        result = subprocess.run(
            [str(self.programs[words[0]]), *words[1:]],
            cwd=self.folder,
            env=dict(self.environment(step.who)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        printed = "\n".join(line.rstrip() for line in result.stdout.splitlines() if line.strip())
        match = re.fullmatch(self._pattern(step.printed), printed, re.DOTALL)
        where = f"line {step.line}: {shlex.join(step.command)}"
        assert match, f"{where}\n--- printed\n{printed}\n--- expected\n" + "\n".join(step.printed)
        assert result.returncode == step.status, f"{where}\nended with {result.returncode}, not {step.status}"
        self.values |= match.groupdict()

    def _pattern(self, lines: list[str]) -> str:
        known: set[str] = set()
        parts = []
        for line in lines:
            if line == "...":
                parts.append(r"(?:[^\n]*(?:\n|$))*?")
                continue
            text = re.escape(line).replace(r"\.\.\.", r"[^\n]*").replace(r"\ ", " ")
            for kind, pattern in _KINDS.items():
                text = text.replace(f"<{kind}>", pattern)
            parts.append(_MARK.sub(lambda match: self._value(match[1], match[2], known), text) + r"(?:\n|$)")
        return "".join(parts)

    def _value(self, kind: str, number: str, known: set[str]) -> str:
        name = kind + number
        if name in self.values:
            return re.escape(self.values[name])
        if name in known:
            return f"(?P={name})"
        known.add(name)
        return f"(?P<{name}>{_KINDS[kind]})"
