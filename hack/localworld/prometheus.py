"""Prometheus, and promtool: alerts and dashboards are judged by the program that reads them.

A server here listens on loopback, keeps its data in a directory that goes with it, scrapes every second, and evaluates
the rules it is given as often.
"""

import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from localworld import debian
from localworld.errors import WorldError
from localworld.ports import LOOPBACK, free_ports
from localworld.processes import Processes, Started, wait_until_ready

START_SECONDS = 30.0
_PACKAGE = "prometheus"
_EVERY = "1s"


def prepare() -> None:
    """Fetch what is missing: to be called before a network of our own is entered.

    Raises:
        WorldError: it could not be had.
    """
    debian.ensure(_PACKAGE)


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run promtool; whether it was content is for the caller to look at."""
    command = [str(debian.find(_PACKAGE, "promtool")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


class Prometheus(Started):
    """A server; a context manager that starts and stops it.

    Args:
        targets: What to scrape, as host:port, by the `job` they belong to.
        rules: A file of rules.
    """

    def __init__(self, targets: Mapping[str, Sequence[str]], rules: Path) -> None:
        self._targets = targets
        self._rules = rules
        self._directory = Path(tempfile.mkdtemp(prefix="transship-prometheus-"))
        self._processes = Processes(self._directory)
        (self._port,) = free_ports(1)

    def start(self) -> None:
        """Start it; returns when it says that it is ready.

        Raises:
            WorldError: it ended or was not ready in time.
        """
        configuration = self._directory / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(self._configuration()), encoding="utf-8")
        command = [
            str(debian.find(_PACKAGE, "prometheus")),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self._port}",
            # Debian keeps them elsewhere: they are for the pages, which nobody opens here.
            f"--web.console.libraries={self._directory}",
            f"--web.console.templates={self._directory}",
        ]
        child = self._processes.start("prometheus", command)
        wait_until_ready(child, self._is_ready, seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self._processes.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now: each series with its labels (`metric`) and its `value`.

        Raises:
            WorldError: it is no expression; the message says why.
        """
        return list(self.ask("query", query=expression)["result"])

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of the HTTP API.

        Raises:
            WorldError: it was refused.
        """
        asked = f"{self._base()}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with _opener().open(asked, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise WorldError(f"Prometheus refused {parameters}: {error.read().decode()}") from error

    def _base(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def _is_ready(self) -> bool:
        try:
            with _opener().open(f"{self._base()}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - OK
        except OSError:
            return False

    def _configuration(self) -> dict[str, Any]:
        jobs = [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in self._targets.items()
        ]
        return {
            "global": {"scrape_interval": _EVERY, "scrape_timeout": _EVERY, "evaluation_interval": _EVERY},
            "rule_files": [str(self._rules)],
            "scrape_configs": jobs,
        }


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
