"""Ports of the cluster on this machine, by `kubectl port-forward`: how images are pushed and commits are."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localworld.processes import Processes, Started, wait_until_ready
from localworld.registries import Registries

START_SECONDS = 30.0
PROXY_PORT = 3128
_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ->", re.MULTILINE)


class Forward(Started):
    """One port of a Deployment; a context manager.

    Args:
        kubectl: How its command begins.
        namespace: Of the Deployment.
        target: As deployment/git.
        port: Of its pod.

    Attributes:
        port: On this machine's loopback.
    """

    def __init__(self, kubectl: Sequence[str], namespace: str, target: str, port: int) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="transship-forward-")
        self._processes = Processes(Path(self._directory.name))
        forward = ("port-forward", f"--namespace={namespace}", "--address=127.0.0.1", target, f":{port}")
        self._command = [*kubectl, *forward]
        self.port = 0

    def start(self) -> None:
        """Start it; returns when it listens."""
        child = self._processes.start("port-forward", self._command)
        wait_until_ready(child, lambda: _FORWARDING.search(child.said()) is not None, seconds=START_SECONDS)
        found = _FORWARDING.search(child.said())
        self.port = int(found[1]) if found else 0

    def stop(self) -> None:
        """Stop it."""
        self._processes.stop()
        self._directory.cleanup()


class ForwardedRegistries(Registries):
    """The registries of the cluster, as the local world's: by the names of AWS, through the twin's proxy."""

    def __init__(self, forward: Forward, certificate: str) -> None:
        super().__init__()
        self._forward = forward
        self._certificate = certificate

    def start(self) -> None:
        """Reach the twin."""
        self._forward.start()
        self.proxy = f"http://127.0.0.1:{self._forward.port}"
        self.certificate_authority = self.directory / "ca.crt"
        self.certificate_authority.write_text(self._certificate, encoding="utf-8")

    def stop(self) -> None:
        """Let go of it."""
        self._forward.stop()
        super().stop()
