"""Ctrl-C and SIGTERM at any moment: one sentence at most, exit code 130, no traceback, and nothing left."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from command_line.command import SECONDS, Said, heard
from overlays.conftest import Shop
from transship.cli.app import COMMANDS

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPED = Said(130, "", "transship: stopped\n")
TRAP = """
import os, signal, sys
class Trap:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Trap())
"""
RUN = "from transship.cli import main\nmain()\n"


def python(program: str, *arguments: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"HOME": os.devnull, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return heard(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["typer", "transship.cli.app", "transship.cli.exits", "pydantic", "yaml"])
def test_a_signal_while_modules_are_loaded(module: str, number: signal.Signals) -> None:
    said = python(TRAP.format(module=module, number=int(number)) + RUN, "policy", "lint", os.devnull)
    assert said == STOPPED


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_while_the_module_of_a_command_is_loaded(name: str) -> None:
    module = COMMANDS[name].path.partition(":")[0]
    assert python(TRAP.format(module=module, number=int(signal.SIGTERM)) + RUN, name) == STOPPED


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_where_a_class_is_made_is_no_error_of_python(number: signal.Signals) -> None:
    """Python wraps what happens there into an error of its own."""
    program = f"""
import os, signal, transship.cli.app
class Hidden:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), {int(number)})
def load(name):
    class Made:
        hidden = Hidden()
transship.cli.app.load = load
"""
    assert python(program + RUN, "settings") == STOPPED


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_finalizer_is_not_lost(number: signal.Signals) -> None:
    program = f"""
import os, signal, time, transship.cli.app
class Last:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        for _ in range(100): pass
def load(name):
    Last()
    time.sleep({SECONDS})
transship.cli.app.load = load
"""
    assert python(program + RUN, "settings") == STOPPED


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_process_ends_changes_nothing_that_was_done(number: signal.Signals) -> None:
    program = f"""
import os, signal
class Last:
    def __init__(self):
        self.kill = os.kill
        self.pid = os.getpid()
    def __del__(self):
        self.kill(self.pid, {int(number)})
last = Last()
last.itself = last  # so that it goes with the modules, after everything else
"""
    said = python(program + RUN, "version")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("transship ")


def test_a_signal_between_the_command_and_the_end_is_told() -> None:
    program = (
        "import atexit, os, signal\nfrom transship.cli import main\ntry: main()\nfinally: os.kill(os.getpid(), 15)\n"
    )
    said = python(program, "version")
    assert (said.status, said.err) == (130, "transship: stopped\n")


def test_the_second_signal_ends_it_at_once() -> None:
    program = f"""
import os, signal, time, transship.cli.app
def load(name):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep({SECONDS})
transship.cli.app.load = load
"""
    begun = time.monotonic()
    assert python(program + RUN, "settings") == STOPPED
    assert time.monotonic() - begun < SECONDS / 2


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", [["plan"], ["check", "--offline"], ["diff", "--offline", "p"], ["promote"]])
def test_at_any_moment_of_a_command(shop: Shop, command: Sequence[str], number: signal.Signals) -> None:
    """From the moment on in which the program has begun; one that was quicker has done what it was to do."""
    shop.push("v1")
    shop.let_in()
    overlay = shop.overlay("p", shop.reference("v1"))
    pauses = [0, 0.02, 0.06, 0.1, 0.2, 0.3, 0.4, 0.6]
    ended = [_stopped(shop, [*command, str(overlay)], number, each) for each in pauses]
    for said in ended:
        assert said.status in {0, 1, 2, 130}, said
        assert len(said.err.splitlines()) <= 1 or command == ["promote"], said
        assert (said.status == 130) == ("stopped" in said.err), said
    assert ended[0] == STOPPED


def _stopped(shop: Shop, command: Sequence[str], number: signal.Signals, pause: float) -> Said:
    with shop.start(*command) as child:
        while child.poll() is None and not _catches(child.pid, signal.SIGTERM):
            time.sleep(0.001)
        time.sleep(pause)
        child.send_signal(number)
        out, err = child.communicate(timeout=SECONDS)
    return heard(child.returncode, out, err)


def _catches(pid: int, number: signal.Signals) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def test_a_signal_that_a_library_keeps_to_itself_ends_it_all_the_same() -> None:
    program = (
        "import os, signal, time\n"
        "from transship.cli import stopping\n"
        "stopping.begin()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\n"
        "except BaseException:\n    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (130, "transship: stopped\n")


def test_a_signal_that_another_thread_gets_ends_a_wait_that_would_last() -> None:
    program = (
        "import os, signal, threading, time\n"
        "from transship.cli import stopping\n"
        "stopping.begin()\n"
        "def get():\n    time.sleep(0.3)\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n    time.sleep(60)\n"
        "threading.Thread(target=get, daemon=True).start()\n"
        "os.read(os.pipe()[0], 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (130, "transship: stopped\n")
