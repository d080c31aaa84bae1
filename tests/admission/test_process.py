"""The command: its options, its files, and how it ends."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from admission.hook import Hook
from endtoend.waiting import eventually
from localworld.world import World
from transship.admission.certificate import Lifetimes, make

KEYRINGS = [make(["127.0.0.1"], datetime.now(UTC), Lifetimes()) for _ in range(2)]


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "transship", "admission", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("option", ["--certificate=tls.crt", "--key=tls.key"])
def test_a_certificate_without_its_key_is_refused_in_a_sentence(option: str) -> None:
    done = run(option)

    assert done.returncode == 1
    assert done.stderr == "transship: --certificate and --key belong together; give both or none\n"


@pytest.mark.parametrize("options", [[], ["--release"]])
def test_without_a_cluster_it_says_so(options: list[str], tmp_path: Path) -> None:
    done = run(*options, TRANSSHIP_KUBECONFIG=str(tmp_path / "none"))

    assert done.returncode == 1
    assert done.stderr.startswith("transship: no cluster to talk to")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    _write(0, chain, key)
    return chain, key


def _write(number: int, chain: Path, key: Path) -> None:
    data = KEYRINGS[number].to_data()
    chain.write_bytes(data["tls.crt"])
    key.write_bytes(data["tls.key"])


@pytest.fixture
def by_files(installed: World, files: tuple[Path, Path]) -> Iterator[Hook]:
    """A webhook that serves from files, and asks for no right on any Secret."""
    chain, key = files
    running = Hook(installed)
    running.start((f"--certificate={chain}", f"--key={key}", "--drain=8"))
    yield running
    running.stop()


def _served(hook: Hook) -> int:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", hook.port), timeout=5) as plain,
        context.wrap_socket(plain) as connection,
    ):
        content = connection.getpeercert(binary_form=True)
    assert content is not None
    return x509.load_der_x509_certificate(content).serial_number


def test_changed_files_are_served_without_a_restart_and_the_end_is_a_good_one(
    by_files: Hook, files: tuple[Path, Path]
) -> None:
    first, second = (each.serving.certificate.serial_number for each in KEYRINGS)
    assert _served(by_files) == first

    _write(1, *files)

    eventually(lambda: _served(by_files) == second, "the new certificate is served", seconds=15)
    assert "ok" in by_files.get("/healthz")
    assert by_files.terminate() == 0
    assert by_files.log_lines()[-1]["message"] == "webhook stopped"


def test_while_it_leaves_it_serves_on_and_is_not_ready(by_files: Hook) -> None:
    by_files.child.process.terminate()

    eventually(lambda: not by_files.is_ready(), "it is not ready", seconds=6, poll=0.02)
    assert _served(by_files)
    assert by_files.child.process.wait(20) == 0
